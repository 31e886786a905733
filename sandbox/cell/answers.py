"""Turns what a model's library returns into the (n, k) float64 that was asked.

Runs in the model's cell. A label becomes its place among the declared classes, -1 where it is none of them (the host
counts those); a probability becomes the column of the declared class or classes. A class is recognised

1. by name: the label as text is the declared class; numbers are compared as numbers (`1`, `1.0` and `True` are the
   class `1`), booleans also as `true` and `false` in any case;
2. else by place, where no declared class reads as a number: a whole number 0 to K-1 is that class, and `True` is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .columns import Unanswerable
from .wire import Setup, Status

if TYPE_CHECKING:
    import numpy as np

UNDECLARED = -1


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class Classes:
    """The declared classes, and how a model's labels are found among them.

    Args:
        declared: names in order.
    """

    def __init__(self, declared: Sequence[str]) -> None:
        self.declared = tuple(declared)
        self._names = {name: i for i, name in enumerate(declared)}
        numbers = {name: _number(name) for name in declared}
        self._numbers = {number: self._names[name] for name, number in numbers.items() if number is not None}
        self._lower = {name.lower(): i for name, i in self._names.items()}

    def place(self, label: Any) -> int:
        """Find one label among the declared classes; -1 where it is none."""
        import numpy as np

        if isinstance(label, np.generic):
            label = label.item()
        if isinstance(label, bytes):
            label = label.decode("utf-8", "replace")
        if isinstance(label, bool) and str(label).lower() in self._lower:
            return self._lower[str(label).lower()]
        if isinstance(label, str):
            return self._names.get(label, UNDECLARED)
        if isinstance(label, (bool, int, float)):
            number = float(label)
            if number in self._numbers:
                return self._numbers[number]
            if not self._numbers and number.is_integer() and 0 <= number < len(self.declared):
                return int(number)
        return UNDECLARED

    def places(self, labels: np.ndarray) -> np.ndarray:
        """Find many labels, shape (n,), float64; -1 where one is none of the declared classes."""
        import numpy as np

        if labels.dtype == object:
            import pandas as pd

            inverse, distinct = pd.factorize(labels, use_na_sentinel=True)
            found = np.array([*(self.place(label) for label in distinct), UNDECLARED], dtype=np.float64)
            return found[inverse]
        values, inverse = np.unique(labels, return_inverse=True)
        return np.array([self.place(v) for v in values], dtype=np.float64)[inverse.reshape(-1)]


def flat(raw: Any) -> np.ndarray:
    """Give one value per row, shape (n,).

    Raises:
        Unanswerable: there is more than one per row.
    """
    import numpy as np

    values = np.asarray(raw)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise Unanswerable(Status.WRONG_SHAPE, f"one value per row was asked; the shape is {values.shape}")
    return values


def floats(raw: Any) -> np.ndarray:
    """Give numbers as float64.

    Raises:
        Unanswerable: they are no numbers.
    """
    import numpy as np

    try:
        return np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as wrong:
        raise Unanswerable(Status.NOT_NUMERIC, "the answer holds something else than numbers") from wrong


def labels(raw: Any, setup: Setup) -> np.ndarray:
    """Turn labels into places among the declared classes, shape (n, 1)."""
    return Classes(setup.classes).places(flat(raw)).reshape(-1, 1)


def value(raw: Any) -> np.ndarray:
    """Turn one number per row into shape (n, 1)."""
    return floats(flat(raw)).reshape(-1, 1)


def probability(raw: Any, setup: Setup, own: Sequence[Any] | None) -> np.ndarray:
    """Pick the declared class or classes out of a table of probabilities.

    Args:
        raw: shape (n,) or (n, 1): the probability of the second class; or (n, K): one column per class.
        setup: which classes are asked.
        own: the classes as the model names them, in the order of its columns; None where it names none: then they are
            the declared classes in the declared order.

    Returns:
        Shape (n, 1) for one class, else (n, K) in the declared order; a class that the model does not know has 0.

    Raises:
        Unanswerable: another number of columns than classes, or a class of the model that is not declared.
    """
    import numpy as np

    table = floats(raw)
    if table.ndim == 1 or (table.ndim == 2 and table.shape[1] == 1):
        second = table.reshape(-1)
        table = np.column_stack([1.0 - second, second])
    if table.ndim != 2:
        raise Unanswerable(Status.WRONG_SHAPE, f"one column per class was asked; the shape is {table.shape}")
    place = _order(setup, own, table.shape[1])
    if setup.k == 1:
        wanted = setup.classes.index(setup.score_of)
        if wanted not in place:
            return np.zeros((len(table), 1))
        return table[:, [place.index(wanted)]]
    if place == list(range(setup.k)):
        return table
    ordered = np.zeros((len(table), setup.k))
    ordered[:, place] = table
    return ordered


def score(raw: Any, setup: Setup, own: Sequence[Any] | None) -> np.ndarray:
    """Give the score of the declared class, shape (n, 1).

    One number per row grows with the chance of the second class, so it is negated where the first is asked.
    """
    table = floats(raw)
    if table.ndim == 2 and table.shape[1] > 1:
        place = _order(setup, own, table.shape[1])
        wanted = setup.classes.index(setup.score_of)
        if wanted not in place:
            raise Unanswerable(Status.UNDECLARED_LABEL, "the model does not know the class whose score is asked")
        return table[:, [place.index(wanted)]]
    first = _order(setup, own, 2)[0] if len(setup.classes) == 2 else None
    one = flat(table).reshape(-1, 1)
    return -one if first is not None and setup.classes[first] == setup.score_of else one


def _order(setup: Setup, own: Sequence[Any] | None, width: int) -> list[int]:
    names = list(range(len(setup.classes))) if own is None else [Classes(setup.classes).place(c) for c in own]
    if len(names) != width:
        raise Unanswerable(Status.WRONG_SHAPE, f"{len(names)} classes, and {width} columns")
    if UNDECLARED in names or len(set(names)) != len(names):
        raise Unanswerable(Status.UNDECLARED_LABEL, "the model knows a class that is not declared")
    return names


def by_place(raw: Any, setup: Setup) -> np.ndarray:
    """Turn numbers of classes, counted by the model from 0, into places among the declared classes, shape (n, 1)."""
    import numpy as np

    numbers = floats(flat(raw))
    declared = (numbers >= 0) & (numbers < len(setup.classes)) & (numbers == np.floor(numbers))
    return np.where(declared, numbers, float(UNDECLARED)).reshape(-1, 1)


def of_booster(raw: np.ndarray, setup: Setup, *, limit: Any = 0.5, classes: bool = False) -> np.ndarray:
    """Turn the raw numbers of a booster, which names no classes, into what was asked.

    Args:
        raw: shape (n,): a value, or the probability or score of the second declared class; or (n, K): one column per
            declared class, in their order.
        setup: what is asked.
        limit: above which a single number means the second class.
        classes: whether a single number is the class itself, counted from 0.

    Returns:
        Shape (n, k).
    """
    if setup.output == "probability":
        return probability(raw, setup, None)
    if setup.output == "score":
        return score(raw, setup, None)
    if setup.output == "value":
        return value(raw)
    if raw.ndim == 2 and raw.shape[1] > 1:
        return by_place(raw.argmax(axis=1), setup)
    one = flat(raw)
    return by_place(one if classes else one > limit, setup)
