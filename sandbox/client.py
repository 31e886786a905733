"""Speak to a service from a program: hand in, ask how far, fetch. One connection for each question.

Assumes of its caller: `url` is the operator's to name; a redirect is never followed, so that a token goes nowhere else.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from sandbox.api.shapes import SubmissionShown, WebhookGiven, WebhookList, WebhookMade, WebhookShown

CHUNK = 1024**2
LOOK_SECONDS = 1.0


class Unreachable(Exception):
    """The service does not answer."""


class Answered(Exception):
    """The service answered with a problem.

    Args:
        status: the HTTP status.
        code: the kind of problem, as in `not_found`.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Client:
    """A service, as a program speaks to it.

    Args:
        url: as in `https://sandbox.example.org`; http only to this machine or where there is no token to lose.
        token: made on the page of one's account; empty for a service without accounts.
        timeout_seconds: longest wait for one answer.

    Raises:
        ValueError: `url` is none.
    """

    def __init__(self, url: str, *, token: str = "", timeout_seconds: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"the address of a service looks like https://sandbox.example.org, not {url!r}")
        if token and parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("a token is not sent over http, where others can read it: use https")
        self._parts, self._token, self._timeout = parts, token, timeout_seconds
        root = parts.path.rstrip("/") + "/api/v1"
        self._base, self._hooks = f"{root}/submissions", f"{root}/webhooks"

    def submit(self, submission: Path, *, organisation: str = "") -> SubmissionShown:
        """Hand in a folder or a zip.

        Raises:
            Unreachable: the service does not answer.
            Answered: it does not take the submission.
        """
        query = f"?name={quote(submission.resolve().name.removesuffix('.zip'))}.zip"
        if organisation:
            query += f"&organisation={quote(organisation)}"
        with _as_zip(submission) as body:
            headers = {"Content-Type": "application/zip", "Content-Length": str(os.fstat(body.fileno()).st_size)}
            with self._ask("POST", self._base + query, body, headers) as answer:
                return SubmissionShown.model_validate_json(answer.read())

    def status(self, submission_id: str) -> SubmissionShown:
        """Ask how far a submission is."""
        with self._ask("GET", f"{self._base}/{quote(submission_id, safe='')}") as answer:
            return SubmissionShown.model_validate_json(answer.read())

    def wait(self, submission_id: str) -> SubmissionShown:
        """Ask until it is over."""
        while not (found := self.status(submission_id)).state.is_over:
            time.sleep(LOOK_SECONDS)
        return found

    def fetch(self, submission_id: str, out: Path) -> None:
        """Fetch the dossier into a new zip: written whole or not at all.

        Raises:
            FileExistsError: there is something at `out`.
            Answered: there is no dossier yet, or it may not be read.
            Unreachable: the service does not answer, or the connection broke before the dossier was whole.
        """
        if out.exists():
            raise FileExistsError(f"{out} is there already")
        partial = out.with_name(f".{out.name}.partial")
        try:
            with (
                self._ask("GET", f"{self._base}/{quote(submission_id, safe='')}/dossier") as answer,
                partial.open("wb") as file,
            ):
                shutil.copyfileobj(answer, file, CHUNK)
                if answer.length:
                    raise Unreachable("the connection broke before the dossier was whole")
            partial.rename(out)
        finally:
            partial.unlink(missing_ok=True)

    def webhooks(self) -> list[WebhookShown]:
        """List the webhooks of the organisation that the token is for."""
        with self._ask("GET", self._hooks) as answer:
            return WebhookList.model_validate_json(answer.read()).webhooks

    def add_webhook(self, address: str) -> WebhookMade:
        """Have an address told of each change; the secret that comes back is shown this once."""
        body = WebhookGiven(address=address).model_dump_json().encode()
        with self._ask("POST", self._hooks, body, {"Content-Type": "application/json"}) as answer:
            return WebhookMade.model_validate_json(answer.read())

    def remove_webhook(self, hook_id: str) -> None:
        """Remove a webhook."""
        with self._ask("DELETE", f"{self._hooks}/{quote(hook_id, safe='')}"):
            pass

    @contextmanager
    def _ask(
        self, method: str, path: str, body: IO[bytes] | bytes | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=self._timeout)
        sent = dict(headers or {})
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        try:
            try:
                connection.request(method, path, body, sent)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as broken:
                raise Unreachable(f"the service at {self._parts.netloc} does not answer: {broken}") from broken
            if answer.status >= 300:
                raise _problem(answer.status, answer.read(CHUNK))
            yield answer
        finally:
            connection.close()


def _problem(status: int, body: bytes) -> Answered:
    try:
        given: Any = json.loads(body)
        code = str(given["type"]).rpartition(":")[2]
        message = f"{given['title']}: {given['detail']}"
    except (ValueError, KeyError, TypeError):
        code, message = "unexpected", f"the service answered {status} and not as this API does"
    return Answered(status, code, message)


@contextmanager
def _as_zip(submission: Path) -> Iterator[IO[bytes]]:
    if submission.is_file():
        with submission.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as made:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(submission.rglob("*")):
                # A link is not followed: what it leads to was not put here to be handed in.
                if path.is_file() and not path.is_symlink():
                    archive.write(path, path.relative_to(submission).as_posix())
        made.seek(0)
        yield made
