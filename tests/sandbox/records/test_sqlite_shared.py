"""Several processes have one SQLite file, and none takes its log away from another."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
from sqlalchemy import text

from sandbox.records.database import Database
from sandbox.records.mlflow_log import Tracking
from sandbox.settings import Settings

OTHER = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit(); c.close()"


@pytest.mark.parametrize("opened_as", ["records", "runs"])
def test_a_process_that_opens_a_database_twice_still_sees_what_others_write(settings: Settings, opened_as: str) -> None:
    file = settings.state / "sandbox.db"
    log = file.with_name("sandbox.db-wal")
    settings = replace(settings, database_url=f"sqlite:///{file}", mlflow_tracking_uri=f"sqlite:///{file}")

    def elsewhere(statement: str) -> None:
        subprocess.run([sys.executable, "-c", OTHER, str(file), statement], check=True)

    database = Database(settings)
    with database.writing() as session:
        session.execute(text("CREATE TABLE seen (number INTEGER)"))
    # Closing any descriptor of a file lets go of every lock that the process has on it.
    if opened_as == "records":
        Database(settings).close()
    else:
        Tracking(settings)
    shared = log.stat().st_ino
    elsewhere("SELECT * FROM seen")
    assert log.exists(), "whoever closes last takes the log away, and this process has not closed"
    elsewhere("INSERT INTO seen VALUES (1)")
    assert log.stat().st_ino == shared
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM seen")).scalar() == 1
    with database.writing() as session:
        session.execute(text("INSERT INTO seen VALUES (2)"))
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as other:
        assert other.execute("SELECT count(*) FROM seen").fetchone() == (2,)
    database.close()
