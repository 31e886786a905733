"""Takes a submission in: from what was handed in to a `Bundle` whose every part was read and checked, or a refusal.

Assumes nothing of the submission, and of its caller that it closes the bundle. All problems that do not follow from one
another are in one refusal; after a refusal, an error or `close` nothing is left in the quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from checks.declaration import Declaration, Route
from checks.evidence import Document, Table
from checks.sealing import Recorded
from sandbox.errors import Refused
from sandbox.intake import quarantine as holding
from sandbox.intake.columns import Roles
from sandbox.intake.counts import read_counts
from sandbox.intake.declaring import declare
from sandbox.intake.documents import needs_reading, read_documents
from sandbox.intake.problems import Gathered
from sandbox.intake.reading import BY_CELL, BY_LIMITED_PROCESS, Head, Reading, reading
from sandbox.intake.recorded import read_recorded
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
        table: the evaluation data, on the model and predictions routes.
        recorded: decisions and scores, on the predictions route.
        counts: on the counts route, with the columns that `checks.sealing.seal` documents.
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
    table: Table | None = None
    recorded: Recorded | None = None
    counts: pa.Table | None = None
    read_by: str = BY_CELL
    notes: tuple[str, ...] = ()

    @property
    def model_path(self) -> Path | None:
        """Where the model is in the quarantine, a file or a folder; None without a model."""
        stated = self.declaration.model
        return None if stated is None else self.folder / stated.file

    def close(self) -> None:
        """Remove the submission from the quarantine. Idempotent."""
        holding.remove(self.folder.parent)

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def accept(
    submission: Path, settings: Settings, *, isolation: Isolation | None, quarantine: Path | None = None
) -> Bundle:
    """Take a submission in: quarantined, hashed, unpacked, scanned and read.

    Args:
        submission: a folder, or a zip of one.
        settings: the operator's limits.
        isolation: the wall behind which uploads are read; None reads them in a resource-limited process, and says so.
        quarantine: parent folder of the copy; `quarantine` under the state where none is given.

    Returns:
        The bundle; close it.

    Raises:
        Refused: with every problem that could be told at once.
        CellUnavailable: the wall could not be built.
    """
    received = holding.receive(submission, settings, quarantine)
    try:
        return _read(received, settings, isolation)
    except BaseException:
        holding.remove(received.folder.parent)
        raise


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

    def on_table(self, field_: str, path: str, use: Callable[[Head, Reading], None]) -> None:
        """Open a table and use it; a refusal of it is one problem among others."""
        data = self.declaration.data
        assert data is not None
        suffix = Path(path).suffix.lower()
        if suffix not in TABLE_FORMATS:
            self.gathered.add(field_, "table.kind", path=path, known=", ".join(TABLE_FORMATS))
            return
        try:
            with reading(
                self.received.folder / path,
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
        if report.get("loading") == "can_execute_code" and not stated.allow_code:
            self.gathered.add("model.allow_code", "model.needs_consent", path=stated.file, format=found)
        return found, report

    def _size_of_model(self) -> int:
        assert self.declaration.model is not None
        path = self.received.folder / self.declaration.model.file
        if path.is_dir():
            return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        return path.stat().st_size


TABLE_FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}


def _read(received: holding.Received, settings: Settings, isolation: Isolation | None) -> Bundle:
    declaration = declare(received.folder, received.files)
    parts = _Parts(received, declaration, settings, isolation)
    if received.left_out:
        parts.notes.append(holding.left_out_note(received.left_out))
    documents = read_documents(
        declaration.documents, received.folder, received.files, parts.gathered, parts.notes, isolation=isolation
    )
    found, scan = parts.scan()
    table, recorded, counts = _read_tables(parts)
    parts.gathered.raise_if_any()
    opened_any = declaration.route is not Route.DOCUMENTS or needs_reading(declaration.documents)
    read_by = BY_CELL if isolation is not None else BY_LIMITED_PROCESS
    if opened_any and isolation is None:
        parts.notes.append(NOT_WALLED)
    return Bundle(
        folder=received.folder,
        declaration=declaration,
        digest=received.digest,
        files=dict(received.files),
        documents=documents,
        scan=scan,
        model_format=found,
        table=table,
        recorded=recorded,
        counts=counts,
        read_by=read_by,
        notes=tuple(parts.notes),
    )


def _read_tables(parts: _Parts) -> tuple[Table | None, Recorded | None, pa.Table | None]:
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

    def take_data(head: Head, opened: Reading) -> None:
        rows["data"] = head.rows
        made = Roles(declaration, head, opened, parts.gathered, parts.notes, apart).table(parts.received.digest)
        if made is not None:
            tables.append(made)
        if predictions is not None and together:
            records.append(read_recorded(predictions, data, head, opened, parts.gathered))

    parts.on_table("data.file" if data.file else "predictions.file", data_file, take_data)
    if predictions is not None and not together:

        def take_predictions(head: Head, opened: Reading) -> None:
            if "data" in rows and rows["data"] != head.rows:
                parts.gathered.add("predictions.file", "predictions.row_count", rows=head.rows, data_rows=rows["data"])
            records.append(read_recorded(predictions, data, head, opened, parts.gathered))

        parts.on_table("predictions.file", predictions.file, take_predictions)
    return tables[0] if tables else None, records[0] if records else None, None
