"""The web process has neither the means to run a model nor to open an upload."""

from __future__ import annotations

import subprocess
import sys

NOT_IN_WEB = (
    "docker",
    "sandbox.intake",
    "sandbox.isolation",
    "sandbox.cell",
    "sandbox.assess",
    "mlflow",
    "sklearn",
    "skops",
)


def test_the_web_process_loads_no_container_engine_no_reader_and_no_model_library() -> None:
    asked = (
        "import sys, sandbox.app, sandbox.api.v1; "
        f"print([m for m in sys.modules if any(m == n or m.startswith(n + '.') for n in {NOT_IN_WEB!r})])"
    )
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_worker_loads_no_web_framework() -> None:
    asked = "import sys, sandbox.worker; print([m for m in sys.modules if m in ('flask', 'waitress', 'werkzeug')])"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
