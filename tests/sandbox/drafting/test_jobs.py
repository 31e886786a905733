"""What keeps the jobs of drafts going."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy.exc import OperationalError

from sandbox.drafting import jobs
from sandbox.records.database import migrate
from sandbox.settings import Settings


@pytest.mark.parametrize("fault", [OSError(28, "no room is left"), OperationalError("SELECT 1", {}, Exception("away"))])
def test_a_fault_of_this_machine_does_not_end_the_jobs_to_come(
    fault: Exception, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(settings)
    stop, again, times = threading.Event(), threading.Event(), []

    def do_next(*_: object) -> bool:
        times.append(1)
        if len(times) == 1:
            raise fault
        again.set()
        return False

    monkeypatch.setattr(jobs, "do_next", do_next)
    doing = jobs.Jobs(settings, stop)
    doing.start()
    try:
        assert again.wait(30)
    finally:
        stop.set()
        doing.finish()
