"""What a check hands over and what the judge makes of it: measures, figures, findings and their outcomes."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Scalar = str | int | float | bool | None

ROWS_TO_DECIDE = "rows_to_decide"
"""Name of the measure that the judge itself adds where a check gives it: about how many more rows would decide."""


class Fact(BaseModel):
    """Base of all that a dossier carries: frozen, nothing unknown, NaN and infinity refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Outcome(StrEnum):
    """What can be said of one finding; the order is from heaviest to lightest."""

    ERROR = "error"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_GATHERED = "not_gathered"
    PASS = "pass"  # noqa: S105  # an outcome, not a password
    MEASURED = "measured"
    NOT_APPLICABLE = "not_applicable"


class Rejudge(StrEnum):
    """From what a check can be judged again without the model."""

    DOSSIER = "dossier"
    EVIDENCE = "evidence"


class Reason(Fact):
    """Why; words are made at the edge from `reasons.<code>` in the reader's language, with `params` filled in."""

    code: str
    params: dict[str, Scalar] = Field(default_factory=dict)


class Measure(Fact):
    """One measured number with its interval.

    Args:
        name: as in `difference`, `ratio`, `selection_rate`; with the check's code it is the key of its words.
        value: in `unit`; None where it has no value (`reason` says why). Never a number for an unknown.
        low, high: bounds of the interval at the policy's confidence, adjusted for the family of comparisons the policy
            names; equal to `value` where the number is exact (a count of rows that were all looked at).
        unadjusted: the interval without that adjustment, where it differs.
        rows: number of rows behind it (not weighted).
        unit: `share`, `ratio`, `rows`, `points` (of a score), `label` (the unit of the label), `seconds`, `count`.
        definition: the definition followed, as in `fairlearn.metrics.selection_rate`.
        interval: the method, as in `wilson`, `newcombe, Bonferroni over 5 pairs`, `exact`.
        reason: why there is no value, or what must be known beside it.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unadjusted: tuple[float, float] | None = None
    rows: int
    unit: str
    definition: str = ""
    interval: str = ""
    reason: Reason | None = None


class GroupMeasures(Fact):
    """The measures of one group (or of one feature, where a check speaks of features).

    Args:
        group: attribute (or `feature`) by name to its value; None is a value that was not stated.
        rows: rows of the group.
        effective_rows: effective number of rows under weights; None where there are none.
        too_small: whether the group has fewer (effective) rows than the policy asks; it stays visible.
    """

    group: dict[str, str | None]
    rows: int
    effective_rows: float | None = None
    too_small: bool = False
    measures: tuple[Measure, ...] = ()


class Item(Fact):
    """One thing looked for, as an item of technical documentation: its id, the state found, and where.

    Args:
        id: stable id, key of its words, as in `annex_iv.2g`.
        state: as in `found`, `short`, `placeholder`, `not_found`.
        params: as in `document`, `passage`, `heading`.
    """

    id: str
    state: str
    params: dict[str, Scalar] = Field(default_factory=dict)


class Figure(Fact):
    """Typed data of one plot; drawing is for the document layer.

    Args:
        name: unique in the dossier, as in `fairness.selection_rate.sex`: the file name of its data and picture.
        kind: `group_rates`, `importance`, `beeswarm`, `decision`, `bars`, `calibration`, ...: how it is drawn.
        columns: equally long columns of numbers or text.
        params: what the drawing needs beside (unit, attribute, limit, base value).
        row_level: whether it shows single rows; then it never leaves in a public package.
    """

    name: str
    kind: str
    columns: dict[str, tuple[Scalar, ...]]
    params: dict[str, Scalar] = Field(default_factory=dict)
    row_level: bool = False


class Measured(Fact):
    """A check's result: what was measured, not yet judged.

    Args:
        measures: the headline measures; those that the policy limits are judged.
        groups: the measures of each group.
        items: things looked for, where the check is about documents.
        figures: data of its plots.
        reason: what the reader must know beside the figures.
        never_within: why the finding may not be called within its limit, however good it looks (labels known for some
            people only, say); the outcome is then at best `inconclusive`.
        settles_nothing: why nothing can be concluded from these figures, with or without a limit; the outcome is then
            at best `inconclusive`.
    """

    measures: tuple[Measure, ...] = ()
    groups: tuple[GroupMeasures, ...] = ()
    items: tuple[Item, ...] = ()
    figures: tuple[Figure, ...] = ()
    reason: Reason | None = None
    never_within: Reason | None = None
    settles_nothing: Reason | None = None


class NotApplicable(Fact):
    """The check does not fit this system; `reason` says why."""

    reason: Reason


class NotGathered(Fact):
    """Something the check needs is absent; `reason` says what to supply, `items` what is there and what is not."""

    reason: Reason
    items: tuple[Item, ...] = ()


Result = Measured | NotApplicable | NotGathered


class AppliedLimit(Fact):
    """The limit that one measure was judged by.

    Args:
        at_least, at_most: bounds, in the measure's unit.
        origin: `policy` or `provider`.
        source: where the limit comes from.
        why: the reason given for it.
        outcome: what came of this measure alone.
    """

    at_least: float | None = None
    at_most: float | None = None
    origin: str
    source: str = ""
    why: str = ""
    outcome: Outcome


class LawRef(Fact):
    """A provision that a finding is evidence for, and whether it applies to this system."""

    provision: str
    applies: str = "undetermined"
    applies_from: dt.date | None = None


class Finding(Fact):
    """One judged result: what the dossier holds of one check (for one attribute, where it compares people).

    Args:
        check: its code, `family.name`.
        outcome: see `Outcome`.
        attribute: by what people were compared; None for the system as a whole.
        limit: by measure name, the limits it was judged by.
        reason: why this outcome, or what must be known beside it.
        rejudge: from what it can be judged again.
        law: provisions that it is evidence for.
        figures: names of its figures.
        incident: id of our own fault, for an `error`.
    """

    check: str
    outcome: Outcome
    attribute: str | None = None
    limit: dict[str, AppliedLimit] = Field(default_factory=dict)
    reason: Reason | None = None
    rejudge: Rejudge
    law: tuple[LawRef, ...] = ()
    measures: tuple[Measure, ...] = ()
    groups: tuple[GroupMeasures, ...] = ()
    items: tuple[Item, ...] = ()
    figures: tuple[str, ...] = ()
    incident: str | None = None

    @property
    def family(self) -> str:
        """The family the check belongs to, as in `fairness`."""
        return self.check.partition(".")[0]

    def measure(self, name: str) -> Measure | None:
        """Give a headline measure by name, or None."""
        return next((m for m in self.measures if m.name == name), None)


def undecided_matters(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], ...]:
    """Gather the undecided findings into what counts as one, in their order: each with a limit is a matter of its own.

    Findings without a limit that settle nothing for the same reason, in one family, are one matter; what was not
    gathered is undecided only where a limit was set on it.
    """
    matters: dict[object, list[Finding]] = {}
    for place, finding in enumerate(findings):
        if finding.limit and finding.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_GATHERED):
            matters[place] = [finding]
        elif finding.outcome is Outcome.INCONCLUSIVE:
            why = finding.reason.code if finding.reason else ""
            matters.setdefault((finding.family, why), []).append(finding)
    return tuple(tuple(alike) for alike in matters.values())


def count_outcomes(findings: tuple[Finding, ...] | list[Finding]) -> Mapping[str, int]:
    """Count the findings `beyond` and `within` their limit, the `undecided` matters, and `errors`, which are ours.

    A finding without a limit counts in none of them, unless it settles nothing: see `undecided_matters`.
    """
    of = Counter(finding.outcome for finding in findings)
    return {
        "beyond": of[Outcome.FAIL],
        "undecided": len(undecided_matters(findings)),
        "within": of[Outcome.PASS],
        "errors": of[Outcome.ERROR],
    }


def dumped(fact: Fact) -> dict[str, Any]:
    """Give a fact as JSON types."""
    return fact.model_dump(mode="json", by_alias=True)
