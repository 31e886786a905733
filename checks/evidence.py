"""The sealed facts of one assessment: columnar, in chunks, and shown to a check only as far as it declared.

Row-level facts are one Arrow table whose column names say what they are:

    row                 int64, a random row number (never the position in the upload)
    feature:<name>      what the model was shown: float64, int64, bool, string or dictionary<int32, string>
    group:<name>        string or dictionary<int32, string>, bands already drawn; null where not stated
    label               int32 index of the class (classification) or float64 (regression); null where missing
    weight              float64, positive
    unit                int64 code of the person or household
    decision            int32 index of the class that the system chose; null where it gave no answer
    score               float64: the score or probability of `score_of`
    probability:<i>     float64: the probability of class i (multiclass)
    value               float64: the predicted value (regression)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.declaration import Declaration, Route
from checks.errors import EvidenceMissing, NeedNotDeclared


class Need(StrEnum):
    """The facts a check can ask for. The answers to a probe are asked for by `answers(<probe>)`."""

    FEATURES = "features"
    GROUPS = "groups"
    LABELS = "labels"
    WEIGHTS = "weights"
    UNITS = "units"
    DECISIONS = "decisions"
    SCORES = "scores"
    PROBABILITIES = "probabilities"
    VALUES = "values"
    CELLS = "cells"
    MOMENTS = "moments"
    DOCUMENTS = "documents"
    SCAN = "scan"
    MODEL_FAULT = "model_fault"
    CLAIMS = "claims"
    POPULATION = "population"
    TRAINING = "training"


def answers(probe: str) -> str:
    """Name the need for the answers to one probe."""
    return f"answers.{probe}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The evaluation data as read by intake, split by role; all parts have the same rows in the same order.

    Args:
        features: columns shown to the model, (n, f), in the model's order; no name prefix.
        groups: columns people are compared by, (n, g), as text with bands drawn.
        label: (n,) int32 class index or float64; None where there is no label column.
        weight: (n,) float64; None where there is none.
        unit: (n,) int64; None where there is none.
        rows: n, also where there are no columns at all.
        row_numbers: (n,) int64, random distinct numbers.
        training: the data the model was trained on, where they are given: columns of the same roles and names, of these
            only what is there; units share their codes.
        holdout: rows that a reviewer added and the submitter never saw, features and label alone.
    """

    features: pa.Table
    groups: pa.Table
    label: pa.ChunkedArray | None = None
    weight: pa.ChunkedArray | None = None
    unit: pa.ChunkedArray | None = None
    rows: int
    row_numbers: pa.ChunkedArray
    training: Table | None = None
    holdout: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the model answered to one probe, and what the probe's plan says of the rows.

    Args:
        values: (m, k) float64, in the plan's row order; a row of NaN where no answer came.
        facts: the plan's own arrays, as in masks (m, f) or the asked row's position (m,).
    """

    values: NDArray[np.float64]
    facts: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of the submission as text.

    Args:
        name: path in the submission.
        text: its text, line breaks kept.
        digest: SHA-256 of its bytes, hexadecimal.
    """

    name: str
    text: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """What evidence holds of the training data: how their columns lie beside those of the evaluation data, and for each
    evaluation row how many training rows are alike. No row of them.

    Args:
        rows: training rows.
        columns: one line per bin of a column, with `BIN_COLUMNS`.
        twins: (f + 1,) float64, the share of training rows that are alike in all inputs to a training row of another
            person or household: of all, and with each of f parts left out.
        alike: (n, f) int32, for each evaluation row the training rows with the same inputs, dealt at random into f
            parts.
        alike_label: (n,) int32, those among them that have the same label too; -1 where a label is unknown.
        near: (n,) int32, training rows with the same inputs once both are rounded to the coarser precision.
        known_unit: (n,) int8, whether training rows are of the same person or household; -1 where that is not known.
    """

    rows: int
    columns: pa.Table
    twins: NDArray[np.float64]
    alike: NDArray[np.int32]
    alike_label: NDArray[np.int32]
    near: NDArray[np.int32]
    known_unit: NDArray[np.int8]


BIN_COLUMNS = ("role", "column", "kind", "bin", "evaluation", "training", "evaluation_rows", "training_rows")
"""Columns of the bins: role (string: feature, group or label), column (string), kind (string: number or category), name
of the bin (string; null: missing), share of each table's weight (float64), and the effective number of independent,
equally weighted rows of each table (float64)."""


CELL_COLUMNS = ("group", "label", "decision", "rows", "weight", "weight_squared")
"""Columns of a count table: string, int32 (null: unknown), int32 (null: no answer), int64, float64, float64."""

MOMENT_COLUMNS = (
    "group",
    "rows",
    "weight",
    "weight_squared",
    "label",
    "value",
    "error",
    "error_squared",
    "absolute_error",
    "weighted2_error",
    "weighted2_error_squared",
    "weighted2_absolute_error",
    "unlabelled",
    "unanswered",
)
"""Columns of a table of moments (regression): sums over rows that have both of w, w^2, w*y, w*p, w*e, w*e^2, w*|e|,
w^2*e, w^2*e^2 and w^2*|e| with e = p - y; and the numbers of rows without a label, and of
labelled rows without an answer."""

EVERYONE = ""
"""The attribute name under which cells and moments of all rows together are kept (one group, None)."""


def crossed(*values: str | None) -> str:
    """Name a group of several attributes in a count table, so that no two groups ever share a name."""
    return json.dumps(values, ensure_ascii=False)


def apart(name: str) -> tuple[str | None, ...]:
    """Take the name of a group of several attributes apart again."""
    return tuple(json.loads(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All sealed facts of one assessment.

    Args:
        declaration: what the provider states.
        submission_digest: SHA-256 of the submission as received, hexadecimal.
        rows: the row-level table described above; None on the counts and documents routes.
        asked: answers by probe name.
        cells: count tables by attribute; `EVERYONE` holds all rows together. Attributes crossed stand under their
            name (`Data.crossings`), the groups named by `crossed`.
        moments: tables of moments by attribute (regression).
        population: share of each group in the population the system is meant for, by attribute and group, as stated by
            the provider; the shares of an attribute add up to 1. Empty where it is not stated.
        training: what is kept of the training data; None where they were not given.
        documents: the documents as text.
        scan: what the scan of the model file said; empty where there is no model.
        model_fault: why the model gave no (or not all) answers, as `{code, params}`; None where it answered.
        seed: the seed of all that was drawn.
        digest: SHA-256 over all of the above, hexadecimal; set by `seal`.
    """

    declaration: Declaration
    submission_digest: str
    rows: pa.Table | None = None
    asked: Mapping[str, Answers] = field(default_factory=dict)
    cells: Mapping[str, pa.Table] = field(default_factory=dict)
    moments: Mapping[str, pa.Table] = field(default_factory=dict)
    population: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    training: TrainingFacts | None = None
    documents: tuple[Document, ...] = ()
    scan: Mapping[str, Any] = field(default_factory=dict)
    model_fault: Mapping[str, Any] | None = None
    seed: int = 0
    digest: str = ""

    @property
    def route(self) -> Route:
        """Which route the submission takes."""
        return self.declaration.route

    def holds(self, need: str) -> bool:
        """Tell whether a fact is there."""
        if need.startswith("answers."):
            return need.removeprefix("answers.") in self.asked
        match Need(need):
            case Need.CELLS:
                return bool(self.cells)
            case Need.MOMENTS:
                return bool(self.moments)
            case Need.DOCUMENTS:
                return bool(self.documents)
            case Need.SCAN:
                return bool(self.scan)
            case Need.POPULATION:
                return bool(self.population)
            case Need.TRAINING:
                return self.training is not None
            case Need.MODEL_FAULT:
                return True
            case Need.CLAIMS:
                return bool(self.declaration.claims)
            case other:
                return self.rows is not None and bool(_columns(self.rows, other))

    def only(self, needs: Iterable[str], rules_version: str | None = None) -> View:
        """Show these facts and no others.

        Args:
            needs: values of `Need`, or `answers.<probe>`.
            rules_version: of the law that is judged by, as in `Rules.version`; None for the law as it stands.
        """
        return View(self, frozenset(needs), rules_version)


_PREFIX = {
    Need.FEATURES: "feature:",
    Need.GROUPS: "group:",
    Need.PROBABILITIES: "probability:",
}
_SINGLE = {
    Need.LABELS: "label",
    Need.WEIGHTS: "weight",
    Need.UNITS: "unit",
    Need.DECISIONS: "decision",
    Need.SCORES: "score",
    Need.VALUES: "value",
}


def _columns(rows: pa.Table, need: Need) -> list[str]:
    if need in _PREFIX:
        return [name for name in rows.column_names if name.startswith(_PREFIX[need])]
    return [_SINGLE[need]] if _SINGLE[need] in rows.column_names else []


class View:
    """The part of the evidence that one check declared. Anything else raises `NeedNotDeclared`."""

    __slots__ = ("_evidence", "_needs", "rules_version")

    def __init__(self, evidence: Evidence, needs: frozenset[str], rules_version: str | None = None) -> None:
        self._evidence = evidence
        self._needs = needs
        self.rules_version = rules_version

    def _take(self, need: str) -> Evidence:
        if need not in self._needs:
            raise NeedNotDeclared(f"the check did not declare that it reads {need}")
        if not self._evidence.holds(need):
            raise EvidenceMissing(need)
        return self._evidence

    def holds(self, need: str) -> bool:
        """Tell whether a declared fact is there (for facts declared as `may_read`)."""
        if need not in self._needs:
            raise NeedNotDeclared(f"the check did not declare that it reads {need}")
        return self._evidence.holds(need)

    @property
    def declaration(self) -> Declaration:
        """What the provider states; always shown."""
        return self._evidence.declaration

    @property
    def seed(self) -> int:
        """The seed for anything the check draws itself; always shown."""
        return self._evidence.seed

    def _many(self, need: Need) -> pa.Table:
        rows = self._take(need).rows
        assert rows is not None
        names = _columns(rows, need)
        return rows.select(names).rename_columns([n.removeprefix(_PREFIX[need]) for n in names])

    def _one(self, need: Need) -> pa.ChunkedArray:
        rows = self._take(need).rows
        assert rows is not None
        return rows.column(_SINGLE[need])

    @property
    def features(self) -> pa.Table:
        """What the model was shown, (n, f)."""
        return self._many(Need.FEATURES)

    @property
    def groups(self) -> pa.Table:
        """What people are compared by, (n, g), as text."""
        return self._many(Need.GROUPS)

    @property
    def probabilities(self) -> pa.Table:
        """Probability of each class, (n, c), named by class index."""
        return self._many(Need.PROBABILITIES)

    @property
    def labels(self) -> pa.ChunkedArray:
        """(n,) class index or value; null where missing."""
        return self._one(Need.LABELS)

    @property
    def weights(self) -> pa.ChunkedArray:
        """(n,) float64."""
        return self._one(Need.WEIGHTS)

    @property
    def units(self) -> pa.ChunkedArray:
        """(n,) int64."""
        return self._one(Need.UNITS)

    @property
    def decisions(self) -> pa.ChunkedArray:
        """(n,) class index that the system chose; null where no answer."""
        return self._one(Need.DECISIONS)

    @property
    def scores(self) -> pa.ChunkedArray:
        """(n,) float64, score of `declaration.score_of`."""
        return self._one(Need.SCORES)

    @property
    def values(self) -> pa.ChunkedArray:
        """(n,) float64, predicted value."""
        return self._one(Need.VALUES)

    def cells(self, attribute: str = EVERYONE) -> pa.Table:
        """Give the count table of an attribute, with `CELL_COLUMNS`.

        Raises:
            EvidenceMissing: nothing was counted for it.
        """
        tables = self._take(Need.CELLS).cells
        if attribute not in tables:
            raise EvidenceMissing(f"cells of {attribute}")
        return tables[attribute]

    def moments(self, attribute: str = EVERYONE) -> pa.Table:
        """Give the table of moments of an attribute, with `MOMENT_COLUMNS`.

        Raises:
            EvidenceMissing: nothing was summed for it.
        """
        tables = self._take(Need.MOMENTS).moments
        if attribute not in tables:
            raise EvidenceMissing(f"moments of {attribute}")
        return tables[attribute]

    def answers(self, probe: str) -> Answers:
        """Give the answers to a probe.

        Raises:
            EvidenceMissing: the probe was not asked, or got no answer.
        """
        return self._take(answers(probe)).asked[probe]

    @property
    def documents(self) -> tuple[Document, ...]:
        """The documents as text."""
        return self._take(Need.DOCUMENTS).documents

    @property
    def population(self) -> Mapping[str, Mapping[str, float]]:
        """Share of each group in the stated population, by attribute and group."""
        return self._take(Need.POPULATION).population

    @property
    def training(self) -> TrainingFacts:
        """What is kept of the training data."""
        kept = self._take(Need.TRAINING).training
        assert kept is not None
        return kept

    @property
    def scan(self) -> Mapping[str, Any]:
        """What the scan of the model file said."""
        return self._take(Need.SCAN).scan

    @property
    def model_fault(self) -> Mapping[str, Any] | None:
        """Why the model gave no answers, or None."""
        return self._take(Need.MODEL_FAULT).model_fault

    @property
    def claims(self) -> Mapping[str, float]:
        """What the provider says the system reaches, by measure name."""
        return self._take(Need.CLAIMS).declaration.claims


def arrays_of(training: TrainingFacts) -> dict[str, NDArray[Any]]:
    """Give the counts that are kept, by name."""
    return {n: getattr(training, n) for n in ("twins", "alike", "alike_label", "near", "known_unit")}


def digest_of(evidence: Evidence) -> str:
    """Compute the SHA-256 of all facts, hexadecimal; equal facts give equal digests on every machine."""
    total = hashlib.sha256()

    def add(name: str, content: bytes) -> None:
        total.update(len(name).to_bytes(4, "little") + name.encode() + len(content).to_bytes(8, "little") + content)

    add("submission", evidence.submission_digest.encode())
    add("seed", str(evidence.seed).encode())
    if evidence.rows is not None:
        for name in evidence.rows.column_names:
            add(name, _column_bytes(evidence.rows.column(name)))
    for probe in sorted(evidence.asked):
        given = evidence.asked[probe]
        add(f"answers.{probe}", np.ascontiguousarray(given.values, dtype="<f8").tobytes())
        for name in sorted(given.facts):
            array = np.ascontiguousarray(given.facts[name])
            add(f"answers.{probe}.{name}", str(array.dtype).encode() + str(array.shape).encode() + array.tobytes())
    for kind, tables in (("cells", evidence.cells), ("moments", evidence.moments)):
        for attribute in sorted(tables):
            for name in tables[attribute].column_names:
                add(f"{kind}.{attribute}.{name}", _column_bytes(tables[attribute].column(name)))
    for document in evidence.documents:
        add(f"document.{document.name}", document.digest.encode())
    if evidence.population:
        shares = [(a, sorted(groups.items())) for a, groups in sorted(evidence.population.items())]
        add("population", repr(shares).encode())
    if evidence.training is not None:
        add("training", str(evidence.training.rows).encode())
        for name in evidence.training.columns.column_names:
            add(f"training.columns.{name}", _column_bytes(evidence.training.columns.column(name)))
        for name, array in arrays_of(evidence.training).items():
            add(f"training.{name}", str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    add("scan", repr(sorted(evidence.scan.items())).encode())
    add("fault", repr(sorted((evidence.model_fault or {}).items())).encode())
    return total.hexdigest()


def _column_bytes(column: pa.ChunkedArray) -> bytes:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    # A column is hashed as one array without offset or chunk borders, so that reading in pieces changes nothing.
    sink = pa.BufferOutputStream()
    one = column.combine_chunks()
    if isinstance(one, pa.ChunkedArray):
        one = pa.concat_arrays(one.chunks) if one.num_chunks else pa.array([], type=column.type)
    batch = pa.record_batch([pa.concat_arrays([one.slice(0, 0), one])], names=["c"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(memoryview(sink.getvalue()))
