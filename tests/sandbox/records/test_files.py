"""Files are there whole or not at all, in a folder and in an object store alike."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from sandbox import engine, worker
from sandbox.app import create_app
from sandbox.records import backup, dossier_store, evidence_store, files, queue, uploads
from sandbox.records.database import Database, migrate
from sandbox.records.erasure import erase
from sandbox.records.examination import examine
from sandbox.records.files import NotReached, open_files
from sandbox.records.tables import new_id
from sandbox.settings import Settings
from sandbox.verifying import verify
from tests.make import runs, s3

pytestmark = pytest.mark.network

PART = files.PART_BYTES


@pytest.fixture
def there(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Settings whose files are in a bucket of the test's own."""
    request.getfixturevalue("s3")
    return replace(settings, files=s3.bucket(f"test-{new_id()[:12]}") + "/kept")


@pytest.fixture(params=["folder", "bucket"])
def either(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Settings with files in one place or the other."""
    return settings if request.param == "folder" else request.getfixturevalue("there")


def stems(settings: Settings, folder: str = "uploads") -> list[str]:
    return [kept.stem for kept in open_files(settings).kept(folder, ".sealed")]


def receive(settings: Settings, content: bytes, submission_id: str = "a" * 32) -> str:
    receiving = uploads.Receiving(settings, submission_id)
    receiving.write(content)
    receiving.keep()
    receiving.close()
    return submission_id


def test_an_upload_of_several_parts_comes_back_and_lies_there_encrypted(either: Settings) -> None:
    content = os.urandom(5) + b"people" * (PART // 3)
    receiving = uploads.Receiving(either, "a" * 32)
    for start in range(0, len(content), 300_000):
        receiving.write(content[start : start + 300_000])
    assert stems(either) == []
    receiving.keep()
    receiving.close()
    assert stems(either) == ["a" * 32]
    assert b"".join(uploads.read_upload(either, "a" * 32)) == content
    with open_files(either).open(f"uploads/{'a' * 32}.sealed") as file:
        assert b"people" not in file.read(100_000)
    (kept,) = uploads.kept(either)
    assert abs(dt.datetime.now(dt.UTC) - kept.changed) < dt.timedelta(minutes=5)


def test_a_name_that_is_taken_is_not_given_to_another_upload(either: Settings) -> None:
    receive(either, b"first")
    with open_files(either).create(f"uploads/{'a' * 32}.sealed", new=True) as other:
        other.write(b"second")
        with pytest.raises(FileExistsError):
            other.keep()
    assert b"".join(uploads.read_upload(either, "a" * 32)) == b"first"


def test_removing_says_whether_there_was_something(either: Settings) -> None:
    receive(either, b"one")
    assert uploads.is_kept(either, "a" * 32)
    assert uploads.remove_upload(either, "a" * 32)
    assert not uploads.remove_upload(either, "a" * 32)
    assert not uploads.is_kept(either, "a" * 32)
    with pytest.raises(FileNotFoundError):
        list(uploads.read_upload(either, "a" * 32))


def test_evidence_is_sealed_listed_opened_and_expired(either: Settings) -> None:
    evidence = runs.evidence("Loan check")
    day = dt.date(2026, 6, 1)
    evidence_store.store(evidence, replace(either, retention_days=5), today=day)
    evidence_store.store(evidence, replace(either, retention_days=9), today=day)
    (sealed,) = evidence_store.kept(either)
    assert (sealed.digest, sealed.expires) == (evidence.digest, "2026-06-10")
    found = evidence_store.load(evidence.digest, either, today=day)
    assert found is not None
    assert found.digest == evidence.digest
    assert evidence_store.expire(either, dt.date(2026, 6, 10)) == ()
    assert evidence_store.expire(either, dt.date(2026, 6, 11)) == (evidence.digest,)
    assert evidence_store.load(evidence.digest, either, today=day) is None
    assert stems(either, "evidence") == []


@contextmanager
def through_a_wire(address: str) -> Iterator[tuple[str, threading.Event]]:
    """Lead to an address through a wire that is cut when the event is set."""
    host, _, port = address.rpartition("//")[2].partition(":")
    cut = threading.Event()
    ends: list[socket.socket] = []

    def carry(source: socket.socket, sink: socket.socket) -> None:
        try:
            while (piece := source.recv(65536)) and not cut.is_set():
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            end.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    inside = listening.accept()[0]
                except OSError:
                    return
                if cut.is_set():
                    inside.close()
                    continue
                outside = socket.create_connection((host, int(port)))
                ends.extend((inside, outside))
                for pair in ((inside, outside), (outside, inside)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", cut
        cut.set()
        for end in ends:
            end.close()


WRITER = """
import sys
from pathlib import Path
from sandbox.records import files, uploads
from sandbox.settings import Settings
import s3fs
s3fs.S3FileSystem.retries = 1
settings = Settings(state=Path(sys.argv[1]), files=sys.argv[2])
receiving = uploads.Receiving(settings, "a" * 32)
piece = bytes(1024**2)
for _ in range(20):
    receiving.write(piece)
print("half", flush=True)
sys.stdin.readline()
try:
    for _ in range(20):
        receiving.write(piece)
    receiving.keep()
except files.NotReached as gone:
    print("not reached", flush=True)
receiving.close()
"""


def writer(settings: Settings, address: str) -> subprocess.Popen[str]:
    """Start a process that writes half an upload, and the rest when it is told to."""
    env = {**os.environ, "AWS_ENDPOINT_URL": address, "AWS_MAX_ATTEMPTS": "1"}
    command = [sys.executable, "-c", WRITER, str(settings.state), settings.files]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def test_a_connection_that_is_lost_in_the_middle_leaves_no_half_file(
    there: Settings, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with through_a_wire(s3["AWS_ENDPOINT_URL"]) as (address, cut), writer(there, address) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "half\n"
        cut.set()
        print("go on", file=process.stdin, flush=True)
        assert process.stdout.readline() == "not reached\n"
        assert process.wait(60) == 0
    assert stems(there) == []
    assert not uploads.is_kept(there, "a" * 32)
    # What was sent of it is invisible, and is removed when it is old enough for nobody to be at it. This server says of
    # each that it was begun in 2010.
    monkeypatch.setattr(files, "UNFINISHED_HOURS", 24.0 * 365 * 100)
    assert uploads.remove_partial(there) == 0
    monkeypatch.setattr(files, "UNFINISHED_HOURS", 24.0)
    assert uploads.remove_partial(there) == 1
    assert uploads.remove_partial(there) == 0


def test_a_receiver_that_is_killed_leaves_no_half_file(there: Settings, s3: dict[str, str]) -> None:
    with writer(there, s3["AWS_ENDPOINT_URL"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert stems(there) == []
    assert uploads.remove_partial(there) == 1
    assert not uploads.is_kept(there, "a" * 32)


def test_what_is_no_place_for_files_is_refused(settings: Settings) -> None:
    for address in ("/a/folder", "gs://bucket", "s3://"):
        with pytest.raises(ValueError, match=r"s3://bucket/prefix"):
            open_files(replace(settings, files=address))


@pytest.fixture
def service(there: Settings) -> Iterator[tuple[Settings, FlaskClient, Database]]:
    """A service whose files are in a bucket."""
    there = replace(there, listen="127.0.0.1:8080")
    migrate(there)
    app = create_app(there)
    database = app.extensions["aiact_sandbox"].database
    yield there, app.test_client(), database
    database.close()


def hand_in(client: FlaskClient, name: str = "Loan check") -> str:
    answer = client.post("/api/v1/submissions", data=name.encode(), content_type="application/zip")
    assert answer.status_code == 201
    return str(answer.get_json()["id"])


def finish(settings: Settings, database: Database, client: FlaskClient, name: str = "Loan check") -> str:
    """Hand in, and let a worker assess it."""
    submission = hand_in(client, name)
    claimed = queue.claim(database, worker="w")
    assert claimed is not None
    engine.run(submission, settings, token=claimed.token, entry="tests.make.runs:summed")
    assert client.get(f"/api/v1/submissions/{submission}").get_json()["state"] == "done"
    return submission


def test_a_submission_is_received_assessed_and_fetched_with_all_files_in_a_bucket(
    service: tuple[Settings, FlaskClient, Database], tmp_path: Path
) -> None:
    settings, client, database = service
    submission = finish(settings, database, client)
    assert not (settings.state / "uploads").exists()
    assert not (settings.state / "evidence").exists()
    assert (stems(settings), len(stems(settings, "evidence"))) == ([submission], 1)
    here = client.get(f"/api/v1/submissions/{submission}/dossier").data
    # Another machine, which has no copy, gives the same bytes and the same pages.
    shutil.rmtree(settings.state / "dossiers")
    (tmp_path / "fetched.zip").write_bytes(client.get(f"/api/v1/submissions/{submission}/dossier").data)
    assert (tmp_path / "fetched.zip").read_bytes() == here
    assert client.get(f"/en/submissions/{submission}/report").status_code == 200
    with zipfile.ZipFile(tmp_path / "fetched.zip") as archive:
        archive.extractall(tmp_path / "dossier")
    assert verify(tmp_path / "dossier").problems == ()
    assert backup.check(settings).faults == ()
    # The store holds it sealed: nobody who reads the bucket reads the card.
    (name,) = dossier_store.names(settings)
    with open_files(settings).open(f"dossiers/{name}.sealed") as file:
        assert not zipfile.is_zipfile(file)


def test_a_dossier_that_was_changed_in_the_bucket_is_not_shown(
    service: tuple[Settings, FlaskClient, Database],
) -> None:
    settings, client, database = service
    finish(settings, database, client)
    (name,) = dossier_store.names(settings)
    shutil.rmtree(settings.state / "dossiers")
    with open_files(settings).open(f"dossiers/{name}.sealed") as file:
        raw = file.read()
    with open_files(settings).create(f"dossiers/{name}.sealed") as out:
        out.write(raw[:-1] + bytes([raw[-1] ^ 1]))
        out.keep()
    with pytest.raises(uploads.Damaged):
        dossier_store.folder(settings, name)
    assert list((settings.state / "dossiers").iterdir()) == []
    assert list((settings.state / "quarantine").iterdir()) == []


def test_erasing_and_tidying_reach_the_bucket(service: tuple[Settings, FlaskClient, Database]) -> None:
    settings, client, database = service
    first, second = finish(settings, database, client), finish(settings, database, client, "Benefits")
    made = erase(settings, database, first, actor="operator", reason="asked for", dossier=True)
    assert (made.upload, made.evidence_shared, made.dossier) == (True, True, True)
    assert stems(settings) == [second]
    assert [name.partition(".")[0] for name in dossier_store.names(settings)] == [second]
    worker.tidy(settings, database, dt.date.today() + dt.timedelta(days=settings.retention_days + 2))
    assert (stems(settings), stems(settings, "evidence")) == ([], [])
    shutil.rmtree(settings.state / "dossiers")
    assert client.get(f"/api/v1/submissions/{second}/dossier").status_code == 200


def test_a_dossier_that_no_record_names_is_removed_from_the_bucket(
    service: tuple[Settings, FlaskClient, Database],
) -> None:
    settings, client, database = service
    finish(settings, database, client)
    (name,) = dossier_store.names(settings)
    lost = f"{'e' * 32}.1"
    shutil.copyfile(settings.state / "dossiers" / f"{name}.zip", settings.state / "dossiers" / f"{lost}.zip")
    dossier_store.keep(settings, lost)
    engine.remove_abandoned(settings, database)
    assert list(dossier_store.names(settings)) == [name]


@pytest.mark.parametrize(
    ("kind", "target"), [("sqlite", "folder"), ("sqlite", "bucket"), ("postgresql", "bucket")], indirect=["kind"]
)
def test_a_backup_of_files_in_a_bucket_is_restored_to_either(
    service: tuple[Settings, FlaskClient, Database], elsewhere: Settings, tmp_path: Path, target: str
) -> None:
    settings, client, database = service
    submission = finish(settings, database, client)
    shutil.rmtree(settings.state / "dossiers")
    backup.back_up(settings, tmp_path / "copy")
    place = "" if target == "folder" else s3.bucket(f"test-{new_id()[:12]}")
    again = replace(elsewhere, files=place)
    restored = backup.restore(tmp_path / "copy", again)
    assert (restored.dossiers, restored.faults) == (1, ())
    assert b"".join(uploads.read_upload(again, submission)) == b"Loan check"
    assert len(evidence_store.kept(again)) == 1
    shutil.rmtree(settings.state / "dossiers")
    if target == "bucket":
        shutil.rmtree(again.state / "dossiers")
        assert backup.check(again).faults == ()
        with pytest.raises(backup.CannotCopy, match="already"):
            backup.restore(tmp_path / "copy", replace(again, state=tmp_path / "third"))


def test_a_store_that_does_not_answer_is_named(there: Settings) -> None:
    command = [
        *(sys.executable, "-c"),
        "import sys; from pathlib import Path; from sandbox.settings import Settings\n"
        "from sandbox.records import files, uploads\nimport s3fs\ns3fs.S3FileSystem.retries = 1\n"
        "try:\n    list(uploads.kept(Settings(state=Path(sys.argv[1]), files=sys.argv[2])))\n"
        "except files.NotReached as gone:\n    print(gone)",
    ]
    env = {**os.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    done = subprocess.run(
        [*command, str(there.state), there.files], env=env, capture_output=True, text=True, check=True, timeout=120
    )
    assert "cannot be reached" in done.stdout
    assert issubclass(NotReached, OSError)


def test_the_examination_looks_at_the_bucket(there: Settings) -> None:
    receive(there, b"one")
    for place, held in ((there.files, True), ("s3://no-such-bucket-at-all", False)):
        (line,) = [line for line in examine(replace(there, files=place)) if line.what == "files"]
        assert (line.held, bool(line.mend)) == (held, not held), line.observed
