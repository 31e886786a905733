"""The words of the pages in one language; those of findings and law come from the document layer."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

from checks.resources import parsed
from model_cards.words import Words

LANGUAGES: Final = tuple(sorted(f.name for f in resources.files("sandbox.web").joinpath("locale").iterdir()))
"""Languages of the pages: a folder under `locale/` is one."""

DEFAULT_LANGUAGE: Final = "en"
"""Language of the pages when a reader's own is not there."""

LONGEST_SHOWN: Final = 160
_HIDDEN: Final = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")


@cache
def texts(lang: str) -> Mapping[str, str]:
    """Read the words of the pages by key, as in `start.title`.

    Args:
        lang: one of `LANGUAGES`.

    Raises:
        FileNotFoundError: there are no words in that language.
    """
    folder = resources.files("sandbox.web").joinpath("locale", lang)
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {k: v for f in files for k, v in _flat(parsed(f.read_text(encoding="utf-8")), "")}


def _flat(value: Any, key: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for name, inner in value.items() for pair in _flat(inner, f"{key}.{name}" if key else str(name))]
    return [(key, " ".join(str(value).split()))]


class Pages:
    """The words of the pages in one language.

    Args:
        lang: one of `LANGUAGES`.
    """

    __slots__ = ("_texts", "documents", "lang")

    def __init__(self, lang: str) -> None:
        self._texts = texts(lang)
        self.documents = Words(lang)
        self.lang = lang

    def __call__(self, key: str, /, **params: object) -> str:
        """Give a text with its slots filled in.

        Raises:
            KeyError: there is no such text: a fault of ours, found by the tests.
        """
        return self._texts[key].format(**params)

    def find(self, key: str) -> str | None:
        """Give a text without slots, or None where there is none."""
        return self._texts.get(key)

    @property
    def disclaimer(self) -> str:
        """What this is not; the same sentence as on every document."""
        return self.documents("card.statement.text")

    def time(self, at: dt.datetime | None) -> str:
        """Write a time out, to the minute, in UTC."""
        return "–" if at is None else self.documents.time(at.isoformat())

    def whole(self, number: int) -> str:
        """Write a whole number."""
        return self.documents.whole(number)

    def typed(self, number: object) -> str:
        """Show a number that was typed, which is kept with a point, with this language's decimal mark."""
        return str("" if number is None else number).replace(".", self.documents("outcomes.numbers.decimal"))

    def bytes(self, count: int) -> str:
        """Write a number of bytes."""
        return self.documents.bytes(count)

    def class_name(self, risk_class: str) -> str:
        """Name a risk class."""
        return self.documents.find(f"law.classes.{risk_class}.name") or self.documents.class_name(risk_class)

    def class_meaning(self, risk_class: str) -> str:
        """Say what a risk class means; empty where there are no words for it."""
        return self.documents.find(f"law.classes.{risk_class}.meaning") or ""

    def problem(self, problem: Mapping[str, Any]) -> tuple[str, str]:
        """Say one problem of a submission.

        Returns:
            The sentence and the language it is in: where this language has no words for it, English.
        """
        code, params = str(problem.get("code", "")), dict(problem.get("params") or {})
        own = self._texts.get(f"problem.{code}")
        if own is not None:
            return self.documents.fill(own, params), self.lang
        # What the algorithm register refuses has its words with the export for it.
        place = f"exports.algorithm_{code.replace('.', '.problems.')}" if code.startswith("register.") else ""
        found = self.documents.find(place or f"refusals.{code}", **params)
        if found is not None and "{" not in found:
            return found, self.lang
        return str(problem.get("message", "")), "en"


def visible(text: object, longest: int = LONGEST_SHOWN) -> str:
    """Make text from outside fit to be shown: cut, and characters that hide or turn others around made visible.

    It is still text from outside: the template escapes it.
    """
    given = str(text)
    cut = given[:longest]
    shown = "".join(f"\u27e8U+{ord(c):04X}\u27e9" if unicodedata.category(c) in _HIDDEN else c for c in cut)
    return shown + ("…" if len(given) > longest else "")
