"""An environment is built in a cell from the one index, kept by its key, looked at before every mount, and ours is not.

The packages are written by the tests and served on this machine; those with real packages are in `test_real_packages`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.environments import building, keeping
from sandbox.environments.keeping import Environment, environment_of
from sandbox.environments.requirements import Requirement, read_requirements
from sandbox.errors import ModelFault
from sandbox.intake.problems import Gathered
from sandbox.isolation import place
from sandbox.isolation.bubblewrap import Bubblewrap
from sandbox.isolation.interface import CellFiles, Chosen
from sandbox.respondent import readied
from sandbox.settings import Settings
from tests.conftest import skip_or_fail
from tests.make.index import Served, serving, source, wheel
from tests.make.walls import SMALL, Wall, everything

pytestmark = pytest.mark.network
ROOT = Path(__file__).resolve().parents[3]

OLD = wheel("old_lib", "1.0", {"old_lib/__init__.py": "VERSION = '1.0'\n"}, requires=("below",))
NEW = wheel("old_lib", "2.0", {"old_lib/__init__.py": "VERSION = '2.0'\n"})
BELOW = wheel("below", "3.1", {"below.py": "def add(a, b):\n    return a + b\n"})
NEEDY = wheel("needy", "1.0", {"needy.py": ""}, requires=("nowhere-to-be-found",))


@pytest.fixture
def index() -> Iterator[Served]:
    """An index of this machine's own, with few packages."""
    with serving(OLD, NEW, BELOW, NEEDY) as served:
        yield served


@pytest.fixture(autouse=True)
def _nothing_stays(session_settings: Settings) -> Iterator[None]:
    """Remove what a test built: its index is gone, so nobody can ask for it again."""
    kept = place.open_folder(session_settings, "environments")
    before = set(kept.iterdir())
    yield
    for path in set(kept.iterdir()) - before:
        place.remove_tree(path) if path.is_dir() else path.unlink()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the cell's own code needs: it is not on this index."""
    monkeypatch.setattr(building, "OURS", ())
    small = replace(building.LIMITS, memory_bytes=1024**3, scratch_bytes=512 * 1024**2, wall_seconds=120)
    monkeypatch.setattr(building, "LIMITS", small)


@pytest.fixture
def bubble(session_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wall:
    """The backend without an engine: what is the same for all is tried on one."""
    reason = Bubblewrap(session_settings).available()
    if reason is not None:
        skip_or_fail(reason)
    made = Wall("bubblewrap", session_settings, tmp_path)
    take = place.take

    def noted(*args: Any, **options: Any) -> place.Lease:
        made.leases.append(take(*args, **options))
        return made.leases[-1]

    monkeypatch.setattr(place, "take", noted)
    return made


def asked(text: str) -> tuple[Requirement, ...]:
    """Requirements without a problem."""
    gathered = Gathered()
    found = read_requirements(text.encode(), field="model.requirements", path="r.txt", gathered=gathered)
    gathered.raise_if_any()
    return found


def have(wall: Wall, index: Served, text: str, organisation: str = "") -> Environment:
    """The environment for these requirements."""
    settings = replace(wall.settings, package_index=index.url)
    return environment_of(asked(text), isolation=wall.backend(), settings=settings, organisation=organisation)


def fault(wall: Wall, index: Served, text: str) -> dict[str, Any]:
    """Why these requirements could not be met."""
    with pytest.raises(ModelFault) as raised:
        have(wall, index, text)
    assert raised.value.code == "environment_failed"
    return raised.value.params


def test_it_is_built_from_the_index_with_what_it_depends_on_and_mounted_as_the_cell_s_tree(
    wall: Wall, index: Served
) -> None:
    made = have(wall, index, "old-lib==1.0\n")
    assert made.packages == {"below": "3.1", "old-lib": "1.0"}
    source = """
    import old_lib, below, sys
    def main(connection):
        def there(name):
            try:
                __import__(name)
                return True
            except ImportError:
                return False
        told = [old_lib.VERSION, below.add(1, 2), old_lib.__file__, there("numpy"), "/c/tree" in sys.path]
        connection.sendall(repr(told).encode())
    """
    files = CellFiles(environment=made.mount())
    running = wall.backend(wall.code(source)).open(files, SMALL)
    try:
        told = everything(running)
    finally:
        running.close()
    assert told == repr(["1.0", 3, "/c/tree/old_lib/__init__.py", False, True])


def test_it_is_written_once_and_asks_the_index_no_second_time(bubble: Wall, index: Served) -> None:
    first = have(bubble, index, "old-lib==2.0\n")
    count = len(index.asked)
    again = have(bubble, index, "old-lib==2.0\n# the same\n")
    assert (again.folder, again.digest, len(index.asked)) == (first.folder, first.digest, count)
    assert have(bubble, index, "old-lib==1.0\n").folder != first.folder


def test_another_organisation_gets_one_of_its_own(bubble: Wall, index: Served) -> None:
    ours = have(bubble, index, "old-lib==2.0\n", "one")
    theirs = have(bubble, index, "old-lib==2.0\n", "two")
    assert ours.folder != theirs.folder
    assert ours.files == theirs.files


def test_another_index_or_wall_is_another_environment(bubble: Wall, index: Served) -> None:
    first = have(bubble, index, "old-lib==2.0\n")
    with serving(NEW) as other:
        assert have(bubble, other, "old-lib==2.0\n").folder != first.folder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("old-lib==9.9\n", "no version of old-lib==9.9"),
        ("needy==1.0\n", "nowhere-to-be-found"),
        ("not-there==1.0\n", "not-there"),
        ("old-lib==2.0 ; os_name == = 'x'\n", ""),
    ],
)
def test_what_cannot_be_met_is_said_in_the_resolver_s_own_words(
    wall: Wall, index: Served, text: str, words: str
) -> None:
    told = fault(wall, index, text)
    assert told["stage"] == "resolve"
    assert words in told["words"]
    assert 0 < len(told["words"]) <= building.LONGEST_WORDS


def test_an_index_that_is_down_is_a_finding(bubble: Wall, index: Served) -> None:
    index.url = "http://127.0.0.1:9/simple/"
    assert "127.0.0.1:9" in fault(bubble, index, "old-lib==2.0\n")["words"]


def test_a_name_that_does_not_resolve_is_a_finding(bubble: Wall, index: Served) -> None:
    index.url = "https://no-such-host.invalid/simple/"
    told = fault(bubble, index, "old-lib==2.0\n")
    assert (told["stage"], "no-such-host.invalid" in told["words"]) == ("index", True)


def test_a_hash_that_is_stated_is_the_only_one_that_is_taken(bubble: Wall, index: Served) -> None:
    right = hashlib.sha256(NEW[1]).hexdigest()
    assert have(bubble, index, f"old-lib==2.0 --hash=sha256:{right}\n").packages == {"old-lib": "2.0"}
    told = fault(bubble, index, f"old-lib==2.0 --hash=sha256:{'0' * 64}\n")
    assert "no file with the hash that is stated for old-lib" in told["words"]


def test_a_file_that_is_not_what_its_page_says_is_not_installed(bubble: Wall, index: Served) -> None:
    right = index.page
    changed = wheel("old_lib", "2.0", {"old_lib/__init__.py": "VERSION = 'changed'\n"})[1]
    index.page = lambda path: changed if path.endswith(".whl") else right(path)  # type: ignore[method-assign]
    assert "ash mismatch" in fault(bubble, index, "old-lib==2.0\n")["words"]


def test_only_wheels_are_taken_unless_the_operator_lets_sources_be_built(bubble: Wall) -> None:
    with serving(("source_only-1.0.tar.gz", b"\x1f\x8b" + bytes(40))) as index:
        assert "source-only" in fault(bubble, index, "source-only==1.0\n")["words"]
        assert not any(path.endswith(".tar.gz") for path in index.asked)


def test_a_package_is_built_from_source_where_the_operator_consents_and_its_code_sees_nothing(
    wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "hidden")
    with serving(BELOW) as index, serving(BELOW) as elsewhere:
        port = int(index.url.split(":")[2].split("/")[0])
        asks = {
            "addresses": [["127.0.0.1", port], ["169.254.169.254", 80], ["203.0.113.7", 443]],
            "urls": [index.url + "below/", elsewhere.url + "below/", "http://169.254.169.254/latest/"],
        }
        index.files.update([source({"asks.json": json.dumps(asks)})])
        assert "source-only" in fault(wall, index, "source-only==1.0\n")["words"]
        consenting = replace(wall.settings, package_index=index.url, package_sources=1)
        made = environment_of(asked("source-only==1.0\n"), isolation=wall.backend(), settings=consenting)
        assert elsewhere.asked == []
    assert made.packages == {"source-only": "1.0"}
    seen = json.loads((made.folder / "seen.json").read_text())
    # The index was reached, also for what the build needs; by the gate alone, and nothing else was.
    assert (seen["built_with"], seen["answered"]) == (3, [200, 403, 403])
    assert (seen["reached"], seen["resolved"]) == ([False, False, False], False)
    assert "SECRET_OF_THE_WORKER" not in seen["names"]
    assert [path for path in seen["files"] if not path.startswith("/c/tree/")] == ["/c/socket/gate", "/c/upload/uv"]


def test_a_link_on_the_index_to_another_host_is_not_followed(bubble: Wall, index: Served) -> None:
    with serving(NEW) as elsewhere:
        link = f'<a href="{elsewhere.url.replace("/simple/", "/files/")}{NEW[0]}">{NEW[0]}</a>'
        index.page = lambda path: link.encode() if "simple" in path else None  # type: ignore[method-assign]
        assert fault(bubble, index, "old-lib==2.0\n")["words"]
        assert elsewhere.asked == []


def test_a_pth_file_and_sitecustomize_run_neither_here_nor_in_the_cell(wall: Wall, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    act = f"import pathlib; pathlib.Path({str(mark)!r}).touch(); pathlib.Path('/tmp/ran').touch()\n"
    files = {"a.pth": act, "sitecustomize.py": act, "usercustomize.py": act, "tricky.py": "X = 1\n"}
    with serving(wheel("tricky", "1.0", files)) as index:
        made = have(wall, index, "tricky==1.0\n")
    assert {"a.pth", "sitecustomize.py"} <= set(made.files)
    source = """
    import os, tricky
    def main(connection):
        connection.sendall(repr([tricky.X, os.path.exists("/tmp/ran")]).encode())
    """
    running = wall.backend(wall.code(source)).open(CellFiles(environment=made.mount()), SMALL)
    try:
        assert everything(running) == "[1, False]"
    finally:
        running.close()
    assert not mark.exists()
    assert not any(str(made.folder) in path for path in sys.path)


def test_what_was_changed_on_disk_is_not_mounted(bubble: Wall, index: Served) -> None:
    made = have(bubble, index, "old-lib==2.0\n", "changed")
    path = made.folder / "old_lib" / "__init__.py"
    before = path.stat()
    path.chmod(0o644)
    path.write_text("VERSION = 'X.0'\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ModelFault, match="no longer those that were built"):
        made.mount()
    with pytest.raises(ModelFault, match="no longer those that were built"):
        have(bubble, index, "old-lib==2.0\n", "changed")
    path.write_text("VERSION = '2.0'\n")
    fresh = have(bubble, index, "old-lib==2.0\n", "changed")
    (made.folder / "added.py").write_text("")
    with pytest.raises(ModelFault, match="no longer those that were built"):
        fresh.mount()


def unused(folder: Path, days: float) -> None:
    """Let it be so many days since this was last used."""
    os.utime(folder, (time.time() - 86_400 * days,) * 2)


def test_what_no_run_has_used_for_so_many_days_is_removed_and_built_anew_when_asked_for(
    bubble: Wall, index: Served
) -> None:
    settings = replace(bubble.settings, package_days=5)
    kept = keeping.open_folder(settings, "environments")
    first = have(bubble, index, "old-lib==2.0\n")
    other = have(bubble, index, "old-lib==1.0\n")
    asked_for = set(kept.glob("asked-*"))
    unused(other.folder.parent, 4.9)
    unused(first.folder.parent, 5.1)
    assert keeping.remove_unused(replace(settings, package_days=0)) == ()
    assert keeping.remove_unused(settings) == (first.folder.parent.name,)
    assert not first.folder.exists()
    assert other.mount() == other.folder
    assert len(asked_for - set(kept.glob("asked-*"))) == 1
    count = len(index.asked)
    assert have(bubble, index, "old-lib==2.0\n").digest == first.digest
    assert len(index.asked) > count


def test_being_asked_for_counts_as_use_and_is_when_others_go(bubble: Wall, index: Served) -> None:
    first, other = have(bubble, index, "old-lib==2.0\n"), have(bubble, index, "old-lib==1.0\n")
    for each in (first, other):
        unused(each.folder.parent, bubble.settings.package_days - 1)
    have(bubble, index, "old-lib==2.0\n")
    unused(other.folder.parent, bubble.settings.package_days + 1)
    have(bubble, index, "old-lib==2.0\n")
    assert first.folder.exists()
    assert not other.folder.exists()


def test_an_environment_is_not_removed_while_a_run_holds_it_or_one_is_built(bubble: Wall, index: Served) -> None:
    made = have(bubble, index, "old-lib==2.0\n")
    kept = keeping.open_folder(bubble.settings, "environments")
    left = kept / "of-a-killed-worker.building"
    (left / "packages").mkdir(parents=True)
    for folder in (made.folder.parent, left):
        unused(folder, 1000)
    with made.held(), (kept / "lock").open("w") as building_one:
        fcntl.flock(building_one, fcntl.LOCK_SH)
        assert keeping.remove_unused(bubble.settings) == ()
        fcntl.flock(building_one, fcntl.LOCK_UN)
        assert keeping.remove_unused(bubble.settings) == (left.name,)
        assert made.mount() == made.folder
    assert keeping.remove_unused(bubble.settings) == (made.folder.parent.name,)
    assert not left.exists()
    assert not made.folder.exists()


def test_a_run_holds_the_packages_of_its_model_until_its_cells_are_gone(bubble: Wall, index: Served) -> None:
    settings = replace(bubble.settings, package_index=index.url)
    bundle: Any = SimpleNamespace(requirements=asked("old-lib==2.0\n"), model_format="pickle")
    with readied(bundle, Chosen(isolation=bubble.backend()), SMALL, settings=settings):
        made = have(bubble, index, "old-lib==2.0\n")
        unused(made.folder.parent, 1000)
        assert keeping.remove_unused(settings) == ()
    assert keeping.remove_unused(settings) == (made.folder.parent.name,)


def test_nobody_but_the_worker_can_write_it_and_every_cell_can_read_it(bubble: Wall, index: Served) -> None:
    made = have(bubble, index, "old-lib==2.0\n")
    for path in (made.folder, *made.folder.rglob("*")):
        mode = path.stat().st_mode & 0o777
        assert mode == (0o555 if path.is_dir() else 0o444), path
    assert (made.folder.parent / "manifest.json").stat().st_mode & 0o777 == 0o400


def test_nothing_is_left_of_a_builder(bubble: Wall, index: Served) -> None:
    fault(bubble, index, "old-lib==9.9\n")
    for lease in bubble.leases:
        assert not Path(lease.folder).exists()
        assert not Path(lease.path).exists()
    kept = Path(keeping.open_folder(bubble.settings, "environments"))
    assert list(kept.glob("*.building")) == []


FORGED = """
import json, struct
REQUEST, PART = struct.Struct("<4sQ"), struct.Struct("<4sBxHQ")
def part(kind, name=b"", body=b"", size=None):
    return PART.pack(b"AISB", kind, len(name), len(body) if size is None else size) + name + body
def main(connection):
    def receive():
        head = b""
        while len(head) < REQUEST.size:
            head += connection.recv(REQUEST.size - len(head))
        size, held = REQUEST.unpack(head)[1], b""
        while len(held) < size:
            held += connection.recv(size - len(held))
    receive()
    connection.sendall(part(1, body=b"old-lib==2.0 --hash=sha256:" + b"a" * 64 + b"\\n"))
    receive()
    %s
"""


@pytest.mark.parametrize(
    "act",
    [
        "connection.sendall(part(3, b'../../escaped', b'x') + part(4))",
        "connection.sendall(part(3, b'/etc/escaped', b'x') + part(4))",
        "connection.sendall(part(3, b'a/./b', b'x') + part(4))",
        "connection.sendall(part(3, b'a\\0b', b'x') + part(4))",
        "connection.sendall(part(3, b'a', b'x') * 2 + part(4))",
        "connection.sendall(part(3, b'a', b'', 2**62))",
        "connection.sendall(part(3, b'a', b'', 4 * 1024**3))",
        "connection.sendall(part(1, b'', b'', 2**40))",
        "connection.sendall(part(9))",
        "connection.sendall(b'noise' * 100)",
        "connection.sendall(part(3, b'a', b'x'))",
        "import os; os._exit(9)",
    ],
)
@pytest.mark.bubblewrap
def test_a_builder_that_was_taken_over_writes_nothing_but_plain_files_in_its_folder(
    act: str, index: Served, session_settings: Any, tmp_path: Path
) -> None:
    wall = Wall("bubblewrap", replace(session_settings, package_index=index.url), tmp_path)
    code = wall.code("")
    (code / "build.py").write_text(FORGED % act)
    folder = tmp_path / "packages"
    folder.mkdir()
    tracemalloc.start()
    try:
        with pytest.raises(ModelFault) as raised:
            building.build(
                asked("old-lib==2.0\n"), isolation=wall.backend(code), settings=wall.settings, place=lambda _: folder
            )
        assert tracemalloc.get_traced_memory()[1] < 256 * 1024**2, "what is only said takes no memory"
    finally:
        tracemalloc.stop()
    assert raised.value.code == "environment_failed"
    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/etc/escaped").exists()


def test_the_service_s_own_processes_never_name_an_environment_on_their_path() -> None:
    for path in sorted((ROOT / "sandbox").rglob("*.py")):
        text = path.read_text()
        if "environments" in path.parts or "environment" in text:
            assert "sys.path.insert" not in text
            assert "addsitedir" not in text


def test_a_builder_reaches_nothing_but_its_gate(wall: Wall, index: Served) -> None:
    port = int(index.url.split(":")[2].split("/")[0])
    source = f"""
    import socket
    def main(connection):
        told = []
        for address in (("127.0.0.1", {port}), ("169.254.169.254", 80), ("203.0.113.7", 443)):
            with socket.socket() as one:
                one.settimeout(3)
                try:
                    one.connect(address)
                    told.append("reached")
                except OSError:
                    told.append("nothing")
        try:
            socket.getaddrinfo("index.example", 80)
            told.append("resolved")
        except OSError:
            told.append("no name")
        for family, kind in ((10, 1), (16, 3), (17, 3), (40, 1)):
            try:
                socket.socket(family, kind)
                told.append("given")
            except OSError:
                told.append("refused")
        connection.sendall(" ".join(told).encode())
    """
    code = wall.code(source)
    (code / "serve.py").rename(code / "build.py")
    running = wall.backend(code).open(CellFiles(entry="build"), SMALL)
    try:
        assert everything(running) == "nothing nothing nothing no name refused refused refused refused"
    finally:
        running.close()
    assert index.asked == []
