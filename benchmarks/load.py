"""Hold a hundred readers and twenty submitters on this machine's own address, and say how long a page took to come."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.client import Client, Unreachable
from sandbox.records.database import Database, migrate
from sandbox.review import people
from sandbox.review.permissions import Role
from sandbox.serving import serve
from sandbox.settings import Settings
from tests.make import submissions
from tests.make.waiting import free_port

READERS, SUBMITTERS = 100, 20
SECONDS = 30.0
THINK_SECONDS = (2.0, 6.0)
"""How long a reader looks at a page before asking for the next, at least and at most."""

SLOWEST_MILLISECONDS = 300.0
"""What ninety-nine of a hundred page reads stay under."""

CORES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One page that was read."""

    path: str
    seconds: float
    bytes: int
    status: int


def main(options: Sequence[str]) -> int:
    """Measure; `--quick` holds fewer people for a shorter time.

    Args:
        options: from the command line.

    Returns:
        1 if the slowest of a hundred page reads takes longer than it may, else 0.
    """
    quick = "--quick" in options
    readers, submitters, seconds = (20, 4, 8.0) if quick else (READERS, SUBMITTERS, SECONDS)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(
            Settings.from_environment(),
            state=Path(folder) / "state",
            mlflow_tracking_uri="",
            accounts="local",
            isolation="bubblewrap",
            listen=f"127.0.0.1:{free_port()}",
        )
        token, secret = _people(settings)
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(settings,))
        process.start()
        try:
            assert process.pid is not None
            return _hold(settings, process.pid, Path(folder), token, secret, readers, submitters, seconds)
        finally:
            process.terminate()
            process.join(40)
            process.kill()


def _people(settings: Settings) -> tuple[str, str]:
    """Make an organisation with one owner; gives a token and the cookie of a session."""
    from sandbox.app import create_app

    migrate(settings)
    database = Database(settings)
    organisation = people.create_organisation(database, name="Municipality", actor="bench")
    person = people.create_person(
        database, login="ada", name="Ada", password="four words that differ", actor="bench"
    )  # fmt: skip
    people.give_role(database, person_id=person, organisation_id=organisation, role=Role.OWNER, actor="bench")
    secret = people.sign_in(database, login="ada", password="four words that differ") or ""
    identity = people.identify(database, secret)
    assert identity is not None
    token = people.make_token(database, identity, name="t", organisation_id=organisation, scope="submit", days=1)
    app = create_app(settings)
    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]  # of Flask's own
    assert serializer is not None
    cookie = f"{app.config['SESSION_COOKIE_NAME']}={serializer.dumps({'secret': secret})}"
    app.extensions["aiact_sandbox"].database.close()
    database.close()
    return token, cookie


def _hold(
    settings: Settings,
    web: int,
    folder: Path,
    token: str,
    cookie: str,
    readers: int,
    submitters: int,
    seconds: float,
) -> int:
    client = Client(f"http://{settings.listen}", token=token)
    handed_in = submissions.predictions(folder / "loan check")
    first = _first(client, handed_in)
    here = f"/submissions/{first}"
    paths = ["/", "/submissions", "/portfolio", f"{here}/report", f"{here}/card/model_card.en.html", "/drafts"]
    stop = time.monotonic() + seconds
    ended: list[float] = []
    broken: list[str] = []
    there = [threading.Thread(target=_submit, args=(client, handed_in, stop, ended, broken)) for _ in range(submitters)]
    begun = _used(web)
    for person in there:
        person.start()
    reads = asyncio.run(_readers(settings.listen, cookie, paths, stop, readers, broken))
    used = _used(web)
    for person in there:
        person.join()
    print(f"{readers} reading and {submitters} submitting for {seconds:.0f} s on {CORES} cores, client included")
    for name in begun:
        worked, waited = (after - before for after, before in zip(used[name], begun[name], strict=True))
        print(f"{name}: {worked:.1f} s of processor time, {waited:.1f} s ready to run and kept waiting for a processor")
    return _say(reads, ended, broken)


def _first(client: Client, handed_in: Path) -> str:
    end = time.monotonic() + 120
    while True:
        try:
            done = client.wait(client.submit(handed_in).id)
        except Unreachable:
            assert time.monotonic() < end, "the service did not start"
            time.sleep(0.3)
        else:
            assert done.state == "done", done.problems
            return done.id


async def _readers(
    listen: str, cookie: str, paths: Sequence[str], stop: float, many: int, broken: list[str]
) -> list[Read]:
    """Let many people read in one thread, so that they take little of what the service has."""
    reads: list[Read] = []
    await asyncio.gather(*(_read(listen, cookie, paths, stop, number, reads, broken) for number in range(many)))
    return reads


async def _read(
    listen: str, cookie: str, paths: Sequence[str], stop: float, number: int, reads: list[Read], broken: list[str]
) -> None:
    """Read page after page on one connection, with time to look at each."""
    chance = random.Random(number)  # no secret
    host, _, port = listen.rpartition(":")
    await asyncio.sleep(chance.uniform(0, THINK_SECONDS[1]))
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024**2)
    while time.monotonic() < stop:
        path = f"/{chance.choice(('en', 'nl'))}{chance.choice(paths)}"
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(60):
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {listen}\r\nCookie: {cookie}\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = int(next(x for x in head.split("\r\n") if x.lower().startswith("content-length:"))[15:])
                body = await reader.readexactly(length)
        except (OSError, EOFError, StopIteration) as error:
            broken.append(f"{path}: {error!r}")
            break
        took, status = time.perf_counter() - begun, int(head.split(" ", 2)[1])
        reads.append(Read(path=path, seconds=took, bytes=len(body), status=status))
        await asyncio.sleep(chance.uniform(*THINK_SECONDS))
    writer.close()


def _submit(client: Client, handed_in: Path, stop: float, ended: list[float], broken: list[str]) -> None:
    """Hand in, ask every second how far it is, and hand in again."""
    while time.monotonic() < stop:
        begun = time.monotonic()
        submission = client.submit(handed_in)
        while time.monotonic() < stop and not submission.state.is_over:
            time.sleep(1.0)
            submission = client.status(submission.id)
        if submission.state.is_over:
            ended.append(time.monotonic() - begun)
            if submission.state != "done":
                broken.append(f"{submission.id}: {submission.state}")


def _used(web: int) -> dict[str, tuple[float, float]]:
    """Give the seconds that web process and readers worked, and that they were kept waiting for a processor."""
    used = {}
    for name, pid in (("web process", web), ("readers and submitters", os.getpid())):
        worked = waited = 0
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                ran, stood, _ = (thread / "schedstat").read_text().split()
                worked, waited = worked + int(ran), waited + int(stood)
        used[name] = worked / 1e9, waited / 1e9
    return used


def _say(reads: list[Read], ended: list[float], broken: list[str]) -> int:
    broken += [f"{read.path}: {read.status}" for read in reads if read.status != 200]
    assert reads, broken
    by_kind: dict[str, list[float]] = {}
    for read in reads:
        kind = read.path[3:].replace("/card/model_card.en.html", "/card")
        parts = kind.split("/")
        by_kind.setdefault("/".join("…" if len(p) == 32 else p for p in parts), []).append(1000 * read.seconds)
    took = sorted(1000 * read.seconds for read in reads)
    for kind, times in [*sorted(by_kind.items()), ("all pages", took)]:
        ordered = sorted(times)
        print(
            f"{kind:<26} {len(ordered):5} reads, {_share(ordered, 0.5):6.0f} ms in the middle, "
            f"{_share(ordered, 0.99):6.0f} ms the slowest of a hundred, {ordered[-1]:6.0f} ms at most"
        )
    print(f"{len(ended)} submissions ended; {len(broken)} went wrong {broken[:3]}")
    slow = _share(took, 0.99)
    load = os.getloadavg()[0]
    print(f"the slowest of a hundred page reads: {slow:.0f} ms (may be {SLOWEST_MILLISECONDS:.0f}); load {load:.1f}")
    return int(slow > SLOWEST_MILLISECONDS or bool(broken))


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
