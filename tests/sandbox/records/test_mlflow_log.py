"""An assessment reaches MLflow once: now, or when the server is there again."""

from __future__ import annotations

import base64
import json
import multiprocessing
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from checks.finding import Finding, Measure, Outcome
from model_cards.dossier import Run
from sandbox.records import mlflow_log
from sandbox.records.database import Database
from sandbox.records.tables import OutboxEntry, now
from sandbox.settings import Settings
from tests.make import runs as made_up
from tests.make.waiting import free_port


def runs(settings: Settings, experiment: str = "Loan decisions") -> list[Any]:
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id], f"tags.{mlflow_log.KEY_TAG} != ''"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dossier"


def log(folder: Path, settings: Settings, **kwargs: Any) -> mlflow_log.Drained:
    return mlflow_log.log_or_keep(made_up.write(folder, **kwargs), folder, settings)


def test_a_run_holds_what_the_contract_names(folder: Path, settings: Settings) -> None:
    drained = log(folder, settings)
    assert (len(drained.logged), drained.waiting) == (1, 0)
    (run,) = runs(settings)
    metrics, tags, params = run.data.metrics, run.data.tags, run.data.params
    assert metrics["fairness.selection_rate.ratio/sex"] == 0.71
    assert metrics["fairness.selection_rate.ratio/sex/low"] == 0.6
    assert metrics["fairness.selection_rate.ratio/sex/high"] == 0.78
    assert metrics["fairness.selection_rate.ratio/sex/rows"] == 900
    assert metrics["accuracy.overall.accuracy"] == 0.87
    assert tags["outcome/fairness.selection_rate"] == "fail"
    assert tags["outcome/fairness.selection_rate/sex"] == "fail"
    assert tags["outcome/fairness.selection_rate/home_town"] == "inconclusive"
    assert tags["outcome/accuracy.overall"] == "pass"
    assert tags["risk_class"] == "high_risk_annex_iii"
    assert (tags["rules_version"], tags["as_of"], tags["policy"]) == ("2026.1", "2026-06-01", "default 1")
    assert (tags["route"], tags["attested_by"], tags["submission_digest"]) == ("model", "service", "5" * 64)
    assert (params["system.version"], params["data.task"], params["data.threshold"]) == ("1.2", "binary", "0.4")
    assert "not a regulatory sandbox under Article 57" in tags["mlflow.note.content"]
    assert run.info.status == "FINISHED"


def test_a_measure_without_a_value_is_a_tag_with_its_reason_and_no_number(folder: Path, settings: Settings) -> None:
    log(folder, settings)
    (run,) = runs(settings)
    assert run.data.tags["fairness.equal_opportunity.ratio/sex"] == "no value: no_labels"
    assert "fairness.equal_opportunity.ratio/sex" not in run.data.metrics
    assert "fairness.equal_opportunity.ratio/sex/low" not in run.data.metrics


def test_a_name_that_mlflow_refuses_is_changed_and_kept_as_a_tag(folder: Path, settings: Settings) -> None:
    log(folder, settings)
    (run,) = runs(settings)
    assert run.data.metrics["fairness.selection_rate.ratio/home_town"] == 0.71
    assert run.data.tags["name/fairness.selection_rate.ratio/home_town"] == "fairness.selection_rate.ratio/home town"
    assert run.data.metrics["accuracy.top.rate_5_"] == 0.5
    assert run.data.tags["name/accuracy.top.rate_5_"] == "accuracy.top.rate @ 5%"


def test_two_names_that_would_become_one_key_stay_two(folder: Path, settings: Settings) -> None:
    measures = [
        Measure(name=name, value=value, rows=1, unit="share")
        for name, value in (("a b", 0.1), ("a/b", 0.2), ("a:b", 0.3), ("../a", 0.4), ("x" * 400, 0.5), ("é", 0.6))
    ]
    log(folder, settings, found=[made_up.finding("accuracy.top", Outcome.MEASURED, *measures)])
    (run,) = runs(settings)
    values = {v for k, v in run.data.metrics.items() if not k.endswith("/rows")}
    assert values == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}


def test_data_and_model_are_known_by_digest_and_not_logged(folder: Path, settings: Settings) -> None:
    log(folder, settings)
    (run,) = runs(settings)
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("test.csv", ("b" * 64)[:36])
    assert json.loads(dataset.dataset.source) == {"sha256": "b" * 64}
    assert json.loads(dataset.dataset.profile) == {"num_rows": 1000}
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    (output,) = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert model.tags["mlflow.model.isExternal"] == "true"
    assert model.params["digest"] == "a" * 64
    assert str(model.status) == "READY"
    kept = {p.name for p in (settings.state / "mlflow-artifacts").rglob("*") if p.is_file()}
    assert "model.skops" not in kept
    assert "test.csv" not in kept


def test_documents_and_plots_are_artifacts_and_single_rows_are_not(folder: Path, settings: Settings) -> None:
    log(folder, settings)
    (run,) = runs(settings)
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    top = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert {"dossier.json", "run.json", "model_card.en.html", "model_card.nl.pdf", "plots"} <= top
    assert "figures" not in top
    assert {f.path for f in client.list_artifacts(run.info.run_id, "plots")} == {"plots/plot0.svg", "plots/plot1.svg"}


def test_personal_data_do_not_go_to_mlflow(folder: Path, settings: Settings) -> None:
    log(folder, settings)
    (run,) = runs(settings)
    assert "someone@example.org" not in json.dumps([run.data.params, run.data.tags])


def test_the_same_assessment_is_logged_once_and_another_run_of_it_twice(tmp_path: Path, settings: Settings) -> None:
    first = log(tmp_path / "a", settings)
    again = log(tmp_path / "b", settings)
    assert first.logged == again.logged
    assert len(runs(settings)) == 1
    log(tmp_path / "c", settings, who="somebody else")
    assert len(runs(settings)) == 2


def test_a_logger_that_broke_off_finishes_the_same_run(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mlflow.MlflowClient.log_artifacts", full)
        drained = log(folder, settings)
    assert drained.waiting == 1
    assert "no space" in drained.problem
    assert [r.info.status for r in runs(settings)] == ["RUNNING"]
    assert mlflow_log.drain(mlflow_log.FolderOutbox(settings), settings).waiting == 0
    (run,) = runs(settings)
    assert run.info.status == "FINISHED"
    assert len(run.outputs.model_outputs) == 1
    assert len(run.inputs.dataset_inputs) == 1
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    assert len(client.get_metric_history(run.info.run_id, "accuracy.overall.accuracy")) == 1


def test_a_server_that_is_down_loses_nothing_and_it_is_logged_later_once(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    down = replace(settings, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}")
    begun = time.monotonic()
    drained = log(folder, down)
    assert time.monotonic() - begun < 15
    assert (len(drained.logged), drained.waiting) == (0, 1)
    assert drained.problem
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    later = mlflow_log.drain(mlflow_log.FolderOutbox(settings), settings)
    assert (len(later.logged), later.waiting) == (1, 0)
    assert mlflow_log.drain(mlflow_log.FolderOutbox(settings), settings) == mlflow_log.Drained()
    assert len(runs(settings)) == 1


def test_a_server_that_fails_is_not_mistaken_for_success(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(500)
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        drained = log(folder, replace(settings, mlflow_tracking_uri=f"http://127.0.0.1:{server.server_port}"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (len(drained.logged), drained.waiting) == (0, 1)


def _log_in_process(folder: Path, settings: Settings) -> None:
    drained = mlflow_log.drain(mlflow_log.FolderOutbox(settings), settings)
    assert drained.waiting == 0
    mlflow_log.log_or_keep(made_up.write(folder, who=folder.name), folder, settings)


def test_three_processes_on_a_fresh_store_log_each_assessment_once(tmp_path: Path, settings: Settings) -> None:
    shared = tmp_path / "shared"
    made_up.write(shared, who="shared")
    mlflow_log.FolderOutbox(settings).put(shared)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_log_in_process, args=(tmp_path / f"own{i}", settings)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [p.exitcode for p in processes] == [0, 0, 0]
    found = runs(settings)
    assert len(found) == 4
    assert len({r.data.tags["assessment"] for r in found}) == 4


def test_the_outbox_of_the_service_remembers_its_run(database: Database, settings: Settings) -> None:
    place = settings.state / "dossiers" / "one"
    made_up.write(place)
    key = mlflow_log.key_of(place)
    with database.writing() as session:
        session.add(OutboxEntry(key=key, folder="one", put=now()))
    outbox = mlflow_log.DatabaseOutbox(database, settings)
    drained = mlflow_log.drain(outbox, settings)
    assert drained.waiting == 0
    with database.reading() as session:
        entry = session.get(OutboxEntry, key)
        assert entry is not None
        assert entry.logged is not None
        assert entry.mlflow_run == drained.logged[key]
    assert outbox.letters() == []
    assert place.is_dir()


def test_one_letter_that_cannot_be_read_holds_no_other_up(database: Database, settings: Settings) -> None:
    good, bad = settings.state / "dossiers" / "good", settings.state / "dossiers" / "bad"
    made_up.write(good)
    made_up.write(bad, who="x")
    (bad / "dossier.json").write_text("{}")
    with database.writing() as session:
        session.add(OutboxEntry(key="0" * 64, folder="bad", put=now()))
        session.flush()
        session.add(OutboxEntry(key=mlflow_log.key_of(good), folder="good", put=now()))
    drained = mlflow_log.drain(mlflow_log.DatabaseOutbox(database, settings), settings)
    assert (len(drained.logged), drained.waiting) == (1, 1)
    with database.reading() as session:
        entry = session.get(OutboxEntry, "0" * 64)
        assert entry is not None
        assert entry.tries == 1
        assert "ValidationError" in entry.problem


def test_the_run_is_found_by_its_metric_and_its_class(folder: Path, settings: Settings) -> None:
    log(folder, settings)
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    experiment = client.get_experiment_by_name("Loan decisions").experiment_id
    for query in (
        "metrics.`fairness.selection_rate.ratio/sex` < 0.8",
        "tags.risk_class = 'high_risk_annex_iii'",
        "tags.`outcome/fairness.selection_rate` = 'fail'",
    ):
        assert len(client.search_runs([experiment], query)) == 1


def test_the_runs_of_a_systems_versions_stand_under_one_that_says_what_the_newest_came_to(
    tmp_path: Path, settings: Settings
) -> None:
    for number, who in enumerate(("first", "second", "third")):
        log(tmp_path / who, settings, who=who, found=[] if number == 2 else None)
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    experiment = client.get_experiment_by_name("Loan decisions").experiment_id
    (system,) = client.search_runs([experiment], f"tags.{mlflow_log.SYSTEM_TAG} = 'Loan decisions'")
    versions = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{system.info.run_id}'")
    assert len(versions) == 3
    assert system.info.status == "FINISHED"
    assert system.data.tags["newest_version"] == "1.2"
    assert system.data.tags["newest_findings_beyond"] == "0"
    assert "# Loan decisions" in system.data.tags["mlflow.note.content"]


def test_an_older_assessment_that_is_logged_late_does_not_speak_for_the_system(
    tmp_path: Path, settings: Settings
) -> None:
    log(tmp_path / "newer", settings, who="newer")
    late = made_up.write(tmp_path / "late", who="late", found=[])
    assert late.run is not None
    earlier = late.run.model_copy(update={"ended": "2020-01-01T00:00:00+00:00"})
    (tmp_path / "late" / "run.json").write_bytes(earlier.to_json())
    mlflow_log.log_or_keep(late, tmp_path / "late", settings)
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    experiment = client.get_experiment_by_name("Loan decisions").experiment_id
    (system,) = client.search_runs([experiment], f"tags.{mlflow_log.SYSTEM_TAG} != ''")
    assert system.data.tags["newest_at"].startswith("2026-06-01")
    assert system.data.tags["newest_findings_beyond"] == "1"


def replace_attribute(finding: Finding, attribute: str) -> Finding:
    return finding.model_copy(update={"attribute": attribute})


def test_the_description_is_the_card_without_names_of_persons_and_within_mlflows_limit(
    folder: Path, settings: Settings
) -> None:
    many = [replace_attribute(f, f"{f.attribute}{n}") for n in range(12) for f in made_up.dossier().findings]
    made = made_up.write(folder, who="somebody", found=many)
    assert made.run is not None
    text = mlflow_log.description_of(made.dossier, made.run)
    assert text.startswith("# Loan decisions")
    assert "not a regulatory sandbox under Article 57" in text
    assert "beyond the limit set" in text
    assert len(text) <= mlflow_log.TAG_LENGTH
    assert text.endswith("model_card.en.md.")
    for kept_out in ("somebody", "someone", "](#", "<a id", "model-index"):
        assert kept_out not in text


def test_two_organisations_with_systems_of_one_name_share_nothing(
    tmp_path: Path, settings: Settings, database: Database
) -> None:
    for number, name in enumerate(("North", "South")):
        whose = (str(number) * 32, name)
        made_up.write(tmp_path / name, who=name)

        class One:
            def letters(self, folder: Path = tmp_path / name, whose: tuple[str, str] = whose) -> Any:
                return [mlflow_log.Letter(key=mlflow_log.key_of(folder), folder=folder, organisation=whose)]

            def logged(self, *_: object) -> None: ...

            def failed(self, letter: object, problem: str) -> None:
                pytest.fail(problem)

        assert len(mlflow_log.drain(One(), settings).logged) == 1
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    for number, name in enumerate(("North", "South")):
        (experiment,) = client.search_experiments(filter_string=f"tags.organisation = '{str(number) * 32}'")
        assert experiment.name.startswith(f"Loan decisions ({name}")
        assert {r.data.tags["organisation"] for r in client.search_runs([experiment.experiment_id])} == {
            str(number) * 32
        }


def test_an_experiment_that_was_deleted_is_taken_up_again(tmp_path: Path, settings: Settings) -> None:
    log(tmp_path / "a", settings)
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    client.delete_experiment(client.get_experiment_by_name("Loan decisions").experiment_id)
    drained = log(tmp_path / "b", settings, who="later")
    assert drained.waiting == 0
    assert client.get_experiment_by_name("Loan decisions").lifecycle_stage == "active"


def test_fifty_measures_and_twenty_documents_take_less_than_a_second(tmp_path: Path, settings: Settings) -> None:
    log(tmp_path / "first", settings)
    measures = [Measure(name=f"m{i}", value=i / 7, low=0, high=9, rows=i, unit="share") for i in range(50)]
    many = [made_up.finding("accuracy.top", Outcome.MEASURED, *measures)]
    place = tmp_path / "second"
    assessment = made_up.write(place, found=many, plots=12, who="second")
    begun = time.monotonic()
    drained = mlflow_log.log_or_keep(assessment, place, settings)
    seconds = time.monotonic() - begun
    print(f"200 metrics, {sum(1 for p in place.rglob('*') if p.is_file())} files: {seconds:.3f} s")
    assert drained.waiting == 0
    assert seconds < 1.0


def test_the_key_depends_on_dossier_and_run(tmp_path: Path) -> None:
    made_up.write(tmp_path / "a")
    made_up.write(tmp_path / "b")
    made_up.write(tmp_path / "c", who="x")
    a, b, c = (mlflow_log.key_of(tmp_path / n) for n in "abc")
    assert a == b != c
    assert Run.from_json((tmp_path / "c" / "run.json").read_bytes()).who == "x"


def test_the_one_credential_of_mlflow_goes_with_what_is_logged_and_is_read_from_a_file(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "to be put back")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (folder.parent / "credential").write_text("logger:a secret\n")
    asked: list[str | None] = []

    class Asking(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization"))
            self.send_response(401)
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Asking)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    there = replace(
        settings,
        mlflow_tracking_uri=f"http://127.0.0.1:{server.server_port}",
        mlflow_credential_file=str(folder.parent / "credential"),
    )
    try:
        drained = log(folder, there)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert drained.waiting == 1
    assert set(asked) == {"Basic " + base64.b64encode(b"logger:a secret").decode()}
    (folder.parent / "credential").write_text("no colon")
    with pytest.raises(ValueError, match="name:password"):
        mlflow_log.credential(there)
