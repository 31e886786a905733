"""Makes the problems of a refusal: a stable code, its parameters, and the English sentence."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

from model_cards.words import Words
from sandbox.errors import Problem, Refused

LONGEST_SHOWN = 200


def shown(text: str) -> str:
    """Make text of an upload fit to be shown: one line, bounded, with control and direction characters escaped.

    Args:
        text: whatever it is.

    Returns:
        At most `LONGEST_SHOWN` characters and three dots.
    """
    cut = text[:LONGEST_SHOWN]
    plain = "".join(
        c if unicodedata.category(c)[0] not in "CZ" or c == " " else c.encode("unicode_escape").decode() for c in cut
    )
    return plain + ("..." if len(text) > LONGEST_SHOWN else "")


def listed(items: Iterable[str], most: int = 5) -> str:
    """Write some names in one line, and how many more there are.

    Args:
        items: names.
        most: how many are written out.
    """
    names = [shown(item) for item in items]
    more = len(names) - most
    return ", ".join(names[:most]) + (f" (+{more})" if more > 0 else "")


def problem(field: str, code: str, /, **params: str | int | float) -> Problem:
    """Make one problem.

    Args:
        field: where, as in `data.columns.sex`.
        code: a key of `refusals.yaml`.
        params: for the words; texts are made fit to be shown.
    """
    kept = {name: shown(value) if isinstance(value, str) else value for name, value in params.items()}
    return Problem(field=field, code=code, params=kept, message=Words("en")(f"refusals.{code}", **kept))


def near(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Find the known names nearest to one that is not known.

    Args:
        name: as written.
        known: what it can be.
        most: how many.
    """
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=most, cutoff=0.6)
    return [by_lower[c] for c in close]


class Gathered:
    """Collects independent problems, so that one refusal names them all."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, field: str, code: str, /, **params: str | int | float) -> None:
        """Note one problem; an equal one is noted once."""
        made = problem(field, code, **params)
        if made not in self.problems:
            self.problems.append(made)

    def take(self, refused: Refused) -> None:
        """Note all problems of a refusal."""
        self.problems += [p for p in refused.problems if p not in self.problems]

    def extend(self, problems: Sequence[Problem]) -> None:
        """Note problems that were made elsewhere."""
        self.problems += [p for p in problems if p not in self.problems]

    def raise_if_any(self) -> None:
        """Refuse with all of them.

        Raises:
            Refused: at least one problem was noted.
        """
        if self.problems:
            raise Refused(self.problems)
