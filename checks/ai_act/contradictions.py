"""Find statements that do not go with something else in the submission; both sides are quoted and left to a person.

Nothing found here changes a class: an answer stands until a person corrects it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from checks import resources
from checks.ai_act.answers import Profile, facts
from checks.ai_act.logic import Facts
from checks.ai_act.risk import Contradiction
from checks.ai_act.rules import Rules
from checks.declaration import Declaration

_WORD = re.compile(r"[a-zà-ÿ]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MOST_QUOTED = 8
_DATE = re.compile(r"\b((?:19|20)\d{2}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)?)\b")
_AGES = re.compile(
    r"\b(\d{1,3})\s*(?:-|–|to|tot(?: en met)?|t/m)\s*(\d{1,3})\s*(?:years?|jaar|jarigen?)\b", re.IGNORECASE
)


STATED = "stated."
"""Begins the name of what was stated elsewhere than in the questionnaire: `stated.claims`, `stated.period`, ..."""


class Claim(BaseModel):
    """A figure that the provider claims, and the one measured, where the whole interval falls short of the claim."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    claimed: float
    measured: float


class Dates(BaseModel):
    """A column that holds dates or years: the first and the last, as written (`2024-01-31`, `2024-01` or `2024`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    first: str
    last: str


class Range(BaseModel):
    """The smallest and the largest value of a column of numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    low: float
    high: float


class Observed(BaseModel):
    """What the upload shows, as far as it is compared with what was stated. What is left out contradicts nothing.

    `columns`: the names of the columns of the data, in order; empty where there are none or only counts.
    `identifying`, `special`: columns in which a finding on privacy saw identifiers or a special category.
    `claims`: claims that the whole interval of the measured figure falls short of.
    `dates`, `ages`: columns of dates, and of the age of persons in years.
    `groups`: the values of each attribute that people are compared by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[str, ...] = ()
    identifying: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    dates: tuple[Dates, ...] = ()
    ages: tuple[Range, ...] = ()
    groups: dict[str, tuple[str, ...]] = {}


class _MeasureLike(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def low(self) -> float | None: ...


class _GroupLike(Protocol):
    @property
    def group(self) -> Mapping[str, str | None]: ...
    @property
    def measures(self) -> Sequence[_MeasureLike]: ...


class _ItemLike(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def params(self) -> Mapping[str, Any]: ...


class FindingLike(Protocol):
    """What is read of a finding; findings of a check that does not exist are simply not there."""

    @property
    def check(self) -> str:
        """The code of the check."""

    @property
    def groups(self) -> Sequence[_GroupLike]:
        """Measures by group or feature."""

    @property
    def measures(self) -> Sequence[_MeasureLike]:
        """Measures of the whole."""

    @property
    def items(self) -> Sequence[_ItemLike]:
        """What was looked for."""


def observe(
    findings: Sequence[FindingLike],
    *,
    columns: tuple[str, ...] = (),
    dates: tuple[Dates, ...] = (),
    ages: tuple[Range, ...] = (),
    groups: Mapping[str, tuple[str, ...]] | None = None,
) -> Observed:
    """Take from the findings what is compared with what was stated.

    Args:
        findings: of the assessment; `privacy.identifiers`, `privacy.special_categories` and `accuracy.claims` are read.
        columns, dates, ages, groups: see `Observed`.
    """
    no_category = frozenset(resources.read("ai_act/signals.yaml")["no_special_category"])
    claims: list[Claim] = []
    for finding in findings:
        if finding.check != "accuracy.claims":
            continue
        short = {m.name for m in finding.measures if m.low is not None and m.low > 0}
        for item in finding.items:
            if item.state == "compared" and item.id in short:
                claimed, measured = float(item.params["claimed"]), float(item.params["measured"])
                claims.append(Claim(name=item.id, claimed=claimed, measured=measured))
    return Observed(
        columns=columns,
        identifying=_features(findings, "privacy.identifiers", frozenset()),
        special=_features(findings, "privacy.special_categories", no_category),
        claims=tuple(claims),
        dates=dates,
        ages=ages,
        groups=dict(groups or {}),
    )


def _features(findings: Sequence[FindingLike], code: str, leave_out: frozenset[str]) -> tuple[str, ...]:
    named = [
        group.group.get("feature")
        for finding in findings
        if finding.check == code
        for group in finding.groups
        if any(m.name not in leave_out for m in group.measures)
    ]
    return tuple(dict.fromkeys(n for n in named if n))


def contradictions(declaration: Declaration, observed: Observed, rules: Rules) -> tuple[Contradiction, ...]:
    """Compare what was stated with what the upload shows.

    Answers are compared with column names, the label, the stated purpose and findings on privacy; claims with measured
    figures; the data sheet's period and population with dates, ages and groups of the data.

    Args:
        declaration: answers, purpose, column roles and data sheet.
        observed: what was found in the data and by the checks.
        rules: the law of the version that the system was classified by: an answer to what it did not ask says nothing.

    Returns:
        One entry per statement and kind, in the order of the questions looked at. A word in a name is a hint, not a
        proof: `age` may be that of a machine. An answer that was not given contradicts nothing.
    """
    signals: Mapping[str, Any] = resources.read("ai_act/signals.yaml")
    known = facts(declaration.answers, Profile.of(declaration), rules)
    return (
        *_in_columns(signals["columns"], known, declaration, observed),
        *_in_decisions(signals["decisions"], known, declaration),
        *_in_purpose(signals["purposes"], known, declaration),
        *_in_findings(signals, known, observed),
        *_in_claims(observed),
        *_in_period(declaration, observed),
        *_in_population(signals["populations"], declaration, observed),
    )


def _in_columns(
    signals: Iterable[Mapping[str, Any]], known: Facts, declaration: Declaration, observed: Observed
) -> Iterator[Contradiction]:
    data = declaration.data
    named = observed.columns or (tuple(data.columns) if data is not None else ())
    for signal in signals:
        if not _says(known, signal["question"], signal["answer"]):
            continue
        looked_at = [
            c for c in named if not signal.get("features_only") or (data is not None and data.role(c).is_feature)
        ]
        hits = [c for c in looked_at if _names(c, signal["words"])]
        if hits:
            yield _entry(signal["code"], signal["question"], signal["answer"], _quoted(hits))


def _in_decisions(
    signals: Iterable[Mapping[str, Any]], known: Facts, declaration: Declaration
) -> Iterator[Contradiction]:
    data = declaration.data
    if data is None:
        return
    named = [*([data.label] if data.label else []), *data.classes]
    if declaration.predictions is not None and declaration.predictions.decision is not None:
        named.append(declaration.predictions.decision)
    for signal in signals:
        if _says(known, signal["question"], signal["answer"]):
            hits = [n for n in named if _names(n, signal["words"])]
            if hits:
                yield _entry(signal["code"], signal["question"], signal["answer"], _quoted(hits))


def _in_purpose(
    signals: Iterable[Mapping[str, Any]], known: Facts, declaration: Declaration
) -> Iterator[Contradiction]:
    purpose = declaration.system.intended_purpose
    for signal in signals:
        question, option = signal["question"], signal["option"]
        excluded = known.gate(question).truth is not False and known.is_settled(question)
        if not excluded or option in known.chosen(question):
            continue
        sentence = next((s for s in re.split(r"(?<=[.!?])\s+", purpose) if _names(s, signal["words"])), None)
        if sentence is not None:
            yield _entry(signal["code"], question, option, sentence[:300])


def _in_findings(signals: Mapping[str, Any], known: Facts, observed: Observed) -> Iterator[Contradiction]:
    """Tell of columns whose values speak against an answer, where their names did not tell already."""
    told = {s["code"]: s for s in signals["columns"]}
    for code, columns, answers in (
        ("personal_data_column", observed.identifying, ("no",)),
        ("special_data_column", observed.special, ("no", "yes")),
    ):
        words = told[code]["words"]
        by_name = [c for c in observed.columns if _names(c, words)] if told[code]["answer"] in answers else []
        hits = [c for c in columns if c not in by_name]
        for answer in answers:
            if hits and _says(known, "personal_data", answer):
                yield _entry(code.replace("_column", "_found"), "personal_data", answer, _quoted(hits))


def _in_claims(observed: Observed) -> Iterator[Contradiction]:
    for claim in observed.claims:
        yield _entry(
            "claim_beyond_measured", f"{STATED}claims", f"{claim.name} {claim.claimed:g}", f"{claim.measured:.4g}"
        )


def _in_period(declaration: Declaration, observed: Observed) -> Iterator[Contradiction]:
    period = str(declaration.datasheet.get("period") or "")
    stated = _DATE.findall(period)
    if not stated:
        return
    first, last = min(stated), max(stated)
    for dates in observed.dates:
        # Dates of another precision are compared as far as both go: within 2024 lies 2024-05-31.
        if _cut(dates.first, first) < _cut(first, dates.first) or _cut(dates.last, last) > _cut(last, dates.last):
            yield _entry(
                "period_beyond_stated", f"{STATED}period", period[:300], f"{dates.column}: {dates.first} – {dates.last}"
            )


def _cut(date: str, like: str) -> str:
    return date[: len(like)]


def _in_population(
    signals: Iterable[Mapping[str, Any]], declaration: Declaration, observed: Observed
) -> Iterator[Contradiction]:
    population = str(declaration.datasheet.get("population") or "")
    if stated := _AGES.search(population):
        low, high = int(stated[1]), int(stated[2])
        for ages in observed.ages:
            if ages.low < low or ages.high > high:
                seen = f"{ages.column}: {ages.low:g} – {ages.high:g}"
                yield _entry("population_beyond_stated", f"{STATED}population", population[:300], seen)
    for signal in signals:
        if not _names(population, signal["only"]) or _names(population, signal["not_only"]):
            continue
        for attribute, values in observed.groups.items():
            hits = [v for v in values if v.casefold() in signal["not_only_values"]] if attribute else []
            if hits and _names(attribute, signal["attributes"]):
                seen = f"{attribute}: {_quoted(hits)}"
                yield _entry("population_beyond_stated", f"{STATED}population", population[:300], seen)


def _says(known: Facts, question: str, answer: str) -> bool:
    return known.gate(question).truth is not False and answer in known.chosen(question)


def _names(text: str, words: Iterable[str]) -> bool:
    lowered = " ".join(_WORD.findall(_HUMP.sub(" ", text).lower()))
    for word in words:
        pattern = re.escape(word.removesuffix("*")) + ("" if word.endswith("*") else r"\b")
        if re.search(rf"\b{pattern}", lowered):
            return True
    return False


def _quoted(names: list[str]) -> str:
    more = f" (+{len(names) - _MOST_QUOTED})" if len(names) > _MOST_QUOTED else ""
    return ", ".join(names[:_MOST_QUOTED]) + more


def _entry(code: str, question: str, answer: str, observed: str) -> Contradiction:
    return Contradiction(code=code, question=question, answer=answer, observed=observed)
