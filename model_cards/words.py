"""The words of findings, law and documents in one language: texts by key, numbers, dates and whole sentences.

A key without words is shown as `[key]`: visible, and never a crash; tests hold the languages to being complete.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib import resources
from typing import Any, Final

from checks.ai_act.risk import Contradiction
from checks.finding import AppliedLimit, Finding, Measure, Outcome, Reason, Scalar
from checks.resources import parsed

_SMALLEST: Final = Decimal("0.00001")
_NBSP: Final = "\u00a0"
_SLOT: Final = re.compile(r"\{([a-z_]+)\}")
_DIFFERENCES: Final = frozenset(("difference", "gap", "gain", "shortfall", "lost", "change"))
"""Parts of names of measures that are one share less another, which is said in percentage points."""
_DIFFERENCES_BY_CHECK: Final = frozenset(("accuracy.claims",))
"""Checks of which every measure is a difference, under the name of what was claimed."""
_GAP: Final = re.compile(r"[ \n]+")


@cache
def languages() -> tuple[str, ...]:
    """List the languages there are words in, by their codes: a folder under `locale/` is a language."""
    root = resources.files("model_cards").joinpath("locale")
    return tuple(sorted(f.name for f in root.iterdir() if f.is_dir() and not f.name.startswith("_")))


@cache
def texts(lang: str) -> Mapping[str, Any]:
    """Read all words of one language.

    Args:
        lang: one of `languages()`.

    Returns:
        The content of each file under its name; those in `checks/` under `checks.<family>`.

    Raises:
        LookupError: there are no words in that language; the message lists those there are.
    """
    if lang not in languages():
        raise LookupError(f"no words in {lang!r}; there are: {', '.join(languages())}")
    root = resources.files("model_cards").joinpath("locale", lang)
    found: dict[str, Any] = {"checks": {}}
    for entry in sorted(root.iterdir(), key=lambda f: f.name):
        if entry.name.endswith(".yaml"):
            found[entry.name.removesuffix(".yaml")] = parsed(entry.read_text(encoding="utf-8")) or {}
    families = root.joinpath("checks")
    if families.is_dir():
        for entry in sorted(families.iterdir(), key=lambda f: f.name):
            if entry.name.endswith(".yaml"):
                found["checks"][entry.name.removesuffix(".yaml")] = parsed(entry.read_text(encoding="utf-8")) or {}
    return found


_KEPT: Final = {" ", "\u00a0", "\u202f", "\u00ad"}


def visible(text: str) -> str:
    """Show what would hide or reorder text: control, direction, unassigned and line-break characters.

    Args:
        text: any text, also hostile.

    Returns:
        The text with each such character written as `[U+202E]`; a line break or tab in running text becomes a space.
    """
    if text.isascii() and text.isprintable():
        return text
    shown = []
    for character in text.replace("\r\n", "\n"):
        if character in "\n\t":
            shown.append(" ")
        elif character not in _KEPT and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            shown.append(f"[U+{ord(character):04X}]")
        else:
            shown.append(character)
    return "".join(shown)


KEPT_IN = ("withheld_in_public", "withheld_under_noise")
"""Reasons of findings in a public package whose outcome leaves, but whose figures do not."""


class Words:
    """Words in one language.

    Args:
        lang: one of `languages()`.

    Raises:
        LookupError: there are no words in that language.
    """

    __slots__ = ("_texts", "lang")

    def __init__(self, lang: str) -> None:
        self._texts = texts(lang)
        self.lang = lang

    # ---- texts by key

    def find(self, key: str, **params: Scalar) -> str | None:
        """Give the text of a key with its slots filled in, or None where there is none.

        Args:
            key: path through the files, with `.`; a part may itself hold dots (`documentation.items.annex_iv.1a`).
            params: for the slots; numbers are written as this language writes them.
        """
        found = _walk(self._texts, key.split("."))
        return self.fill(found, params) if isinstance(found, str) else None

    def __call__(self, key: str, /, **params: Scalar) -> str:
        """Give the text of a key with its slots filled in; without one, the key itself in brackets."""
        found = self.find(key, **params)
        return f"[{key}]" if found is None else found

    def many(self, key: str) -> Mapping[str, Any]:
        """Give the part of the texts under a key as it stands (empty where there is none)."""
        found = _walk(self._texts, key.split("."))
        return found if isinstance(found, Mapping) else {}

    def fill(self, text: str, params: Mapping[str, Scalar]) -> str:
        """Fill the slots of a text; a slot that nothing is known for stays visible."""
        return _SLOT.sub(
            lambda slot: self.scalar(params[slot[1]]) if slot[1] in params else slot[0],
            _GAP.sub(" ", text.strip(" \n")),
        )

    def scalar(self, value: Scalar) -> str:
        """Write a value of unknown unit."""
        if value is None:
            return self("outcomes.words.not_stated")
        if isinstance(value, bool):
            return self("outcomes.words.yes" if value else "outcomes.words.no")
        if isinstance(value, int):
            return self.whole(value)
        if isinstance(value, float):
            return self.decimal(value, 4)
        return value

    # ---- numbers and dates

    def whole(self, value: float) -> str:
        """Write a whole number with its thousands apart."""
        return f"{round(value):,}".replace(",", self("outcomes.numbers.thousands")).replace("-", "−")

    def decimal(self, value: float, digits: int = 3) -> str:
        """Write a number to so many significant digits, without zeros that say nothing."""
        if value == 0:
            return "0"
        if abs(value) >= 10 ** (digits - 1):
            return self.whole(value)
        if abs(value) < 1e-6:
            mantissa, _, exponent = f"{value:.1e}".partition("e")
            return self._localised(f"{mantissa} × 10^{int(exponent)}")
        given = Decimal(repr(float(value)))
        places = max(0, digits - 1 - given.adjusted())
        text = f"{given.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
        return self._localised(text.rstrip("0").rstrip(".") if "." in text else text)

    def share(self, value: float) -> str:
        """Write a share as a percentage without its sign: one decimal, two significant digits below one percent."""
        # In decimal, as it is read: 0.1945 is 19.5 %, whatever its nearest binary fraction.
        percent = 100 * Decimal(repr(float(value)))
        if percent == 0:
            return "0"
        if abs(percent) < _SMALLEST:
            return self._localised(f"{'−' if percent < 0 else ''}<{_SMALLEST:f}")
        places = 1 if abs(percent) >= 1 else min(6, 1 - percent.adjusted())
        text = f"{percent.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
        return self._localised(text.removesuffix(".0") if abs(percent) == 100 else text)

    def _localised(self, text: str) -> str:
        return text.replace(".", self("outcomes.numbers.decimal")).replace("-", "−")

    def number(self, value: float | None, unit: str, *, name: str = "", bare: bool = False) -> str:
        """Write a number in its unit.

        Args:
            value: None is written as a dash.
            unit: see `checks.finding.Measure`.
            name: of the measure: a difference of shares is in percentage points.
            bare: without the unit's word.
        """
        if value is None:
            return "–"
        match unit:
            case "share":
                text = self.share(value)
            case "rows" | "count":
                text = self.whole(value) if float(value).is_integer() else self.decimal(value, 4)
            case "ratio" if abs(value) >= 0.1:
                text = self._localised(f"{Decimal(repr(float(value))).quantize(Decimal('0.01'), ROUND_HALF_UP):f}")
            case _:
                text = self.decimal(value, 3)
        if bare:
            return text
        key = "points_of_share" if unit == "share" and _is_difference(name) else unit
        word = self.find(f"outcomes.units.{key}")
        return f"{text}{_NBSP}{word}" if word else text

    def said(self, check: str, measure: Measure) -> Measure:
        """Give a measure under a name that says its unit rightly: some bear that of what they are set against."""
        if check in _DIFFERENCES_BY_CHECK and measure.unit == "share":
            return measure.model_copy(update={"name": "difference"})
        return measure

    def interval(self, measure: Measure) -> str:
        """Write a measure's interval without its value, as in `17.9 to 21.0`; a dash where there is none."""
        if measure.low is None or measure.high is None:
            return "–"
        return self(
            "outcomes.numbers.interval", low=self._end(measure.low, measure), high=self._end(measure.high, measure)
        )

    def _end(self, end: float, measure: Measure) -> str:
        percent = 100 * Decimal(repr(float(end)))
        # The end of an interval needs no more digits than its value has, as long as it does not become 0.
        if measure.unit == "share" and abs(measure.value or 0.0) >= 0.01 and _SMALLEST < abs(percent) < 1:
            places = 1 if abs(percent) >= Decimal("0.05") else -percent.adjusted()
            return self._localised(f"{percent.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}")
        return self.number(end, measure.unit, name=measure.name, bare=True)

    def value(self, measure: Measure) -> str:
        """Write a measure with its interval, as in `19.5 % (17.9 to 21.0)`; exact numbers stand alone."""
        text = self.number(measure.value, measure.unit, name=measure.name)
        exact = measure.low is None or measure.high is None or measure.low == measure.high == measure.value
        return text if exact else f"{text} ({self.interval(measure)})"

    def date(self, date: dt.date | str | None) -> str:
        """Write a date out, as in `2 December 2027`; what is no date is shown as it stands."""
        if date is None:
            return self("outcomes.words.no_date")
        if isinstance(date, str):
            written = date
            try:
                date = dt.date.fromisoformat(written[:10])
            except ValueError:
                return written
        months = self._texts["outcomes"]["months"]
        return f"{date.day}{_NBSP}{months[date.month - 1]}{_NBSP}{date.year}"

    def time(self, stamp: str) -> str:
        """Write an ISO 8601 time out, to the minute, in UTC where it has a zone."""
        try:
            moment = dt.datetime.fromisoformat(stamp)
        except ValueError:
            return stamp
        if moment.tzinfo is not None:
            moment = moment.astimezone(dt.UTC)
        zone = " UTC" if moment.tzinfo is not None else ""
        return f"{self.date(moment.date())}, {moment:%H:%M}{zone}"

    def bytes(self, count: int | float) -> str:
        """Write a number of bytes in the unit that suits it."""
        amount = float(count)
        for unit in ("B", "kB", "MB", "GB"):
            if abs(amount) < 1000 or unit == "GB":
                break
            amount /= 1000
        return f"{self.decimal(amount, 3)}{_NBSP}{unit}"

    def joined(self, items: list[str] | tuple[str, ...]) -> str:
        """Write a list in a sentence: `a, b and c`."""
        if len(items) < 2:
            return "".join(items)
        return f"{', '.join(items[:-1])} {self('outcomes.words.and')} {items[-1]}"

    # ---- checks and findings

    def outcome(self, outcome: Outcome | str) -> str:
        """Say an outcome, as in `Beyond the limit set`."""
        return self(f"outcomes.outcome.{outcome}")

    def title(self, check: str) -> str:
        """Give the title of a check."""
        return self(f"checks.{check}.title")

    def finding_title(self, finding: Finding) -> str:
        """Give the title of a finding: the check's, with the attribute by which people are compared."""
        title = self.title(finding.check)
        if finding.attribute is None:
            return title
        return self("outcomes.sentences.by_attribute", title=title, attribute=finding.attribute)

    def measure_name(self, check: str, name: str) -> str:
        """Give the name of a measure; one of a class or feature (`name[of]`) keeps what it is of."""
        stem, _, rest = name.partition("[")
        found = self.find(f"checks.{check}.measures.{stem}") or self.find(f"outcomes.measures.{stem}")
        named = f"[checks.{check}.measures.{stem}]" if found is None else found
        return f"{named}, {rest.rstrip(']')}" if rest else named

    def says(self, finding: Finding, **params: Scalar) -> str:
        """Say what a finding is about."""
        return self(f"checks.{finding.check}.says", **{"attribute": finding.attribute or "", **params})

    def says_not(self, finding: Finding, **params: Scalar) -> str:
        """Say what a finding does not say."""
        return self(f"checks.{finding.check}.says_not", **{"attribute": finding.attribute or "", **params})

    def reason(self, reason: Reason, check: str | None = None) -> str:
        """Say why, in words; a code without words is shown as it stands.

        Args:
            check: whose own words are looked for first.
        """
        params = {name: self._reason_value(name, value) for name, value in reason.params.items()}
        own = self.find(f"checks.{check}.reasons.{reason.code}", **params) if check else None
        return own or self(f"reasons.{reason.code}", **params)

    def _reason_value(self, name: str, value: Scalar) -> Scalar:
        if isinstance(value, str):
            return self.find(f"reasons.values.{name}.{value}") or value
        return value

    def limit(self, applied: AppliedLimit, measure: Measure) -> str:
        """Say a limit without its origin, as in `at most 10 %`."""

        def say(bound: float) -> str:
            # A bound was chosen, not measured: it has no decimals but its own.
            said = self.number(bound, measure.unit, name=measure.name)
            return said.replace(f"{self('outcomes.numbers.decimal')}0{_NBSP}", _NBSP)

        if applied.at_least is not None and applied.at_most is not None:
            return self("outcomes.sentences.between", low=say(applied.at_least), high=say(applied.at_most))
        if applied.at_least is not None:
            return self("outcomes.sentences.at_least", bound=say(applied.at_least))
        return self("outcomes.sentences.at_most", bound=say(applied.at_most if applied.at_most is not None else 0.0))

    def origin(self, applied: AppliedLimit, *, short: bool = False) -> str:
        """Say where a limit comes from; short: only whose it is."""
        if applied.origin == "provider":
            return self("outcomes.sentences.origin_provider")
        if short:
            return self("outcomes.sentences.origin_policy_short")
        return self("outcomes.sentences.origin_policy", source=self.policy_text(applied.source))

    def why(self, applied: AppliedLimit) -> str:
        """Give the reason for a limit: a provider's own as it was written, a policy's in this language."""
        return applied.why if applied.origin == "provider" else self.policy_text(applied.why)

    def policy_text(self, text: str) -> str:
        """Give a text of a policy in this language; one without a translation stays as the policy has it."""
        translated = self.many("policies").get(text.strip())
        return translated if isinstance(translated, str) else text

    def finding_sentences(
        self, finding: Finding, outcome: Outcome | None = None, *, short: bool = False
    ) -> tuple[str, ...]:
        """Say each limited measure of a finding in one sentence: figure, interval, limit and origin of the limit.

        Args:
            outcome: only the measures with this outcome of their own; None takes all.
            short: say only whose a limit is, not its source.

        Returns:
            At least one sentence: a finding without limited measures says its outcome, and why.
        """
        title = self.finding_title(finding)
        sentences = []
        for name, applied in finding.limit.items():
            measure = finding.measure(name)
            if outcome is not None and applied.outcome is not outcome:
                continue
            what = self.measure_name(finding.check, name)
            if measure is None:
                kept_in = finding.reason is not None and finding.reason.code in KEPT_IN
                key = "outcomes.sentences.kept_in" if kept_in else "outcomes.sentences.unmet"
                sentences.append(self(key, title=title, measure=what, outcome=self.outcome(applied.outcome)))
                continue
            measure = self.said(finding.check, measure)
            parts = {"title": title, "measure": _inside_a_sentence(what), "origin": self.origin(applied, short=short)}
            parts["limit"] = self.limit(applied, measure)
            if measure.value is None:
                why = self.reason(measure.reason, finding.check) if measure.reason else ""
                sentences.append(" ".join((self("outcomes.sentences.no_value", **parts), why)).strip())
                continue
            parts["value"] = self.value(measure)
            sentences.append(self(f"outcomes.sentences.{applied.outcome}", **parts))
        if sentences:
            return tuple(sentences)
        said = self("outcomes.sentences.plain", title=title, outcome=self.outcome(finding.outcome))
        if finding.reason is not None:
            said = f"{said} {self.reason(finding.reason, finding.check)}"
        return (said,)

    def finding_sentence(self, finding: Finding) -> str:
        """Say a finding in one sentence: of its limited measures the one that decides its outcome."""
        deciding = [a.outcome for a in finding.limit.values()]
        wanted = finding.outcome if finding.outcome in deciding else None
        return self.finding_sentences(finding, wanted)[0]

    # ---- the law

    def class_name(self, risk_class: str) -> str:
        """Name a risk class."""
        return self(f"law.classes.{risk_class}.name")

    def class_meaning(self, risk_class: str) -> str:
        """Say what a risk class means, in a sentence or two."""
        return self(f"law.classes.{risk_class}.meaning")

    def overlay(self, overlay: str) -> str:
        """Name an overlay."""
        return self(f"law.overlays.{overlay}")

    def role(self, role: str) -> str:
        """Name a role of the Act."""
        return self(f"law.roles.{role}")

    def duty(self, duty: str) -> str:
        """Say a duty in a few words."""
        return self(f"law.duties.{duty}.name")

    def duty_text(self, duty: str) -> str:
        """Say in a sentence what a duty asks."""
        return self(f"law.duties.{duty}.text")

    def duty_note(self, note: str) -> str:
        """Say a remark beside a duty."""
        return self(f"law.duty_notes.{note}")

    def other_law(self, law: str) -> str:
        """Name law beside the Act."""
        return self(f"law.other_law.{law}")

    def contradiction(self, contradiction: Contradiction) -> str:
        """Say both sides of an answer that does not go with something else in the submission."""
        return self(
            f"law.contradictions.{contradiction.code}",
            question=self.question(contradiction.question),
            answer=self.answer(contradiction.question, contradiction.answer),
            observed=contradiction.observed,
        )

    def question(self, question: str) -> str:
        """Give a question of the questionnaire, or the fact of the profile that goes by that id."""
        if question.startswith("profile."):
            return self(f"card.profile.{question.removeprefix('profile.')}")
        if question.startswith("stated."):
            return self(f"law.{question}")
        return self.find(f"questions.questions.{question}.text") or self(f"questions.formerly.{question}.text")

    def answer(self, question: str, option: str) -> str:
        """Give an answer to a question in words; what was stated elsewhere is its own words."""
        if question.startswith("stated."):
            return option
        own = self.find(f"questions.questions.{question}.options.{option}")
        earlier = self.find(f"questions.formerly.{question}.options.{option}")
        return own or earlier or self(f"questions.common.{option}")

    # ---- documentation

    def item(self, item: str, check: str) -> str:
        """Name a thing that a check looked for: by its own words, as a measure, or as an item of documentation."""
        own = self.find(f"checks.{check}.items.{item}") or self.find(f"checks.{check}.measures.{item}")
        if own is not None:
            return own
        return item if check in self._free_items() else self(f"documentation.items.{item}")

    def state(self, state: str, check: str) -> str:
        """Say the state that a thing was found in."""
        return self.find(f"checks.{check}.states.{state}") or self(f"documentation.states.{state}")

    def _free_items(self) -> tuple[str, ...]:
        # The provider names these itself, so there can be no words for them.
        return ("accuracy.claims",)


def _walk(found: Any, parts: list[str]) -> Any:
    """Follow a path of which a part may itself hold dots: the longest key that fits goes first."""
    if not parts:
        return found
    if not isinstance(found, Mapping):
        return None
    for length in range(len(parts), 0, -1):
        key = ".".join(parts[:length])
        if key in found:
            deeper = _walk(found[key], parts[length:])
            if deeper is not None:
                return deeper
    return None


def _inside_a_sentence(name: str) -> str:
    """Begin a name with a small letter, unless it begins with an abbreviation."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def _is_difference(name: str) -> bool:
    return not _DIFFERENCES.isdisjoint(name.split("_"))
