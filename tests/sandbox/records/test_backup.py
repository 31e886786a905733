"""A copy of a running installation becomes an installation again, whole, or says what is not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox import engine
from sandbox.cli import main
from sandbox.records import audit, backup, evidence_store, keyring, queue, uploads
from sandbox.records.database import Database
from sandbox.records.erasure import NotYet, erase
from sandbox.records.examination import examine
from sandbox.records.tables import new_id
from sandbox.settings import Settings
from tests.make import queued


@pytest.fixture
def hand_in(database: Database, settings: Settings) -> Callable[[str], str]:
    return lambda name: queued.hand_in(settings, database, name.encode(), f"{name}.zip")


@pytest.fixture
def done(database: Database, settings: Settings, hand_in: Callable[[str], str]) -> Callable[[str], str]:
    def finished(name: str) -> str:
        submission = hand_in(name)
        claimed = queue.claim(database, worker="w")
        assert claimed is not None
        engine.run(submission, settings, token=claimed.token, entry="tests.make.runs:summed")
        return submission

    return finished


def test_a_restored_installation_has_every_dossier_every_record_and_every_upload(
    database: Database, settings: Settings, elsewhere: Settings, done: Callable[[str], str], tmp_path: Path
) -> None:
    first, _ = done("Loan check"), done("Benefits")
    waits = queue.find(database, first)
    assert waits is not None
    # What was decided about public packages: without it, a later one could show what an earlier one kept in.
    (settings.state / "publication").mkdir()
    (settings.state / "publication" / "decided.json").write_text("{}", encoding="utf-8")
    made = backup.back_up(settings, tmp_path / "copy")
    restored = backup.restore(tmp_path / "copy", elsewhere)
    assert (restored.submissions, restored.dossiers, restored.faults) == (2, 2, ())
    again = Database(elsewhere)
    with again.reading() as session:
        assert list(audit.head(session)) == made["audit_head"]
    found = queue.find(again, first)
    again.close()
    assert found is not None
    assert found.dossier_digest == waits.dossier_digest
    assert b"".join(uploads.read_upload(elsewhere, first)) == b"Loan check"
    assert found.evidence_digest is not None
    assert evidence_store.load(found.evidence_digest, elsewhere) is not None
    assert (elsewhere.state / "publication" / "decided.json").read_text(encoding="utf-8") == "{}"


def test_a_backup_of_a_service_at_work_is_whole(
    database: Database, settings: Settings, elsewhere: Settings, hand_in: Callable[[str], str], tmp_path: Path
) -> None:
    stop = threading.Event()

    def go_on() -> None:
        number = 0
        while not stop.is_set():
            hand_in(f"System {number}")
            number += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        while not queue.newest(database, limit=1):
            pass
        backup.back_up(settings, tmp_path / "copy")
    finally:
        stop.set()
        thread.join()
    restored = backup.restore(tmp_path / "copy", elsewhere)
    assert restored.faults == ()
    again = Database(elsewhere)
    rows = queue.newest(again, limit=10_000)
    again.close()
    assert len(rows) == restored.submissions > 0
    for row in rows:
        sent = b"".join(uploads.read_upload(elsewhere, row.id))
        assert hashlib.sha256(sent).hexdigest() == row.digest


def test_a_changed_backup_is_not_restored(
    settings: Settings, elsewhere: Settings, done: Callable[[str], str], tmp_path: Path
) -> None:
    done("Loan check")
    backup.back_up(settings, tmp_path / "copy")
    (dossier,) = (tmp_path / "copy" / "dossiers").glob("*/dossier.json")
    dossier.write_bytes(dossier.read_bytes().replace(b"0.71", b"0.91"))
    with pytest.raises(backup.CannotCopy, match="not as they were written"):
        backup.restore(tmp_path / "copy", elsewhere)
    assert not (elsewhere.state / "dossiers").exists()


def test_nothing_is_restored_over_an_installation(
    settings: Settings, database: Database, done: Callable[[str], str], tmp_path: Path
) -> None:
    done("Loan check")
    backup.back_up(settings, tmp_path / "copy")
    with pytest.raises(backup.CannotCopy, match="empty"):
        backup.restore(tmp_path / "copy", settings)
    with pytest.raises(backup.CannotCopy, match="already"):
        backup.back_up(settings, tmp_path / "copy")


def test_a_dossier_that_was_changed_after_it_was_recorded_is_named(
    settings: Settings, done: Callable[[str], str]
) -> None:
    submission = done("Loan check")
    (card,) = (settings.state / "dossiers").glob("*/model_card.en.md")
    card.write_text("# Another card\n")
    (fault,) = backup.check(settings).faults
    assert submission in fault
    assert "model_card.en.md" in fault
    shutil.rmtree(card.parent)
    assert backup.check(settings).faults == (f"The dossier of submission {submission} is not there.",)


def test_erasing_leaves_a_certificate_and_nothing_that_could_be_read(
    settings: Settings, database: Database, done: Callable[[str], str]
) -> None:
    submission = done("Loan check")
    before = queue.find(database, submission)
    assert before is not None
    assert before.evidence_digest is not None
    made = erase(settings, database, submission, actor="operator", reason="asked for")
    assert (made.upload, made.evidence, made.dossier, made.digest) == (True, True, False, before.digest)
    assert [p.name for p in (settings.state / "keys").glob(f"*{submission}*")] == []
    with pytest.raises(FileNotFoundError):
        list(uploads.read_upload(settings, submission))
    assert evidence_store.load(before.evidence_digest, settings) is None
    with database.reading() as session:
        assert audit.head(session) == (made.number, made.line_digest)
        assert audit.verify(session) == ()
    after = queue.find(database, submission)
    assert after is not None
    assert (after.name, after.dossier) == ("–", before.dossier)
    assert backup.check(settings).faults == ()


def test_evidence_that_another_submission_shares_stays(
    settings: Settings, database: Database, done: Callable[[str], str]
) -> None:
    first, second = done("Loan check"), done("Loan check")
    made = erase(settings, database, first, actor="operator", reason="asked for")
    assert (made.upload, made.evidence, made.evidence_shared) == (True, False, True)
    assert b"".join(uploads.read_upload(settings, second)) == b"Loan check"
    last = erase(settings, database, second, actor="operator", reason="asked for")
    assert (last.upload, last.evidence, last.evidence_shared) == (True, True, False)
    assert evidence_store.kept(settings) == ()


def test_what_still_waits_is_not_erased(settings: Settings, database: Database, hand_in: Callable[[str], str]) -> None:
    submission = hand_in("Loan check")
    with pytest.raises(NotYet, match="cancel"):
        erase(settings, database, submission, actor="operator", reason="asked for")
    with pytest.raises(LookupError):
        erase(settings, database, "f" * 32, actor="operator", reason="asked for")
    assert b"".join(uploads.read_upload(settings, submission)) == b"Loan check"


def test_the_examination_says_what_to_mend(
    settings: Settings, database: Database, hand_in: Callable[[str], str], tmp_path: Path
) -> None:
    hand_in("Loan check")
    assert {line.what for line in examine(settings) if not line.held} == {"workers"}
    assert queue.claim(database, worker="w") is not None
    assert [line for line in examine(settings) if not line.held] == []
    master = tmp_path / "master"
    master.write_bytes(os.urandom(32))
    master.chmod(0o600)
    with_master = replace(settings, master_key_file=str(master))
    receiving = uploads.Receiving(with_master, new_id())
    receiving.keep()
    receiving.close()
    assert [line for line in examine(with_master) if not line.held] == []
    master.write_bytes(os.urandom(32))
    (settings.state / "uploads").chmod(0o755)
    unreachable = replace(with_master, mlflow_tracking_uri="http://127.0.0.1:9", upload_bytes=10**18)
    lines = {line.what: line for line in examine(unreachable) if not line.held}
    assert set(lines) == {"state", "disk", "master key", "mlflow"}
    assert all(line.mend for line in lines.values())


def test_the_operator_s_commands_do_all_of_it(
    settings: Settings, elsewhere: Settings, done: Callable[[str], str], tmp_path: Path
) -> None:
    submission = done("Loan check")

    def run(*words: str, at: Settings = settings) -> tuple[int, str]:
        env = {"AIACT_SANDBOX_STATE": str(at.state), "AIACT_SANDBOX_DATABASE_URL": at.database_url}
        result = CliRunner().invoke(main, ["admin", *words], env=env)
        return result.exit_code, result.output

    code, told = run("audit", "verify")
    head = told.partition("Head: ")[2].split()[0]
    assert (code, head.partition(":")[0]) == (0, "3")
    assert run("audit", "verify", "--head", head)[0] == 0
    assert run("audit", "verify", "--head", "2:" + "0" * 64)[0] == 4
    assert run("doctor")[0] == 0
    assert run("backup", str(tmp_path / "copy"))[0] == 0
    code, told = run("erase", submission, "--reason", "asked for", "--json")
    assert (code, json.loads(told)["upload"]) == (0, True)
    assert run("erase", "f" * 32, "--reason", "asked for")[0] == 2
    code, told = run("restore", str(tmp_path / "copy"), at=elsewhere)
    assert (code, "1 dossiers checked; 0 faults" in told) == (0, True)
    assert run("restore", str(tmp_path / "copy"), at=elsewhere)[0] == 4


def test_keys_are_bound_to_their_names(settings: Settings, tmp_path: Path) -> None:
    master = tmp_path / "master"
    master.write_text("0a" * 32)
    master.chmod(0o600)
    wrapped = replace(settings, master_key_file=str(master))
    keyring.keep(tmp_path / "one.key", b"k" * 32, wrapped)
    assert keyring.read(tmp_path / "one.key", wrapped) == b"k" * 32
    (tmp_path / "one.key").rename(tmp_path / "two.key")
    with pytest.raises(keyring.NoMasterKey):
        keyring.read(tmp_path / "two.key", wrapped)
