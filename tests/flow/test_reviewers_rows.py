"""A reviewer's rows, through the queue and behind the wall: a dossier of their own, and no trace of the rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.engine import run
from sandbox.records import dossier_store, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.queue import Origin
from sandbox.records.tables import State, Submission, new_id, now
from sandbox.settings import Settings
from tests.flow.test_promises import rows, submit
from tests.make.submissions import zipped

pytestmark = pytest.mark.bubblewrap


def kept(settings: Settings, content: bytes) -> tuple[str, str]:
    """Keep an upload; give the id that it is kept under and its digest."""
    submission = new_id()
    receiving = uploads.Receiving(settings, submission)
    receiving.write(content)
    receiving.keep()
    return submission, receiving.digest


def test_a_model_is_asked_about_rows_that_its_provider_never_saw(
    tmp_path: Path, settings: Settings, bwrap: str
) -> None:
    settings = replace(settings, isolation="bubblewrap")
    migrate(settings)
    database = Database(settings)
    upload = zipped(submit(tmp_path / "s", rows(1)), tmp_path / "s.zip").read_bytes()
    first, digest = kept(settings, upload)
    with database.writing() as session:
        session.add(
            Submission(id=first, received=now(), name="s.zip", bytes=len(upload), digest=digest, state=State.DONE)
        )
    held = rows(2, 300).drop(columns="sex").to_csv(index=False).encode()
    id_, digest = kept(settings, held)
    queue.add(
        database,
        submission_id=id_,
        name="holdout.csv",
        size=len(held),
        digest=digest,
        actor="test",
        origin=Origin(holdout_of=first),
    )
    claimed = queue.claim(database, worker="test")
    assert claimed is not None
    run(id_, settings, token=claimed.token)
    second = queue.find(database, id_)
    assert second is not None
    assert second.state == State.DONE, second.problems
    folder = dossier_store.folder(settings, str(second.dossier))
    told = json.loads((folder / "run.json").read_bytes())
    assert told["attested_by"] == "reviewer"
    assert any(hashlib.sha256(held).hexdigest() in note for note in told["notes"])
    dossier = json.loads((folder / "dossier.json").read_bytes())
    measures = {
        m["name"]: m
        for f in dossier["findings"]
        if f["check"] == "cybersecurity.memorised_answers"
        for m in f["measures"]
    }
    assert measures["accuracy_holdout"]["rows"] == 300
    assert measures["accuracy_holdout"]["value"] > 0.7
    assert not uploads.is_kept(settings, id_), "the rows are erased"
    assert uploads.is_kept(settings, first)
    assert queue.newest(database, limit=5)[0].id == first, "it is no further submission"
    database.close()
