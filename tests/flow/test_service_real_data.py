"""The running service on real data: what a browser hands in is queued, run in its cell, and read again."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, selection_rate

from tests.make import real
from tests.make.waiting import free_port

pytestmark = [pytest.mark.real_data, pytest.mark.network, pytest.mark.timeout(600)]
COMMAND = Path(sys.executable).parent / "aiact-sandbox"


def ask(address: str, body: bytes | None = None) -> Any:
    """Ask the service; JSON comes back parsed, all else as bytes."""
    request = urllib.request.Request(address, data=body, headers={"Content-Type": "application/zip"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        content = answer.read()
        return json.loads(content) if "json" in answer.headers["Content-Type"] else content


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the service with its worker, on a free port of this machine."""
    state = tmp_path_factory.mktemp("service")
    port = free_port()
    environment = {**os.environ, "AIACT_SANDBOX_STATE": str(state), "AIACT_SANDBOX_ISOLATION": "bubblewrap"}
    process = subprocess.Popen(
        [str(COMMAND), "serve", "--listen", f"127.0.0.1:{port}"], env=environment, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                ask(f"{address}/en/")
                break
            except OSError:
                assert process.poll() is None, "the service ended"
                time.sleep(0.25)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def hand_in(service: str, made: real.Made, folder: Path) -> tuple[dict[str, Any], zipfile.ZipFile]:
    """Hand in a submission as a zip and wait for its dossier."""
    zipped = Path(shutil.make_archive(str(folder / "handed-in"), "zip", made.folder))
    given = ask(f"{service}/api/v1/submissions", zipped.read_bytes())
    status = given
    until = time.monotonic() + 300
    while status["state"] in ("queued", "running") and time.monotonic() < until:
        time.sleep(0.3)
        status = ask(f"{service}/api/v1/submissions/{given['id']}")
    assert status["state"] == "done", status
    dossier = zipfile.ZipFile(io.BytesIO(ask(f"{service}/api/v1/submissions/{given['id']}/dossier")))
    report = ask(f"{service}/nl/submissions/{given['id']}/report")
    assert b"<html" in report
    return status, dossier


def read(dossier: zipfile.ZipFile, name: str) -> Any:
    (path,) = [n for n in dossier.namelist() if n.endswith(name)]
    return json.loads(dossier.read(path))


def group_rates(dossier: dict[str, Any], attribute: str) -> dict[str, float]:
    (finding,) = [
        f for f in dossier["findings"] if f["check"] == "fairness.selection_rate" and f["attribute"] == attribute
    ]
    return {
        g["group"][attribute]: m["value"]
        for g in finding["groups"]
        for m in g["measures"]
        if m["name"] == "selection_rate"
    }


@pytest.mark.bubblewrap
def test_adult_handed_in_over_the_network_gets_fairlearns_figures(
    service: str, real_data: Path, tmp_path: Path, bwrap: str
) -> None:
    made = real.adult(tmp_path / "submission", real_data)
    _, zipped = hand_in(service, made, tmp_path)
    dossier, run = read(zipped, "dossier.json"), read(zipped, "run.json")
    decided = (made.decision == ">50K").astype(int)
    for group in real.ADULT_GROUPS:
        frame = MetricFrame(
            metrics=selection_rate, y_true=decided, y_pred=decided, sensitive_features=made.rows[group].to_numpy()
        )
        assert group_rates(dossier, group) == pytest.approx(frame.by_group.to_dict(), abs=1e-12)
    assert run["attested_by"] == "service"
    assert all(p["held"] for p in run["receipt"]["probes"])


def test_the_grant_records_handed_in_over_the_network_get_fairlearns_figures(
    service: str, real_data: Path, tmp_path: Path
) -> None:
    made = real.student_grant(tmp_path / "submission", real_data)
    _, zipped = hand_in(service, made, tmp_path)
    decided = (made.decision == "no visit").astype(int)
    groups = made.rows["education"].to_numpy()
    frame = MetricFrame(metrics=selection_rate, y_true=decided, y_pred=decided, sensitive_features=groups)
    assert group_rates(read(zipped, "dossier.json"), "education") == pytest.approx(frame.by_group.to_dict(), abs=1e-12)


def test_german_credit_handed_in_over_the_network_gets_fairlearns_figures(
    service: str, real_data: Path, tmp_path: Path
) -> None:
    made = real.german(tmp_path / "submission", real_data)
    _, zipped = hand_in(service, made, tmp_path)
    decided = (made.decision == "good").astype(int)
    old = np.where(made.rows["age"] >= 25, "old", "young")
    frame = MetricFrame(metrics=selection_rate, y_true=decided, y_pred=decided, sensitive_features=old)
    rates = group_rates(read(zipped, "dossier.json"), "age")
    assert sorted(rates.values()) == pytest.approx(sorted(frame.by_group), abs=1e-12)
