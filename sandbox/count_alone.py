"""Count people by group, label and decision on your own machine, so that no row has to leave it.

This one file needs Python 3.10 or later and pandas, and nothing else. It reads the table in pieces, opens no network
connection, and writes counts alone: one line per combination of groups, label and decision, with the rows it holds.
Small counts can still say something of single people: look at what was counted before you send it.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

MISSING = ("", "NA", "NaN", "nan", "null", "?")
PIECE = 250_000
FEW = 10
MOST = 100_000
OWN = ("label", "decision", "rows", "weight", "weight_squared")


class Unfit(ValueError):
    """The table cannot be counted as asked; the message says what would be right."""


@dataclass(frozen=True)
class Asked:
    """What is counted.

    Args:
        table: CSV or Parquet file.
        groups: columns that people are compared by.
        decision: column with the decisions, or None where scores decide.
        label: column with the true outcome, where it is known.
        score, threshold: column with scores, and from which one `above` is decided, else `below`.
        weight: column with positive weights.
        bands: lower bounds of the bands of numeric groups, by column.
        delimiter: of a CSV file.
        missing: texts that mean that a value is missing.
    """

    table: Path
    groups: tuple[str, ...]
    decision: str | None = None
    label: str | None = None
    score: str | None = None
    threshold: float | None = None
    above: str | None = None
    below: str | None = None
    weight: str | None = None
    bands: dict[str, tuple[float, ...]] = field(default_factory=dict)
    delimiter: str = ","
    missing: tuple[str, ...] = MISSING

    @property
    def columns(self) -> list[str]:
        """Columns of the table that are read; no other is."""
        named = (*self.groups, self.decision, self.label, self.score, self.weight)
        return list(dict.fromkeys(name for name in named if name is not None))


def pieces(asked: Asked) -> Iterator[pd.DataFrame]:
    """Read the columns that are asked for, as text, some rows at a time.

    Raises:
        Unfit: the file is not there, is of another kind, or lacks a column.
    """
    suffix = asked.table.suffix.lower()
    if not asked.table.is_file():
        raise Unfit(f"there is no file {asked.table}")
    if suffix in (".parquet", ".pq"):
        try:
            from pyarrow.parquet import ParquetFile
        except ImportError as absent:
            raise Unfit("reading Parquet needs pyarrow; without it, give the table as CSV") from absent
        with ParquetFile(asked.table) as whole:
            _all_there(asked, whole.schema_arrow.names)
            for batch in whole.iter_batches(batch_size=PIECE, columns=asked.columns):
                piece = batch.to_pandas()
                yield pd.DataFrame({name: _text(piece[name]) for name in asked.columns})
        return
    if suffix not in (".csv", ".tsv", ".txt"):
        raise Unfit(f"{asked.table.name} is neither a CSV nor a Parquet file")
    try:
        head = pd.read_csv(asked.table, sep=asked.delimiter, nrows=0, dtype=str)
        _all_there(asked, list(head.columns))
        yield from pd.read_csv(
            asked.table,
            sep=asked.delimiter,
            usecols=asked.columns,
            dtype=str,
            keep_default_na=False,
            na_values=list(asked.missing),
            skipinitialspace=True,
            chunksize=PIECE,
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as broken:
        raise Unfit(f"{asked.table.name} cannot be read as UTF-8 CSV: {broken}") from broken


def _text(column: pd.Series) -> pd.Series:
    """Give a column as text; each value that occurs is written once."""
    codes, values = pd.factorize(column.astype(object))
    # A missing value has the code -1, which takes the last of these.
    named = pd.Series([*(_as_text(value) for value in values), None], dtype=object)
    return named.iloc[codes].reset_index(drop=True)


def _as_text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _all_there(asked: Asked, there: list[str]) -> None:
    lacking = [name for name in asked.columns if name not in there]
    if lacking:
        raise Unfit(f"no column {', '.join(lacking)}; there are: {', '.join(map(str, there))}")


def count(asked: Asked) -> pd.DataFrame:
    """Count the table.

    Returns:
        The groups, `label` (where it is read; empty: unknown), `decision` (empty: none) and `rows`; with weights also
        their sum and the sum of their squares. Sorted, without empty combinations.

    Raises:
        Unfit: the table cannot be counted as asked.
    """
    _fits(asked)
    whole = dict.fromkeys(asked.bands, True)
    keys = [*asked.groups, *(["label"] if asked.label else []), "decision"]
    total: pd.DataFrame | None = None
    for piece in pieces(asked):
        part = _counted(asked, piece, keys, whole)
        total = part if total is None else pd.concat([total, part]).groupby(keys, dropna=False, as_index=False).sum()
        if len(total) > MOST:
            raise Unfit(
                f"there are more than {MOST:,} combinations: these groups have too many values to be compared; draw "
                "bands, or leave one out"
            )
    if total is None or not len(total):
        raise Unfit(f"{asked.table.name} holds no rows")
    for name, bounds in asked.bands.items():
        names = band_names(bounds, whole=whole[name])
        total[name] = total[name].map(lambda code, names=names: None if pd.isna(code) else names[int(code)])
    return total.sort_values(keys, na_position="last", ignore_index=True)


def _fits(asked: Asked) -> None:
    if not asked.groups:
        raise Unfit("name at least one column that people are compared by")
    if (asked.decision is None) == (asked.score is None):
        raise Unfit("name either the column with decisions, or the one with scores")
    if asked.score is not None and None in (asked.threshold, asked.above, asked.below):
        raise Unfit("scores need a threshold, and the decisions above and below it")
    clash = [name for name in asked.groups if name in OWN]
    if clash:
        raise Unfit(f"a group cannot be named {', '.join(clash)}: the counts have columns of that name")
    stray = [name for name in asked.bands if name not in asked.groups]
    if stray:
        raise Unfit(f"bands are drawn of a group; {', '.join(stray)} is none")
    for name, bounds in asked.bands.items():
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise Unfit(f"the bounds of {name} must grow: {', '.join(f'{b:g}' for b in bounds)}")


def _counted(asked: Asked, piece: pd.DataFrame, keys: list[str], whole: dict[str, bool]) -> pd.DataFrame:
    made: dict[str, Any] = {}
    for name in asked.groups:
        made[name] = piece[name].str.strip() if name not in asked.bands else _banded(asked, piece[name], whole)
    if asked.label:
        made["label"] = piece[asked.label].str.strip()
    if asked.decision is not None:
        made["decision"] = piece[asked.decision].str.strip()
    else:
        score = _numbers(piece[str(asked.score)], str(asked.score))
        decided = score.ge(asked.threshold).map({True: asked.above, False: asked.below})
        made["decision"] = decided.where(score.notna(), None)
    made["rows"] = 1
    if asked.weight is not None:
        weight = _numbers(piece[asked.weight], asked.weight)
        if not (weight > 0).all():
            raise Unfit(f"{asked.weight}: every row needs a weight above 0")
        made["weight"], made["weight_squared"] = weight, weight**2
    frame = pd.DataFrame(made)
    # One value for all that is missing, so that grouping sees one.
    frame[keys] = frame[keys].astype(object).where(frame[keys].notna(), None)
    return frame.groupby(keys, dropna=False, as_index=False).sum()


def _numbers(column: pd.Series, name: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[numbers.isna() & column.notna()]
    if len(wrong):
        raise Unfit(f"{name}: {wrong.iloc[0]!r} is not a number")
    return numbers


def _banded(asked: Asked, column: pd.Series, whole: dict[str, bool]) -> pd.Series:
    name = str(column.name)
    bounds, numbers = asked.bands[name], _numbers(column, name)
    whole[name] = whole[name] and bool((numbers.dropna() % 1 == 0).all())
    code = sum((numbers >= bound).astype(float) for bound in bounds)
    return pd.Series(code, index=column.index).where(numbers.notna())


def band_names(bounds: Sequence[float], *, whole: bool) -> list[str]:
    """Name the bands: `<25`, `25-39`, `>=40` for whole numbers, else `<0.5`, `[0.5, 1)`, `>=1`."""
    whole = whole and all(bound == math.floor(bound) for bound in bounds)
    names = [f"<{bounds[0]:g}"]
    for low, high in pairwise(bounds):
        if not whole:
            names.append(f"[{low:g}, {high:g})")
        else:
            names.append(f"{int(low)}" if high - low == 1 else f"{int(low)}-{int(high) - 1}")
    return [*names, f">={bounds[-1]:g}"]


def written(counts: pd.DataFrame) -> str:
    """Write counts as CSV."""
    return str(counts.to_csv(index=False, lineterminator="\n"))


def told(counts: pd.DataFrame) -> str:
    """Say what was counted, and how many combinations hold few people."""
    few = int((counts["rows"] < FEW).sum())
    text = f"{int(counts['rows'].sum()):,} rows in {len(counts):,} combinations of groups, label and decision."
    if few:
        text += f"\n{few:,} of them hold fewer than {FEW} people. Look at these before you send the counts to anyone."
    return text


def parse_bands(given: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Read bands as typed, as in `age=25,40`.

    Raises:
        Unfit: it is written in another way.
    """
    made = {}
    for text in given:
        name, sign, numbers = text.rpartition("=")
        try:
            made[name] = tuple(float(number) for number in numbers.split(","))
        except ValueError:
            sign = ""
        if not sign or not name:
            raise Unfit(f"write bands as in age=25,40; {text!r} is not")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Count from the command line; 0 where it went well, 2 where it was asked wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="CSV (UTF-8) or Parquet file with one row per person")
    parser.add_argument("--group", action="append", default=[], help="column that people are compared by; repeat it")
    parser.add_argument("--decision", help="column with the decisions")
    parser.add_argument("--label", help="column with the true outcome, where it is known")
    parser.add_argument("--score", help="column with scores, instead of decisions")
    parser.add_argument("--threshold", type=float, help="score from which the decision is the one above")
    parser.add_argument("--above", help="decision from the threshold on")
    parser.add_argument("--below", help="decision below the threshold")
    parser.add_argument("--weight", help="column with weights")
    parser.add_argument("--band", action="append", default=[], help="bands of a numeric group, as in age=25,40")
    parser.add_argument("--delimiter", default=",", help="of a CSV file; a comma where not given")
    parser.add_argument("--missing", action="append", help="a text that means missing; repeat it")
    parser.add_argument("--out", type=Path, help="new file for the counts; the screen where not given")
    given = parser.parse_args(arguments)
    try:
        counts = count(
            Asked(
                table=given.table,
                groups=tuple(given.group),
                decision=given.decision,
                label=given.label,
                score=given.score,
                threshold=given.threshold,
                above=given.above,
                below=given.below,
                weight=given.weight,
                bands=parse_bands(given.band),
                delimiter=given.delimiter,
                missing=tuple(given.missing or MISSING),
            )
        )
        if given.out is None:
            sys.stdout.write(written(counts))
        else:
            with given.out.open("x", encoding="utf-8", newline="") as file:
                file.write(written(counts))
    except (Unfit, FileExistsError) as unfit:
        sys.stderr.write(f"{unfit}\n")
        return 2
    sys.stderr.write(f"{told(counts)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
