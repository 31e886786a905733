"""All that a document may know of an assessment: the dossier (the same for the same submission) and its run.

`Dossier` is `dossier.json`: a pure function of evidence, declaration, policy, rules, seed, versions and date.
`Run` is `run.json`: receipt, times and meters, all that differs from run to run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import pyarrow as pa
from pydantic import Field

from checks.ai_act.contradictions import contradictions, observe
from checks.ai_act.coverage import cover, law_of
from checks.ai_act.observing import ages_of, dates_of, groups_of
from checks.ai_act.risk import Risk
from checks.ai_act.rules import load
from checks.declaration import Declaration, Route
from checks.evidence import Evidence
from checks.finding import Fact, Figure, Finding, LawRef, Outcome, Scalar, count_outcomes
from checks.judge import Judged
from checks.policy import Policy
from checks.registry import catalogue

SCHEMA = "1"


class LimitsRecorded(Fact):
    """When the limits were first recorded, as far as can be shown.

    Args:
        digest: SHA-256 of the provider's own limits as canonical JSON; None where there are none.
        when: `with_submission` (they came with this submission) or `sealed_before` (a seal from before the run).
        sealed_at: time of that seal, ISO 8601; None without one.
    """

    digest: str | None = None
    when: str = "with_submission"
    sealed_at: str | None = None


class SubmissionFacts(Fact):
    """Which submission this is about.

    Args:
        columns: names of the data's columns that were read, groups and inputs; empty where there were no rows.
    """

    digest: str
    route: Route
    evidence_digest: str
    files: dict[str, str] = Field(default_factory=dict)
    columns: tuple[str, ...] = ()
    limits_recorded: LimitsRecorded = LimitsRecorded()


class GlobalImportance(Fact):
    """Mean absolute Shapley value of one feature, with its interval, in the unit of the explained output."""

    feature: str
    mean_abs: float
    low: float | None = None
    high: float | None = None


class Explanation(Fact):
    """How single answers were explained, and how far that can be relied on."""

    method: str
    background_rows: int
    explained_rows: int
    global_: tuple[GlobalImportance, ...] = Field(default=(), alias="global")
    additivity_error: float | None = None
    sampling_error: float | None = None


class PolicyFacts(Fact):
    """Under which policy the findings were judged."""

    name: str
    version: str
    recorded: dt.date
    confidence: float
    minimum_rows: int
    suppress_below: int


class CountTable(Fact):
    """Weighted counts of one attribute: what count-based checks can be judged again from.

    Args:
        kind: `cells` (group x label x decision) or `moments` (sums per group).
        attribute: empty for everyone.
        columns: equally long columns; see `checks.evidence`.
    """

    kind: str
    attribute: str
    columns: dict[str, tuple[Scalar, ...]]


class Noise(Fact):
    """Noise that was drawn once for the counts of a public package: differential privacy of one row more or less.

    Args:
        epsilon: of all counts of this package together; smaller hides more.
        spent: of all packages about the same data so far, this one included.
        budget: the most that the operator lets them spend.
        tables: number of count tables that epsilon was divided over, in equal parts.
        within: 95 % of the counts, or a little more, differ by at most this number of rows from what was counted.
        mechanism: of the noise, with the library that drew it.
    """

    epsilon: float
    spent: float
    budget: float
    tables: int
    within: int
    mechanism: str


class Publication(Fact):
    """What was done to a dossier before it became public.

    Args:
        suppress_below: counts of fewer people than this were kept in.
        noise: None where the figures that leave are as they were measured.
    """

    suppress_below: int
    noise: Noise | None = None


class Dossier(Fact):
    """One assessment, complete: what `dossier.json` holds.

    Args:
        schema_: version of this format.
        declaration: what the provider stated, without what the files hold row by row.
        counts: weighted count tables.
        figures: names of all figures, in the order of findings.
        notes: codes of what must be read beside all figures.
        versions: of this software and of the libraries that the figures come from.
        publication: of a public package alone; absent from the JSON of a whole dossier.
    """

    schema_: str = Field(default=SCHEMA, alias="schema")
    submission: SubmissionFacts
    declaration: Declaration
    findings: tuple[Finding, ...]
    figures: tuple[str, ...] = ()
    explanation: Explanation | None = None
    risk: Risk
    policy: PolicyFacts
    counts: tuple[CountTable, ...] = ()
    scan: dict[str, Any] = Field(default_factory=dict)
    model_fault: dict[str, Any] | None = None
    versions: dict[str, str]
    seed: int
    publication: Publication | None = None

    @property
    def outcome_counts(self) -> Mapping[str, int]:
        """How many findings lie beyond, are undecided and lie within their limit."""
        return count_outcomes(self.findings)

    def of(self, outcome: Outcome) -> tuple[Finding, ...]:
        """Give the findings of one outcome, first those that say what the others are worth (see `Check.first`)."""
        first = {check.code for check in catalogue() if check.first}
        return tuple(sorted((f for f in self.findings if f.outcome is outcome), key=lambda f: f.check not in first))

    def finding(self, check: str, attribute: str | None = None) -> Finding | None:
        """Give one finding, or None."""
        return next((f for f in self.findings if f.check == check and f.attribute == attribute), None)

    def to_json(self) -> bytes:
        """Write the dossier as JSON in its own order: the same dossier gives the same bytes, read again or not.

        The order of columns and of a provider's limits is part of what was stated, so keys are not sorted.
        """
        return self.written

    @cached_property
    def written(self) -> bytes:
        """Its JSON, written once: every document names the digest of it."""
        return canonical(self.as_dict(), is_sorted=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the dossier; the copy is written anew."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("written", None)
        return copied

    def as_dict(self) -> dict[str, Any]:
        """Give the dossier as JSON types, with `system` beside `declaration` as the contract has it."""
        given = self.model_dump(mode="json", by_alias=True)
        if self.publication is None:
            # So that a dossier made before there was this field keeps its digest.
            del given["publication"]
        return {**given, "system": given["declaration"]["system"]}

    @classmethod
    def from_json(cls, raw: bytes) -> Dossier:
        """Read a dossier.

        Raises:
            pydantic.ValidationError: it is not a dossier of this schema.
            ValueError: it is not JSON.
        """
        given = json.loads(raw)
        given.pop("system", None)
        return cls.model_validate(given)

    @property
    def digest(self) -> str:
        """SHA-256 of its canonical JSON, hexadecimal."""
        return hashlib.sha256(self.to_json()).hexdigest()


class AttemptFacts(Fact):
    """One thing tried from inside a sibling cell."""

    probe: str
    expected: str
    observed: str
    held: bool


class ReceiptFacts(Fact):
    """The isolation receipt as documents show it; all figures measured outside the cell.

    Args:
        joules: what the processor packages of the whole machine used meanwhile; None where the machine does not tell.
        cpu_seconds_per_1000_predictions, joules_per_1000_predictions: of the whole run, loading the model included; the
            second over the rows that this machine's own cells were asked.
        lent: cells of other workers that answered a part of the rows; processor time, bytes and rows above include
            what is known of them.
        test_data_by: who supplied the rows that were asked: `submitter`, and `reviewer` where rows were added that the
            submitter never saw. A submitter's rows were in its hands together with the model.
        test_data_digest: SHA-256 of the submitter's rows as handed in; empty where that is not known.
        test_data_committed: when that digest was recorded before the model was there, by the provider's clock; empty
            where no record says so.
    """

    backend: str
    runtime: str
    image: str
    profile_digest: str
    user: str
    memory_limit_by: str
    limits: dict[str, float]
    probes: tuple[AttemptFacts, ...]
    ending: str
    seconds: float
    cpu_seconds: float | None
    peak_bytes: int | None
    bytes_in: int
    bytes_out: int
    rows_asked: int
    joules: float | None = None
    cpu_seconds_per_1000_predictions: float | None = None
    joules_per_1000_predictions: float | None = None
    test_data_by: tuple[str, ...] = ()
    test_data_digest: str = ""
    test_data_committed: str = ""
    lent: tuple[LentCell, ...] = ()
    notes: tuple[str, ...] = ()


class LentCell(Fact):
    """A cell that another worker of the cluster opened for this assessment.

    Args:
        worker: which one, by a number of this assessment alone.
        rows_answered: rows whose answers were taken from it.
        receipt: of this one cell: the wall there, as it was tried, and what the cell used. Its ending is `lost` where
            the worker or the way to it was gone, and `cancelled` where it was ended, before it could tell what it used.
    """

    worker: str
    rows_answered: int
    receipt: ReceiptFacts


class Standing(Fact):
    """What a service knows of a submission beside what is in it.

    Args:
        retention_days: how long upload and evidence are kept there; None where that is not known.
        until_review: the upload is erased as soon as the review is signed, if that is sooner.
        residency: where it is kept and processed, in the operator's words; empty where they do not say.
        results_before_limits: how many finished submissions on the same data there were when the limits were recorded.
        limits_changed: whether the last of those had other limits; None where there was none.
    """

    retention_days: int | None = None
    until_review: bool = False
    residency: str = ""
    results_before_limits: int = 0
    limits_changed: bool | None = None


class Run(Fact):
    """What differs from run to run: `run.json`.

    Args:
        attested_by: `provider_machine`, `service` or `reviewer`.
        dossier_digest: SHA-256 of `dossier.json`.
        receipt: None where no model was run.
        intake: how the upload was read: `cell` or `limited_process`.
        started, ended: ISO 8601 with zone.
        seconds: by stage.
        notes: sentences about the choice of wall and the like, in English.
        who: who ran it, as far as known (a service account or a user name); empty if not known.
        standing: what the service knows of the submission; None where no service ran it.
    """

    schema_: str = Field(default=SCHEMA, alias="schema")
    attested_by: str
    dossier_digest: str
    receipt: ReceiptFacts | None = None
    intake: str
    started: str
    ended: str
    seconds: dict[str, float]
    machine: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    who: str = ""
    standing: Standing | None = None

    def to_json(self) -> bytes:
        """Write the run as canonical JSON."""
        return canonical(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def from_json(cls, raw: bytes) -> Run:
        """Read a run.

        Raises:
            pydantic.ValidationError: it is not a run of this schema.
        """
        return cls.model_validate_json(raw)


class Assessment(Fact):
    """A dossier, its run and the data of its figures: what documents are made from.

    Args:
        run: None where documents are made from a dossier alone.
    """

    dossier: Dossier
    run: Run | None = None
    figures: tuple[Figure, ...] = ()


def canonical(value: Any, *, is_sorted: bool = True) -> bytes:
    """Write JSON types as UTF-8 JSON with two spaces, a final line feed and no NaN.

    Args:
        value: JSON types.
        is_sorted: keys in the order of the alphabet; else in the order they have.
    """
    return (json.dumps(value, ensure_ascii=False, sort_keys=is_sorted, indent=2, allow_nan=False) + "\n").encode()


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of `dossier.json` (draft 2020-12)."""
    schema = Dossier.model_json_schema(by_alias=True, mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "AI Act sandbox dossier"
    schema["properties"]["system"] = {"$ref": "#/$defs/System"}
    return schema


def compose(
    evidence: Evidence,
    judged: Sequence[Judged],
    risk: Risk,
    policy: Policy,
    *,
    files: Mapping[str, str],
    versions: Mapping[str, str],
    limits_recorded: LimitsRecorded | None = None,
    columns: tuple[str, ...] | None = None,
) -> tuple[Dossier, tuple[Figure, ...]]:
    """Put together what an assessment found. Pure: the same arguments give the same dossier.

    Args:
        evidence: sealed facts; only their digest, counts, scan and fault are taken, never rows.
        judged: findings and figures, in catalogue order.
        risk: as classified; the duties' cover and the findings' law are worked out here.
        policy: what the findings were judged by.
        files: SHA-256 by path of the submission's files.
        versions: of this software and of the libraries behind the figures.
        limits_recorded: see `LimitsRecorded`; worked out from the declaration where not given.
        columns: names of the data's columns; those of the evidence where not given.

    Returns:
        The dossier, and the data of its figures.
    """
    findings = tuple(
        j.finding.model_copy(
            update={
                "law": tuple(
                    LawRef(provision=c.provision, applies=c.applies, applies_from=c.applies_from)
                    for c in law_of([ref.provision for ref in j.finding.law], risk)
                )
            }
        )
        for j in judged
    )
    figures = tuple(figure for j in judged for figure in j.figures)
    named = columns_of(evidence) if columns is None else columns
    seen = observe(
        findings, columns=named, dates=dates_of(evidence), ages=ages_of(evidence), groups=groups_of(evidence)
    )
    against = contradictions(evidence.declaration, seen, load(risk.rules_version))
    risk = risk.model_copy(update={"contradictions": against})
    dossier = Dossier(
        submission=SubmissionFacts(
            digest=evidence.submission_digest,
            route=evidence.route,
            evidence_digest=evidence.digest,
            files=dict(sorted(files.items())),
            columns=named,
            limits_recorded=limits_recorded or LimitsRecorded(digest=limits_digest(evidence.declaration)),
        ),
        declaration=evidence.declaration,
        findings=findings,
        figures=tuple(f.name for f in figures),
        explanation=_explanation(findings),
        risk=cover(risk, findings),
        policy=PolicyFacts(
            name=policy.name,
            version=policy.version,
            recorded=policy.recorded,
            confidence=policy.terms.confidence,
            minimum_rows=policy.terms.minimum_rows,
            suppress_below=policy.terms.suppress_below,
        ),
        counts=tuple(
            CountTable(kind=kind, attribute=name, columns={c: tuple(t.column(c).to_pylist()) for c in t.column_names})
            for kind, tables in (("cells", evidence.cells), ("moments", evidence.moments))
            for name, t in sorted(tables.items())
        ),
        scan=dict(evidence.scan),
        model_fault=dict(evidence.model_fault) if evidence.model_fault else None,
        versions=dict(versions),
        seed=evidence.seed,
    )
    return dossier, figures


def columns_of(evidence: Evidence) -> tuple[str, ...]:
    """Name the columns of the data that were read: inputs first, then those that are only groups."""
    if evidence.rows is None:
        return ()
    named = [n.partition(":")[2] for n in evidence.rows.column_names if n.startswith(("feature:", "group:"))]
    return tuple(dict.fromkeys(named))


def limits_digest(declaration: Declaration) -> str | None:
    """Give the SHA-256 of the provider's own limits, or None where there are none."""
    if not declaration.limits:
        return None
    stated = {code: limit.model_dump(mode="json") for code, limit in declaration.limits.items()}
    return hashlib.sha256(canonical(stated)).hexdigest()


def _explanation(findings: Sequence[Finding]) -> Explanation | None:
    finding = next((f for f in findings if f.check == "explainability.feature_importance" and f.measures), None)
    if finding is None:
        return None

    def value(name: str) -> float | None:
        measure = finding.measure(name)
        return None if measure is None else measure.value

    importance = []
    for group in finding.groups:
        mean_abs = next((m for m in group.measures if m.name == "mean_abs"), None)
        if mean_abs is not None and mean_abs.value is not None:
            name = group.group["feature"] or ""
            importance.append(
                GlobalImportance(feature=name, mean_abs=mean_abs.value, low=mean_abs.low, high=mean_abs.high)
            )
    return Explanation.model_validate(
        {
            "method": finding.measures[0].definition,
            "background_rows": int(value("background_rows") or 0),
            "explained_rows": int(value("explained_rows") or 0),
            "global": importance,
            "additivity_error": value("additivity_error"),
            "sampling_error": value("sampling_error"),
        }
    )


def evidence_in(dossier: Dossier) -> Evidence:
    """Give what a dossier still holds as evidence: declaration, counts, scan and fault, without rows or documents."""
    tables: dict[str, dict[str, pa.Table]] = {"cells": {}, "moments": {}}
    types = {"group": pa.string(), "label": pa.int32(), "decision": pa.int32(), "rows": pa.int64()}
    for table in dossier.counts:
        columns = {}
        for name, values in table.columns.items():
            kind = pa.float64() if table.kind == "moments" and name == "label" else types.get(name, pa.float64())
            columns[name] = pa.array(values, type=kind)
        tables[table.kind][table.attribute] = pa.table(columns)
    return Evidence(
        declaration=dossier.declaration,
        submission_digest=dossier.submission.digest,
        cells=tables["cells"],
        moments=tables["moments"],
        scan=dossier.scan,
        model_fault=dossier.model_fault,
        seed=dossier.seed,
        digest=dossier.submission.evidence_digest,
    )
