"""A collector is told how long things take, and nothing about anybody; without one nothing is even imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sandbox import tracing
from sandbox.app import create_app
from sandbox.assess import assess
from sandbox.errors import CannotStart
from sandbox.records.database import migrate
from sandbox.settings import Settings
from sandbox.stages import Cancelled, Watch
from tests.make import submissions

PERSON = "Jan-Jansen"


@pytest.fixture
def traced(settings: Settings) -> Settings:
    return replace(settings, traces="http://127.0.0.1:9/v1/traces")


@pytest.fixture
def told(traced: Settings) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.start(traced, "test", exporter=exporter)
    yield exporter
    tracing.stop()


def sent(exporter: InMemorySpanExporter) -> list[str]:
    assert tracing._provider is not None
    tracing._provider.force_flush()
    return [span.to_json() for span in exporter.get_finished_spans()]


def test_nothing_is_told_or_imported_without_a_collector(settings: Settings) -> None:
    assert settings.traces == ""
    program = (
        "import sys; from sandbox import tracing; from sandbox.settings import Settings\n"
        "tracing.start(Settings(), 'web')\n"
        "with tracing.span('x'): pass\n"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_each_stage_of_an_assessment_is_a_span_under_the_assessment_and_holds_nothing_of_it(
    told: InMemorySpanExporter, traced: Settings, tmp_path: Path
) -> None:
    system = {**submissions.SYSTEM, "name": PERSON}
    given = submissions.documents(tmp_path / PERSON, system=system)
    with tracing.span("assessment", submission="0" * 32, attempt=1):
        assess(given, out=tmp_path / "out", settings=traced, log_to_mlflow=False, languages=("en",))
    found = sent(told)
    spans = told.get_finished_spans()
    (whole,) = [s for s in spans if s.name == "assessment"]
    stages = [s for s in spans if s.name.startswith("stage ")]
    names = [s.name.removeprefix("stage ") for s in stages]
    assert {"accept", "read", "seal", "judge", "classify", "write"} <= set(names)
    assert all(s.parent is not None and s.parent.span_id == whole.context.span_id for s in stages)
    assert not [line for line in found if PERSON in line or str(tmp_path) in line]
    assert {key for s in spans for key in s.attributes or {}} == {"submission", "attempt"}
    assert set(whole.resource.attributes) == {"service.name", "service.version"}


def test_a_request_is_told_by_the_pattern_of_its_route_alone(told: InMemorySpanExporter, traced: Settings) -> None:
    migrate(traced)
    client = create_app(traced).test_client()
    client.get(f"/en/submissions?q={PERSON}", headers={"User-Agent": PERSON, "Cookie": f"a={PERSON}"})
    client.get(f"/en/submissions/{PERSON}")
    client.get(f"/{PERSON}")
    found = sent(told)
    assert not [line for line in found if PERSON in line or "127.0.0.1" in line]
    facts = [dict(s.attributes or {}) for s in told.get_finished_spans()]
    assert [f["http.response.status_code"] for f in facts] == [200, 404, 404]
    assert [f["http.route"] for f in facts][::2] == ["/<lang:lang>/submissions", ""]


@pytest.mark.parametrize("error", [ValueError(PERSON), Cancelled(PERSON)])
def test_an_error_is_told_by_its_kind_and_not_by_its_words(told: InMemorySpanExporter, error: BaseException) -> None:
    with pytest.raises(type(error)), Watch().stage("read"):
        raise error
    (line,) = sent(told)
    assert type(error).__name__ in line
    assert PERSON not in line


def test_a_collector_that_is_down_holds_nothing_up_for_long(traced: Settings) -> None:
    import time

    tracing.start(traced, "assessment")
    with tracing.span("assessment"):
        pass
    begun = time.monotonic()
    tracing.stop()
    assert time.monotonic() - begun < 15


def test_traces_without_their_packages_say_what_to_install(traced: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(CannotStart, match=r"install aiact-sandbox\[traces\]"):
        tracing.start(traced, "web")
