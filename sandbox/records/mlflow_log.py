"""Bring assessments to MLflow: an outbox that loses nothing, and one logger that empties it exactly once.

MLflow is where results go, never where they come from. The uploaded model is not logged: whoever loaded it from there
would execute it. A run is found again by the key of its assessment before one is made, so that a logger which broke off
halfway finishes the same run.

Assumes of its caller: a letter's folder is a dossier of ours, complete and written by no one any more.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from checks.declaration import Route
from checks.finding import Finding, Measure, Outcome
from model_cards.dossier import Assessment, Dossier, Run
from sandbox.records import dossier_store
from sandbox.records.database import Database, locked, private_file, private_folder
from sandbox.records.tables import Organisation, OutboxEntry, Submission, new_id, now
from sandbox.records.uploads import files_of
from sandbox.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Set before MLflow is imported, where the operator has not set them: no telemetry, and a server that is down is
noticed in seconds, not minutes."""

KEY_TAG = "assessment"
"""Tag by which the run of an assessment is found again."""

SYSTEM_TAG = "system"
"""Tag of the one run per system that the runs of its versions stand under; holds the system's name."""

ORGANISATION_TAG = "organisation"
"""Tag of experiments and runs with the id of whose they are; absent where there are no organisations."""

KEY_LENGTH = 250
TAG_LENGTH = 8000
PARAM_LENGTH = 6000
PARAMS_PER_BATCH = 100
METRICS_PER_BATCH = 1000
DIGEST_LENGTH = 36
LOCAL = ("sqlite", "file")

NOT_LOGGED = ("figures/",)
"""Parts of a dossier that stay out of MLflow: the data behind the plots may show single rows."""

NOT_PARAMETERS = ("answers", "datasheet", "publication", "documents", "limits")
"""Parts of a declaration that are documents rather than parameters; they are in `dossier.json`."""

PERSONAL = ("system.provider.contact",)

_SUFFIX_ROOM = len("/low") + 4
_ODD = re.compile(r"[^A-Za-z0-9_.\-]+")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_INSIDE = re.compile(r" ?\[[^\]\n]*\]\(#[^)\n]*\)")
"""A link to another place of the card."""


# ---- letters and outboxes


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One assessment that has to reach MLflow.

    Args:
        key: see `key_of`.
        folder: its dossier.
        organisation: id and name of whose it is; None where there are no organisations.
    """

    key: str
    folder: Path
    organisation: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What emptying an outbox came to.

    Args:
        logged: MLflow run ids by key of the assessment.
        waiting: how many letters are still in it.
        problem: why the last of those could not be logged; empty if none was tried.
    """

    logged: Mapping[str, str] = field(default_factory=dict)
    waiting: int = 0
    problem: str = ""


class Outbox(Protocol):
    """Where letters wait. Each is in it until it is logged."""

    def letters(self) -> Sequence[Letter]:
        """List what waits, oldest first."""

    def logged(self, letter: Letter, run_id: str) -> None:
        """Take out a letter that became a run."""

    def failed(self, letter: Letter, problem: str) -> None:
        """Note why a letter could not be logged; it stays."""


def key_of(folder: Path) -> str:
    """Give the identity of one assessment: SHA-256 over its dossier and its run, hexadecimal.

    The same dossier from two runs has two keys; the same run has one, wherever its folder is.

    Raises:
        FileNotFoundError: the folder holds no dossier.
    """
    total = hashlib.sha256()
    for name in ("dossier.json", "run.json"):
        total.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return total.hexdigest()


class DatabaseOutbox:
    """The outbox of the service: rows that are written in the transaction that ends the assessment."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings

    def letters(self) -> Sequence[Letter]:
        """List what waits, oldest first."""
        with self._database.reading() as session:
            waiting = (
                select(OutboxEntry.key, OutboxEntry.folder, Organisation.id, Organisation.name)
                .outerjoin(Submission, Submission.dossier == OutboxEntry.folder)
                .outerjoin(Organisation, Organisation.id == Submission.organisation)
                .where(OutboxEntry.logged.is_(None))
                .order_by(OutboxEntry.put)
            )
            return [
                Letter(
                    key=key,
                    folder=dossier_store.folder(self._settings, folder),
                    organisation=None if whose is None else (whose, name),
                )
                for key, folder, whose, name in session.execute(waiting)
            ]

    def logged(self, letter: Letter, run_id: str) -> None:
        """Take out a letter that became a run."""
        with self._database.writing() as session:
            entry = session.get(OutboxEntry, letter.key)
            if entry is not None:
                entry.logged, entry.mlflow_run, entry.problem = now(), run_id, ""

    def failed(self, letter: Letter, problem: str) -> None:
        """Note why a letter could not be logged; it stays."""
        with self._database.writing() as session:
            entry = session.get(OutboxEntry, letter.key)
            if entry is not None:
                entry.tries, entry.problem = entry.tries + 1, problem[:2000]


class FolderOutbox:
    """The outbox of the command line: a copy of each dossier, so that the user may move or remove the original."""

    def __init__(self, settings: Settings) -> None:
        self._folder = private_folder(settings.state / "outbox")

    def put(self, folder: Path) -> Letter:
        """Put a dossier in; one that is in it already is not put twice."""
        key = key_of(folder)
        target = self._folder / key
        if not target.is_dir():
            draft = Path(tempfile.mkdtemp(prefix=".", dir=self._folder))
            try:
                for name in _documents(folder):
                    (draft / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(folder / name, draft / name)
                with contextlib.suppress(FileExistsError, OSError):
                    draft.rename(target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return Letter(key=key, folder=target)

    def letters(self) -> Sequence[Letter]:
        """List what waits, oldest first."""
        found = [p for p in self._folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
        found.sort(key=lambda p: (p.stat().st_mtime, p.name))
        return [Letter(key=p.name, folder=p) for p in found]

    def logged(self, letter: Letter, run_id: str) -> None:  # noqa: ARG002  # one signature
        """Take out a letter that became a run."""
        shutil.rmtree(letter.folder, ignore_errors=True)

    def failed(self, letter: Letter, problem: str) -> None:
        """Note why a letter could not be logged; it stays."""
        log.warning("assessment %s is not logged to MLflow yet: %s", letter.key[:12], problem)


def log_or_keep(assessment: Assessment, folder: Path, settings: Settings) -> Drained:  # noqa: ARG001
    """Put an assessment into the outbox of the command line and empty it; what cannot be logged now is logged later.

    Args:
        assessment: what the folder holds.
        folder: its dossier as written.
        settings: state folder and tracking server.

    Returns:
        What became of the outbox; `waiting` and `problem` tell when a tracking server is down.
    """
    outbox = FolderOutbox(settings)
    outbox.put(folder)
    return drain(outbox, settings)


# ---- the one logger


def drain(outbox: Outbox, settings: Settings, *, stop: threading.Event | None = None) -> Drained:
    """Log all that waits in an outbox. One logger of this machine at a time; others wait, and find it empty.

    Args:
        outbox: what to empty.
        settings: where MLflow is.
        stop: set it to stop after the present letter.
    """
    if not outbox.letters():
        return Drained()
    logged: dict[str, str] = {}
    problem = ""
    with locked(settings.state / "mlflow.lock"):
        waiting = list(outbox.letters())
        if not waiting:
            return Drained()
        for parent in {letter.folder.parent for letter in waiting}:
            # Of a logger that was killed; there is no other one while the lock is held.
            for left in parent.glob(".*.log"):
                shutil.rmtree(left, ignore_errors=True)
        _prepare_environment(settings)
        from mlflow import MlflowException

        tracking: Tracking | None = None
        for letter in waiting:
            if stop is not None and stop.is_set():
                break
            try:
                tracking = tracking or Tracking(settings)
                run_id = tracking.log(letter)
            except (MlflowException, SQLAlchemyError, OSError, ValueError) as error:
                problem = f"{type(error).__name__}: {error}".strip()[:500]
                outbox.failed(letter, problem)
                if tracking is None or not _is_about_this_letter(error):
                    break
            else:
                outbox.logged(letter, run_id)
                logged[letter.key] = run_id
    return Drained(logged=logged, waiting=len(waiting) - len(logged), problem=problem)


def credential(settings: Settings) -> tuple[str, str] | None:
    """Read the one name and password that MLflow is written with and read by; None where it asks for none.

    Raises:
        OSError: the file that the operator named cannot be read.
        ValueError: it is not a name, a colon and a password.
    """
    if not settings.mlflow_credential_file:
        return None
    name, colon, password = Path(settings.mlflow_credential_file).read_text(encoding="utf-8").strip().partition(":")
    if not (name and colon and password):
        raise ValueError("the credential of MLflow is written as name:password")
    return name, password


def _prepare_environment(settings: Settings) -> None:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    given = credential(settings)
    if given is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = given
    # The store's migrations tell of every step they take.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _is_about_this_letter(error: Exception) -> bool:
    """Tell a letter that MLflow refuses, or that cannot be read, from a server that is not there."""
    code = getattr(error, "error_code", "")
    return code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST") or isinstance(error, ValueError | FileNotFoundError)


class Tracking:
    """The connection to MLflow; the embedded store is migrated by the first who opens it, under the logger's lock.

    Args:
        settings: where MLflow is; for an embedded store, artifacts lie beside it in the state folder.
    """

    def __init__(self, settings: Settings) -> None:
        from mlflow import MlflowClient

        self._uri = settings.tracking_uri
        self._artifacts = settings.state / "mlflow-artifacts"
        self._embedded = self._uri.partition(":")[0] in LOCAL
        if self._uri.startswith("sqlite:///"):
            private_folder(self._artifacts)
            file = Path(self._uri.removeprefix("sqlite:///"))
            file.parent.mkdir(parents=True, exist_ok=True)
            private_file(file)
        self._client: MlflowClient = MlflowClient(tracking_uri=self._uri)

    def _experiment(self, system: str, organisation: tuple[str, str] | None) -> str:
        """Give the experiment of a system; two organisations never share one, whatever they call their systems."""
        from mlflow import MlflowException

        # Told what kind it is, MLflow's pages open on the runs instead of on the traces of a chat.
        name, tags = _one_line(system, KEY_LENGTH), {"mlflow.experimentKind": "custom_model_development"}
        if organisation is not None:
            name = _one_line(f"{name} ({organisation[1]}, {organisation[0][:8]})", KEY_LENGTH)
            tags[ORGANISATION_TAG] = organisation[0]
        found = self._client.get_experiment_by_name(name)
        if found is None:
            where = None
            if self._embedded:
                slug = hashlib.sha256(name.encode()).hexdigest()[:16]
                where = (self._artifacts / slug).resolve().as_uri()
            try:
                return str(self._client.create_experiment(name, artifact_location=where, tags=tags))
            except MlflowException as error:
                # Another machine may have made it in this very moment.
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise error
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _system_run(self, experiment: str, system: str, begun: int, tags: Mapping[str, str]) -> str:
        """Give the run that the runs of a system's versions stand under; the first who needs it makes it."""
        found = self._client.search_runs([experiment], f"tags.{SYSTEM_TAG} != ''", max_results=1)
        if found:
            return str(found[0].info.run_id)
        made = self._client.create_run(
            experiment,
            start_time=begun,
            tags={SYSTEM_TAG: _one_line(system, TAG_LENGTH), **tags},
            run_name=_one_line(system, KEY_LENGTH),
        )
        self._client.set_terminated(made.info.run_id, status="FINISHED", end_time=begun)
        return str(made.info.run_id)

    def _bring_up_to_date(self, system_run: str, content: Content, dossier: Dossier, run: Run) -> None:
        """Let the run of the system say what its newest assessment came to."""
        from mlflow.entities import RunTag

        tags = self._client.get_run(system_run).data.tags
        if run.ended < tags.get("newest_at", ""):
            return
        shown = ("risk_class", "as_of", "findings_beyond", "findings_undecided", "findings_within", "dossier_digest")
        # Under other names than a version's own, so that a search by class or outcome finds versions alone.
        newest = {f"newest_{name}": content.tags[name] for name in shown}
        newest |= {"newest_at": run.ended, "newest_version": dossier.declaration.system.version}
        newest["mlflow.note.content"] = content.tags["mlflow.note.content"]
        self._client.log_batch(system_run, tags=[RunTag(k, v) for k, v in newest.items()])

    def log(self, letter: Letter) -> str:
        """Log one assessment; one that is logged already is left as it is.

        Args:
            letter: which.

        Returns:
            The id of its run.

        Raises:
            mlflow.MlflowException: the server did not answer, or refused something.
            OSError: a file could not be read or written.
            ValueError: the folder holds no dossier of this version.
        """
        from mlflow.entities import DatasetInput, Metric, Param, RunTag, ViewType

        dossier = Dossier.from_json((letter.folder / "dossier.json").read_bytes())
        run = Run.from_json((letter.folder / "run.json").read_bytes())
        system = dossier.declaration.system.name
        whose = {} if letter.organisation is None else {ORGANISATION_TAG: letter.organisation[0]}
        experiment = self._experiment(system, letter.organisation)
        found = self._client.search_runs(
            [experiment], f"tags.{KEY_TAG} = '{letter.key}'", run_view_type=ViewType.ALL, max_results=1
        )
        if found and found[0].info.status == "FINISHED":
            return str(found[0].info.run_id)
        begun, ended = _milliseconds(run.started), _milliseconds(run.ended)
        parent = self._system_run(experiment, system, begun, whose)
        if found:
            run_id = str(found[0].info.run_id)
            models_logged = bool(found[0].outputs and found[0].outputs.model_outputs)
        else:
            made = self._client.create_run(
                experiment,
                start_time=begun,
                tags={KEY_TAG: letter.key, "mlflow.parentRunId": parent, **whose},
                run_name=_one_line(f"{system} {dossier.declaration.system.version}", KEY_LENGTH),
            )
            run_id, models_logged = str(made.info.run_id), False
        content = content_of(dossier, run, description_of(dossier, run))
        for metrics in _pieces(list(content.metrics.items()), METRICS_PER_BATCH):
            self._client.log_batch(run_id, metrics=[Metric(k, v, ended, 0) for k, v in metrics])
        params = list(content.params.items())
        tags = list(content.tags.items())
        for start in range(0, max(len(params), len(tags)), PARAMS_PER_BATCH):
            some = slice(start, start + PARAMS_PER_BATCH)
            # A server counts parameters and tags of one batch together with a limit of its own for each kind.
            self._client.log_batch(
                run_id, params=[Param(k, v) for k, v in params[some]], tags=[RunTag(k, v) for k, v in tags[some]]
            )
        dataset = _dataset(dossier)
        if dataset is not None:
            self._client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags=[])])
        if not models_logged:
            self._log_external_model(experiment, run_id, dossier)
        with _tree_of(letter.folder) as tree:
            self._client.log_artifacts(run_id, str(tree))
        self._bring_up_to_date(parent, content, dossier, run)
        self._client.set_terminated(run_id, status="FINISHED", end_time=ended)
        return run_id

    def _log_external_model(self, experiment: str, run_id: str, dossier: Dossier) -> None:
        """Enter the model by its digest: what was assessed can be recognised, and nothing can be loaded."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        if dossier.submission.route is not Route.MODEL or dossier.declaration.model is None:
            return
        digest = _digest_of_file(dossier, dossier.declaration.model.file)
        model = self._client.create_logged_model(
            experiment,
            name=_ODD.sub("_", dossier.declaration.system.name).replace(".", "_")[:KEY_LENGTH] or "model",
            source_run_id=run_id,
            tags={
                "mlflow.model.isExternal": "true",
                "digest": digest,
                "risk_class": str(dossier.risk.risk_class),
                "outcome": "{beyond} beyond, {undecided} undecided, {within} within".format(**dossier.outcome_counts),
                "dossier_digest": dossier.digest,
                "version": dossier.declaration.system.version,
            },
            params={"file": dossier.declaration.model.file, "digest": digest},
            model_type="external",
        )
        self._client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self._client.log_outputs(run_id, models=[LoggedModelOutput(model_id=model.model_id, step=0)])


# ---- what a run holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Parameters, metrics and tags of a run; every key within what MLflow allows."""

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class _Keys:
    """Gives each name a key that MLflow allows: one name has one key, and two names never share one."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.changed: dict[str, str] = {}

    def __call__(self, *parts: str) -> str:
        """Make a key of parts, joined by `/`; the names that had to be changed are kept in `changed`."""
        name = "/".join(parts)
        key = "/".join(_ODD.sub("_", part).strip(".") or "_" for part in parts)
        room = KEY_LENGTH - _SUFFIX_ROOM
        if len(key) > room or self._names.get(key, name) != name:
            key = f"{key[: room - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        self._names[key] = name
        if key != name:
            self.changed[key] = name
        return key


def content_of(dossier: Dossier, run: Run, description: str) -> Content:
    """Say what the run of an assessment holds.

    Args:
        dossier, run: of the assessment.
        description: Markdown, shown on the run's own page; see `description_of`.

    Metrics are `check.measure/attribute` with `/low`, `/high` and `/rows`. A measure without a value is a tag of that
    name with its reason, never a number. A name that MLflow does not allow is changed; the tag `name/<key>` holds it.
    """
    keys = _Keys()
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    outcomes: dict[str, Outcome] = {}
    for finding in dossier.findings:
        where = [finding.check] if finding.attribute is None else [finding.check, finding.attribute]
        heaviest = outcomes.get(finding.check)
        order = list(Outcome)
        if heaviest is None or order.index(finding.outcome) < order.index(heaviest):
            outcomes[finding.check] = finding.outcome
        if finding.attribute is not None:
            tags[keys("outcome", *where)] = finding.outcome.value
        for measure in finding.measures:
            key = _metric_key(keys, finding, measure)
            if measure.value is None:
                tags[key] = f"no value: {measure.reason.code if measure.reason else 'not stated'}"
                metrics[f"{key}/rows"] = float(measure.rows)
                continue
            metrics[key] = measure.value
            for name, number in (("low", measure.low), ("high", measure.high), ("rows", measure.rows)):
                if number is not None:
                    metrics[f"{key}/{name}"] = float(number)
    for check, outcome in outcomes.items():
        tags[keys("outcome", check)] = outcome.value
    counts = dossier.outcome_counts
    tags |= {
        "risk_class": str(dossier.risk.risk_class),
        "rules_version": dossier.risk.rules_version,
        "as_of": dossier.risk.as_of.isoformat(),
        "route": dossier.submission.route.value,
        "attested_by": run.attested_by,
        "policy": f"{dossier.policy.name} {dossier.policy.version}",
        "submission_digest": dossier.submission.digest,
        "dossier_digest": dossier.digest,
        "evidence_digest": dossier.submission.evidence_digest,
        "findings_beyond": str(counts["beyond"]),
        "findings_undecided": str(counts["undecided"]),
        "findings_within": str(counts["within"]),
        "mlflow.source.name": "aiact-sandbox",
        "mlflow.source.type": "PROJECT",
        "mlflow.note.content": description,
    }
    params = _params(dossier, keys)
    tags |= {f"name/{key}"[:KEY_LENGTH]: name for key, name in keys.changed.items()}
    return Content(params=params, metrics=metrics, tags={k: v[:TAG_LENGTH] for k, v in tags.items()})


def _metric_key(keys: _Keys, finding: Finding, measure: Measure) -> str:
    name = f"{finding.check}.{measure.name}"
    return keys(name) if finding.attribute is None else keys(name, finding.attribute)


def _params(dossier: Dossier, keys: _Keys) -> dict[str, str]:
    stated = dossier.declaration.model_dump(
        mode="json", exclude_none=True, exclude_defaults=True, exclude=set(NOT_PARAMETERS)
    )
    found = {
        keys(name): value[:PARAM_LENGTH] for name, value in _flat(stated, "") if name not in PERSONAL and value != ""
    }
    found["seed"] = str(dossier.seed)
    return found


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _flat(inner, f"{name}.{key}" if name else str(key))
        case list():
            yield name, json.dumps(value, ensure_ascii=False)
        case bool():
            yield name, str(value).lower()
        case _:
            yield name, str(value)


def description_of(dossier: Dossier, run: Run) -> str:
    """Write what the run's own page shows: the card as far as it fits, without the names of persons.

    MLflow keeps a description as a tag, so its length has a limit; the whole card is among the run's artifacts.

    Args:
        dossier, run: of the assessment.

    Returns:
        Markdown of at most `TAG_LENGTH` characters, cut between blocks.
    """
    from model_cards.exports import markdown
    from model_cards.words import Words

    provider = dossier.declaration.system.provider.model_copy(update={"contact": ""})
    system = dossier.declaration.system.model_copy(update={"provider": provider})
    nobody = dossier.model_copy(update={"declaration": dossier.declaration.model_copy(update={"system": system})})
    card = markdown.render(Assessment(dossier=nobody, run=run.model_copy(update={"who": ""})), "en").decode()
    text = _INSIDE.sub("", _FRONT_MATTER.sub("", card)).strip()
    # Pictures are files of the dossier, and anchors places in it: a description has neither.
    blocks = [block for block in text.split("\n\n") if not block.lstrip().startswith(("![", "<a id"))]
    more = Words("en")("card.more_in_artifacts", file="model_card.en.md")
    room = TAG_LENGTH - len(more) - 2
    kept: list[str] = []
    for block in blocks:
        room -= len(block) + 2
        if room < 0:
            return "\n\n".join([*kept, more])
        kept.append(block)
    return "\n\n".join(kept)


def _one_line(text: str, length: int) -> str:
    return re.sub(r"[\x00-\x1f\x7f\s]+", " ", text).strip()[:length] or "unnamed"


def _dataset(dossier: Dossier) -> Any:
    """Describe the evaluation data by name and digest alone: no row and no place to fetch one."""
    from mlflow.entities import Dataset

    stated = dossier.declaration
    file = stated.counts.file if stated.counts else stated.data.file if stated.data else None
    if file is None and stated.predictions is not None:
        file = stated.predictions.file
    if file is None:
        return None
    digest = _digest_of_file(dossier, file)
    rows = next((sum(int(n or 0) for n in t.columns["rows"]) for t in dossier.counts if not t.attribute), None)
    return Dataset(
        name=file[:500],
        digest=digest[:DIGEST_LENGTH],
        source_type="digest",
        source=json.dumps({"sha256": digest}),
        profile=None if rows is None else json.dumps({"num_rows": rows}),
    )


def _digest_of_file(dossier: Dossier, file: str) -> str:
    """Give the SHA-256 of a file of the submission, or over the files of a folder of it."""
    files = dossier.submission.files
    if file in files:
        return files[file]
    inside = {n: d for n, d in files.items() if n.startswith(f"{file}/")}
    return hashlib.sha256(json.dumps(inside, sort_keys=True).encode()).hexdigest() if inside else ""


def _milliseconds(time: str) -> int:
    return int(dt.datetime.fromisoformat(time).timestamp() * 1000)


def _pieces(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _documents(folder: Path) -> list[str]:
    return [n for n in files_of(folder) if not n.startswith(NOT_LOGGED)]


@contextlib.contextmanager
def _tree_of(folder: Path) -> Iterator[Path]:
    """Give a folder with the documents alone, linked rather than copied where that is possible."""
    tree = folder.parent / f".{folder.name}.{new_id()[:8]}.log"
    tree.mkdir(mode=0o700)
    try:
        for name in _documents(folder):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(folder / name, tree / name)
            except OSError:
                shutil.copyfile(folder / name, tree / name)
        yield tree
    finally:
        shutil.rmtree(tree, ignore_errors=True)
