"""Turns a batch into what a model's library takes: a matrix, a DataFrame, or one array per column.

Runs in the model's cell only. numpy and pandas are imported on first use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .wire import MISSING_CODE, Batch, Column, Section, Setup, Status, Type

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


UNKNOWN_CODE = -2
"""Code of a declared category that a model has never seen."""


class Unanswerable(Exception):
    """The model cannot be asked, or its answer cannot be used; carries the status that the host is told."""

    def __init__(self, status: Status, why: str) -> None:
        super().__init__(why)
        self.status = status


class Columns:
    """The columns of one batch, read as late as possible.

    Args:
        setup: names, types and categories of the columns.
        batch: the bytes; they may be written to.
    """

    def __init__(self, setup: Setup, batch: Batch) -> None:
        if len(setup.columns) != len(batch.sections):
            raise ValueError("a batch with another number of columns than the set-up")
        self.rows = batch.rows
        self.columns = setup.columns
        self._sections = batch.sections
        self._block = batch.block
        self._place = {column.name: i for i, column in enumerate(setup.columns)}

    def place(self, name: str) -> int:
        """Find a column by name."""
        return self._place[name]

    def _missing(self, section: Section) -> np.ndarray | None:
        import numpy as np

        return None if section.valid is None else np.frombuffer(section.valid, dtype=np.uint8) == 0

    def codes(self, i: int) -> np.ndarray:
        """Give a category column as codes, shape (n,), int32; -1 where missing."""
        import numpy as np

        return np.frombuffer(self._sections[i].values, dtype="<i4")

    def numbers(self, i: int, codes: Sequence[int] | None = None) -> np.ndarray:
        """Give a column as numbers, shape (n,), float64.

        Booleans become 0 and 1, categories their codes; what is missing becomes NaN.

        Args:
            i: which column.
            codes: for a category column, the model's own code of each declared code; the declared ones by default.

        Raises:
            Unanswerable: the column is a text, or holds a category that the model has never seen.
        """
        import numpy as np

        section = self._sections[i]
        values: np.ndarray
        if section.type in (Type.NUMBER, Type.WHOLE):
            values = np.frombuffer(section.values, dtype="<f8")
        elif section.type is Type.BOOLEAN:
            values = np.frombuffer(section.values, dtype=np.uint8).astype(np.float64)
        elif section.type is Type.CATEGORY:
            given = self.codes(i)
            own = given.astype(np.float64) if codes is None else np.array([*codes, 0], dtype=np.float64)[given]
            values = np.where(given == MISSING_CODE, np.nan, own)
            if (values == UNKNOWN_CODE).any():
                raise Unanswerable(Status.RAISED, f"column {self.columns[i].name!r}: a category the model never saw")
        else:
            raise Unanswerable(Status.INPUTS_DIFFER, f"column {self.columns[i].name!r} is a text, not a number")
        missing = self._missing(section)
        if missing is not None:
            values[missing] = np.nan
        return values

    def texts(self, i: int, missing: object) -> np.ndarray:
        """Give a category or text column as strings, shape (n,), object; `missing` where missing.

        A number becomes its shortest decimal form; a boolean becomes `True` or `False`.
        """
        import numpy as np

        section = self._sections[i]
        if section.type is Type.CATEGORY:
            names = np.empty(len(self.columns[i].categories) + 1, dtype=object)
            names[:-1] = self.columns[i].categories
            names[-1] = missing
            picked: np.ndarray = names[self.codes(i)]
            return picked
        result = np.empty(self.rows, dtype=object)
        if section.type is Type.TEXT:
            offsets = np.frombuffer(section.values, dtype="<i8").tolist()
            utf8 = bytes(section.text or b"")
            if utf8.isascii():
                whole = utf8.decode("ascii")
                result[:] = [whole[a:b] for a, b in pairwise(offsets)]
            else:
                result[:] = [utf8[a:b].decode() for a, b in pairwise(offsets)]
        else:
            result[:] = [str(value) for value in self.natural(i).tolist()]
        gone = self._missing(section)
        if gone is not None:
            result[gone] = missing
        return result

    def natural(self, i: int) -> np.ndarray:
        """Give a column as pandas would have read it, shape (n,).

        float64, int64 (whole numbers, none missing), bool (none missing), or object with NaN where missing.
        """
        import numpy as np

        section = self._sections[i]
        if section.type is Type.WHOLE and section.valid is None:
            return np.frombuffer(section.values, dtype="<f8").astype(np.int64)
        if section.type in (Type.NUMBER, Type.WHOLE):
            return self.numbers(i)
        if section.type is Type.BOOLEAN:
            values = np.frombuffer(section.values, dtype=np.uint8).astype(bool)
            gone = self._missing(section)
            if gone is None:
                return values
            mixed = values.astype(object)
            mixed[gone] = np.nan
            return mixed
        return self.texts(i, np.nan)

    @cached_property
    def _all_numbers(self) -> np.ndarray | None:
        import numpy as np

        if self._block is None:
            return None
        whole = np.frombuffer(self._block, dtype="<f8").reshape(len(self.columns), self.rows)
        for row, section in zip(whole, self._sections, strict=True):
            missing = self._missing(section)
            if missing is not None:
                row[missing] = np.nan
        return whole

    def matrix(
        self, places: Sequence[int] | None = None, codes: Mapping[int, Sequence[int]] | None = None
    ) -> np.ndarray:
        """Give columns as one matrix, shape (n, p), float64, as `numbers` does; without a copy where possible.

        Args:
            places: which columns, in which order; all in the order of the set-up by default.
            codes: per category column the model's own codes, see `numbers`.
        """
        import numpy as np

        order = list(range(len(self.columns))) if places is None else list(places)
        whole = self._all_numbers
        if whole is not None:
            return (whole if order == list(range(len(self.columns))) else whole[order]).T
        result = np.empty((len(order), self.rows), dtype=np.float64)
        for row, i in zip(result, order, strict=True):
            row[:] = self.numbers(i, (codes or {}).get(i))
        return result.T

    def frame(
        self, places: Sequence[int] | None = None, categorical: dict[int, Sequence[Any] | None] | None = None
    ) -> pd.DataFrame:
        """Give columns as a DataFrame with the types that pandas' readers give.

        Args:
            places: which columns, in which order; all in the order of the set-up by default.
            categorical: columns to give as pandas `category`, with the value of each code (None: the declared names).
        """
        import pandas as pd

        order = list(range(len(self.columns))) if places is None else list(places)
        names = [self.columns[i].name for i in order]
        as_category = categorical or {}
        plain = all(self._sections[i].type is Type.NUMBER for i in order)
        if plain and not as_category:
            return pd.DataFrame(self.matrix(order), columns=pd.Index(names, dtype=object), copy=False)
        series: dict[int, pd.Series[Any]] = {}
        for at, i in enumerate(order):
            if i in as_category:
                values = as_category[i]
                names_of = pd.Index(list(self.columns[i].categories if values is None else values))
                series[at] = pd.Series(pd.Categorical.from_codes(self.codes(i), categories=names_of))
            else:
                natural = self.natural(i)
                series[at] = pd.Series(natural, dtype=natural.dtype, copy=False)
        frame = pd.DataFrame(series, copy=False)
        frame.columns = pd.Index(names, dtype=object)
        return frame


_BY_PLACE = re.compile(r"(Column_|[fx])(\d+)")


def places_by_name(columns: Sequence[Column], names: Sequence[str] | None, width: int | None = None) -> list[int]:
    """Find the inputs of a model among the columns of a set-up.

    Args:
        columns: what is sent, in order.
        names: the model's own names of its inputs, in order; None where it has none.
        width: the number of its inputs, where it has no names; None where it does not say.

    Returns:
        For each input of the model the place of its column. By name (also where the model's library has replaced
        characters by underscores); by place where the names are only numbers, as in `f0` or `Column_0`.

    Raises:
        Unanswerable: the model was trained on a column that is not sent, or on another number of columns.
    """
    if names is None:
        if width is not None and width != len(columns):
            raise Unanswerable(Status.INPUTS_DIFFER, f"the model takes {width} columns, and {len(columns)} are given")
        return list(range(len(columns)))
    exact = {column.name: i for i, column in enumerate(columns)}
    if all(name in exact for name in names):
        return [exact[name] for name in names]
    replaced = {re.sub(r"\W", "_", column.name): i for i, column in enumerate(columns)}
    wanted = [re.sub(r"\W", "_", name) for name in names]
    if len(replaced) == len(columns) and all(name in replaced for name in wanted):
        return [replaced[name] for name in wanted]
    numbered = [_BY_PLACE.fullmatch(name) for name in names]
    if len(names) == len(columns) and all(m is not None and int(m[2]) == i for i, m in enumerate(numbered)):
        return list(range(len(columns)))
    lacking = [name for name in names if name not in exact]
    raise Unanswerable(Status.INPUTS_DIFFER, f"the model was trained on columns that are not given: {lacking[:5]}")


def category_places(columns: Sequence[Column], places: Sequence[int]) -> list[int]:
    """Find the category columns among the inputs of a model, in the model's order."""
    return [i for i in places if columns[i].type == "category"]


def trained_values(declared: Sequence[str], trained: Sequence[Any]) -> list[Any]:
    """Write the declared names of a category in the type that the model was trained with.

    Args:
        declared: names by code.
        trained: the values that the model knows, strings or numbers.

    Returns:
        One value per code: the trained value with that name, else the name itself.
    """
    known: dict[str, Any] = {}
    for one in trained:
        known[str(one)] = one
        if isinstance(one, float) and one.is_integer():
            known.setdefault(str(int(one)), one)
    return [known.get(name, name) for name in declared]
