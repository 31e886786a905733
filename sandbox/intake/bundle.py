"""Takes a submission in: from what was handed in to a `Bundle` whose every part was read and checked, or a refusal.

Assumes nothing of the submission, and of its caller that it closes the bundle. All problems that do not follow from one
another are in one refusal; after a refusal, an error or `close` nothing is left in the quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from checks.declaration import Declaration, Route
from checks.evidence import Document, Table
from checks.sealing import Recorded
from sandbox.environments.requirements import Requirement
from sandbox.errors import Refused
from sandbox.intake import quarantine as holding
from sandbox.intake.columns import Roles
from sandbox.intake.counts import read_counts
from sandbox.intake.declaring import declare
from sandbox.intake.documents import needs_reading, read_documents
from sandbox.intake.further import Further, read_population
from sandbox.intake.problems import Gathered
from sandbox.intake.reading import BY_CELL, BY_LIMITED_PROCESS, Head, Reading, reading
from sandbox.intake.recorded import read_recorded
from sandbox.intake.wanted import files_beside, wanted_packages
from sandbox.isolation.interface import Isolation
from sandbox.settings import Settings

NOT_WALLED = (
    "The uploads were read in a process with limited resources, not in a cell: no wall was at hand, so that a "
    "fault in a parser would be a fault on this machine."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A submission that was taken in.

    Args:
        folder: its files in the quarantine, read-only.
        declaration: what the provider states, with the files it names read in.
        digest: SHA-256 over the sorted paths and contents, hexadecimal: the same for a folder and for a zip of it.
        files: SHA-256 of each file, by path.
        documents: the documents whose text was read.
        scan: what the scan of the model says; empty without a model.
        model_format: a module of `sandbox/cell/formats`; None without a model.
        requirements: the packages that the model asks for; empty where the cell's own are used.
        beside: files that the model keeps its numbers in, next to it.
        table: the evaluation data, on the model and predictions routes.
        recorded: decisions and scores, on the predictions route.
        counts: on the counts route, with the columns that `checks.sealing.seal` documents.
        population: share of each group of the stated population, by attribute; empty where it is not stated.
        read_by: `cell` or `limited_process`.
        notes: what was left out or done without being asked.
    """

    folder: Path
    declaration: Declaration
    digest: str
    files: Mapping[str, str]
    documents: tuple[Document, ...] = ()
    scan: Mapping[str, Any] = field(default_factory=dict)
    model_format: str | None = None
    requirements: tuple[Requirement, ...] = ()
    beside: tuple[Path, ...] = ()
    table: Table | None = None
    recorded: Recorded | None = None
    counts: pa.Table | None = None
    population: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    read_by: str = BY_CELL
    notes: tuple[str, ...] = ()

    @property
    def data_digest(self) -> str | None:
        """SHA-256 of the file with the evaluation data, or what stands for them; None where there are none."""
        path = data_path(self.declaration)
        return None if path is None else self.files.get(path)

    def close(self) -> None:
        """Remove the submission from the quarantine. Idempotent."""
        holding.remove(self.folder.parent)

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def accept(
    submission: Path,
    settings: Settings,
    *,
    isolation: Isolation | None,
    quarantine: Path | None = None,
    holdout: Path | None = None,
    model_alone: bool = False,
) -> Bundle:
    """Take a submission in: quarantined, hashed, unpacked, scanned and read.

    Args:
        submission: a folder, or a zip of one.
        settings: the operator's limits.
        isolation: the wall behind which uploads are read; None reads them in a resource-limited process, and says so.
        quarantine: parent folder of the copy; `quarantine` under the state where none is given.
        holdout: a reviewer's table of rows that the submitter never saw, with the inputs and the label; it is read as
            the evaluation data are, and is no part of the submission or its digest.
        model_alone: whether tables and documents are left unread, as where rows are sent from elsewhere.

    Returns:
        The bundle; close it.

    Raises:
        Refused: with every problem that could be told at once.
        CellUnavailable: the wall could not be built.
    """
    received = holding.receive(submission, settings, quarantine)
    try:
        added = None if holdout is None else holding.add(received, holdout, settings)
        return _read(received, settings, isolation, added, model_alone=model_alone)
    except BaseException:
        holding.remove(received.folder.parent)
        raise


def data_path(declaration: Declaration) -> str | None:
    """Name the file with the evaluation data, or with what stands for them; None where there are none."""
    data = declaration.data
    if data is not None and data.file is not None:
        return data.file
    stands_for = declaration.predictions or declaration.counts
    return None if stands_for is None else stands_for.file


def read_table(bundle: Bundle) -> Table | None:
    """Give the evaluation data as it was read; None on the counts and documents routes.

    Args:
        bundle: from `accept`.
    """
    return bundle.table


class _Parts:
    """What is read of one submission, with the problems and notes on the way."""

    def __init__(
        self, received: holding.Received, declaration: Declaration, settings: Settings, isolation: Isolation | None
    ) -> None:
        self.received = received
        self.declaration = declaration
        self.settings = settings
        self.isolation = isolation
        self.gathered = Gathered()
        self.notes: list[str] = []
        self.requirements: tuple[Requirement, ...] = ()
        self.beside: tuple[str, ...] = ()

    def on_table(
        self, field_: str, path: str, use: Callable[[Head, Reading], None], *, folder: Path | None = None
    ) -> None:
        """Open a table of the submission (or of another folder) and use it; a refusal is one problem among others."""
        data = self.declaration.data
        assert data is not None
        suffix = Path(path).suffix.lower()
        if suffix not in TABLE_FORMATS:
            self.gathered.add(field_, "table.kind", path=path, known=", ".join(TABLE_FORMATS))
            return
        try:
            with reading(
                (folder or self.received.folder) / path,
                field=field_,
                isolation=self.isolation,
                budget_bytes=self.settings.unpacked_bytes,
            ) as opened:
                head = opened.open_table(format_=TABLE_FORMATS[suffix], delimiter=data.delimiter, missing=data.missing)
                use(head, opened)
        except Refused as refused:
            self.gathered.take(refused)

    def scan(self) -> tuple[str | None, Mapping[str, Any]]:
        """Have the model scanned."""
        stated = self.declaration.model
        if stated is None:
            return None, {}
        if self._size_of_model() == 0:
            self.gathered.add("model.file", "model.empty", path=stated.file)
            return None, {}
        try:
            with reading(
                self.received.folder / stated.file,
                field="model.file",
                isolation=self.isolation,
                budget_bytes=self.settings.unpacked_bytes,
                is_model=True,
            ) as opened:
                found, report = opened.scan(allow_code=stated.allow_code)
        except Refused as refused:
            self.gathered.take(refused)
            return None, {}
        self.requirements = wanted_packages(
            stated, self.received.folder, found, report, allowed=self.settings.package_names, gathered=self.gathered
        )
        if found == "onnx":
            self.beside = files_beside(stated, self.received.files, report, gathered=self.gathered)
        if report.get("loading") == "can_execute_code" and not stated.allow_code:
            self.gathered.add("model.allow_code", "model.needs_consent", path=stated.file, format=found)
        return found, report

    def bundle(self, model_format: str | None, scan: Mapping[str, Any]) -> Bundle:
        """Put together what is known when the model was scanned."""
        return Bundle(
            folder=self.received.folder,
            declaration=self.declaration,
            digest=self.received.digest,
            files=dict(self.received.files),
            scan=scan,
            model_format=model_format,
            requirements=self.requirements,
            beside=tuple(self.received.folder / path for path in self.beside),
        )

    def _size_of_model(self) -> int:
        assert self.declaration.model is not None
        path = self.received.folder / self.declaration.model.file
        if path.is_dir():
            return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        return path.stat().st_size


TABLE_FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}


def _read(
    received: holding.Received,
    settings: Settings,
    isolation: Isolation | None,
    holdout: holding.Added | None,
    *,
    model_alone: bool,
) -> Bundle:
    declaration = declare(received.folder, received.files)
    parts = _Parts(received, declaration, settings, isolation)
    if model_alone:
        found, scan = parts.scan()
        parts.gathered.raise_if_any()
        return parts.bundle(found, scan)
    if received.left_out:
        parts.notes.append(holding.left_out_note(received.left_out))
    documents = read_documents(
        declaration.documents, received.folder, received.files, parts.gathered, parts.notes, isolation=isolation
    )
    _no_answers_beside_the_model(parts)
    found, scan = parts.scan()
    table, recorded, counts = _read_tables(parts, holdout)
    population = _read_population(parts)
    parts.gathered.raise_if_any()
    opened_any = declaration.route is not Route.DOCUMENTS or needs_reading(declaration.documents)
    read_by = BY_CELL if isolation is not None else BY_LIMITED_PROCESS
    if opened_any and isolation is None:
        parts.notes.append(NOT_WALLED)
    return replace(
        parts.bundle(found, scan),
        documents=documents,
        table=table,
        recorded=recorded,
        counts=counts,
        population=population,
        read_by=read_by,
        notes=tuple(parts.notes),
    )


def _read_tables(parts: _Parts, holdout: holding.Added | None) -> tuple[Table | None, Recorded | None, pa.Table | None]:
    declaration = parts.declaration
    data, predictions = declaration.data, declaration.predictions
    tables: list[Table] = []
    records: list[Recorded] = []
    counts: list[pa.Table] = []
    if data is None:
        return None, None, None
    if declaration.counts is not None:

        def take_counts(head: Head, opened: Reading) -> None:
            made = read_counts(data, head, opened, parts.gathered)
            if made is not None:
                counts.append(made)

        parts.on_table("counts.file", declaration.counts.file, take_counts)
        return None, None, counts[0] if counts else None
    if declaration.route is Route.DOCUMENTS:
        if data.file is not None:
            parts.notes.append(f"{data.file} was not read: there is neither a model nor predictions to measure on it.")
        return None, None, None
    data_file = data.file or (predictions.file if predictions is not None else None)
    assert data_file is not None
    together = predictions is not None and data_file == predictions.file
    apart = [c for c in (predictions.decision, predictions.score) if c] if predictions is not None and together else []
    rows: dict[str, int] = {}
    units: list[pa.Array] = []

    def take_data(head: Head, opened: Reading) -> None:
        rows["data"] = head.rows
        roles = Roles(declaration, head, opened, parts.gathered, parts.notes, apart)
        made = roles.table(parts.received.digest)
        if made is not None:
            tables.append(made)
            units.extend([] if roles.units is None else [roles.units])
        if predictions is not None and together:
            records.append(read_recorded(predictions, data, head, opened, parts.gathered))

    parts.on_table("data.file" if data.file else "predictions.file", data_file, take_data)
    if predictions is not None and not together:

        def take_predictions(head: Head, opened: Reading) -> None:
            if "data" in rows and rows["data"] != head.rows:
                parts.gathered.add("predictions.file", "predictions.row_count", rows=head.rows, data_rows=rows["data"])
            records.append(read_recorded(predictions, data, head, opened, parts.gathered))

        parts.on_table("predictions.file", predictions.file, take_predictions)
    if tables:
        tables[0] = _with_further(parts, tables[0], units[0] if units else None, holdout)
    return tables[0] if tables else None, records[0] if records else None, None


def _with_further(parts: _Parts, table: Table, units: pa.Array | None, holdout: holding.Added | None) -> Table:
    """Read the training data and a reviewer's holdout, each as the evaluation data were read."""
    declaration = parts.declaration
    assert declaration.data is not None

    def read(field_: str, path: str, *, folder: Path | None = None, must_have_label: bool = False) -> Table | None:
        found: list[Table] = []

        def take(head: Head, opened: Reading) -> None:
            further = Further(declaration, table, units, head, opened, parts.gathered, parts.notes, field_)
            made = further.table(must_have_label=must_have_label)
            found.extend([] if made is None else [made])

        parts.on_table(field_, path, take, folder=folder)
        return found[0] if found else None

    if declaration.data.training is not None:
        table = replace(table, training=read("data.training", declaration.data.training))
    if holdout is None:
        return table
    if declaration.route is not Route.MODEL:
        parts.gathered.add("holdout", "holdout.no_model")
    elif holdout.digest in parts.received.files.values():
        parts.gathered.add("holdout", "holdout.submitted")
    else:
        parts.notes.append(f"A reviewer added a holdout that the submitter did not hand in, SHA-256 {holdout.digest}.")
        read_one = read("holdout", holdout.name, folder=holdout.folder, must_have_label=True)
        table = replace(table, holdout=read_one)
    return table


def _read_population(parts: _Parts) -> Mapping[str, Mapping[str, float]]:
    data = parts.declaration.data
    if data is None or data.population is None:
        return {}
    found: dict[str, dict[str, float]] = {}

    def take(head: Head, opened: Reading) -> None:
        found.update(read_population(data, head, opened, parts.gathered))

    parts.on_table("data.population", data.population, take)
    return found


def _no_answers_beside_the_model(parts: _Parts) -> None:
    """Refuse a model whose file or folder is or holds the test file: it could look the answers up."""
    stated, data, files = parts.declaration.model, parts.declaration.data, parts.received.files
    if stated is None or data is None or data.file is None:
        return
    inside = [p for p in files if p == stated.file or p.startswith(f"{stated.file}/")]
    found = [p for p in inside if p == data.file or files[p] == files[data.file]]
    if found:
        parts.gathered.add("model.file", "model.holds_data", path=found[0], data=data.file)
