"""Assessments for fault tests: real intake and a made-up dossier, in a second; and real ones among them."""

from __future__ import annotations

import random
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.delivery import deliver
from sandbox.intake import accept, read_table
from sandbox.records import evidence_store
from sandbox.settings import Settings
from sandbox.stages import Stage
from tests.make import runs


def brief(
    submission: Path,
    *,
    out: Path,
    settings: Settings,
    progress: Callable[[Stage], None],
    cancel: threading.Event,
    **more: Any,
) -> runs.Made:
    """Unpack and read a submission in the quarantine, take a moment at each stage, write a dossier, seal evidence."""
    drawn = random.Random(submission.name)
    with deliver(out) as delivery:
        progress(Stage(name="accept"))
        with accept(submission, settings, isolation=None) as bundle:
            progress(Stage(name="read"))
            table = read_table(bundle)
            assert table is not None
            time.sleep(drawn.uniform(0.1, 0.6))
            name = bundle.declaration.system.name
            progress(Stage(name="write"))
            made = runs.write(delivery.draft, name)
            time.sleep(drawn.uniform(0.05, 0.2))
            evidence_store.store(runs.evidence(name), settings)
    return runs.Made(assessment=made, evidence=runs.evidence(name), folder=out)


def mixed(submission: Path, **how: Any) -> Any:
    """Assess for real what comes with a model, in a cell; the others as `brief` does."""
    with zipfile.ZipFile(submission) as given:
        real = any(Path(name).name.startswith("model.") for name in given.namelist())
    if not real:
        return brief(submission, **how)
    from sandbox.assess import assess

    return assess(submission, **how)
