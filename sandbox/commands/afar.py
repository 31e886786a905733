"""Commands that go through a service: submit, status, fetch."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from sandbox.commands.speaking import (
    BEYOND,
    OK,
    OURS,
    REFUSED,
    UNDECIDED,
    ended_by_interrupt,
    json_option,
    report_failure,
    say,
    told_plainly,
)


def _client(url: str | None, token_file: Path | None) -> Any:

    from sandbox.client import Client

    token = os.environ.get("AIACT_SANDBOX_TOKEN", "")
    if token_file is not None:
        token = token_file.read_text(encoding="utf-8").strip()
    try:
        return Client(url or os.environ.get("AIACT_SANDBOX_URL", "http://127.0.0.1:8080"), token=token)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from wrong


@contextmanager
def _told_from_afar(*, as_json: bool) -> Iterator[None]:
    from sandbox.client import Answered, Unreachable

    try:
        with told_plainly(as_json=as_json):
            yield
    except Unreachable as unreachable:
        report_failure("unreachable", str(unreachable), as_json=as_json)
        sys.exit(OURS)
    except Answered as answered:
        report_failure(answered.code, str(answered), as_json=as_json)
        sys.exit(OURS if answered.status >= 500 else REFUSED)


def _say_status(found: Any, *, as_json: bool) -> None:
    if as_json:
        click.echo(found.model_dump_json())
        return
    say(f"{found.id}  {found.state}" + (f"  {found.stage} {found.done}/{found.total}" if found.stage else ""))
    for problem in found.problems:
        say(f"  {problem.get('field') or 'submission'}: {problem.get('message')}", err=True)
    if found.counts is not None:
        counts = found.counts
        say(f"{counts.beyond} beyond the limit set · {counts.undecided} undecided · {counts.within} within")


def _status_of(found: Any) -> int:
    """Work out the exit status of a submission elsewhere, as of an assessment here."""
    if found.state == "refused":
        return REFUSED
    if found.state in ("failed", "cancelled"):
        return OURS
    if found.counts is not None and found.counts.beyond:
        return BEYOND
    return UNDECIDED if found.counts is not None and found.counts.undecided else OK


url_option = click.option("--url", default=None, help="Of the service; else AIACT_SANDBOX_URL, else this machine's.")
token_option = click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="File with a token; else AIACT_SANDBOX_TOKEN.",
)


@click.command()
@click.argument("submission", type=click.Path(path_type=Path, exists=True))
@url_option
@token_option
@click.option("--organisation", default="", help="Id of the organisation, where the token is for several.")
@click.option("--wait", is_flag=True, help="Wait until it is over; the exit status is then that of `assess`.")
@json_option
def submit(
    submission: Path, url: str | None, token_file: Path | None, organisation: str, wait: bool, as_json: bool
) -> None:
    """Hand SUBMISSION (a folder or zip) in to a service."""
    with _told_from_afar(as_json=as_json), ended_by_interrupt():
        client = _client(url, token_file)
        found = client.submit(submission, organisation=organisation)
        if wait:
            found = client.wait(found.id)
    _say_status(found, as_json=as_json)
    sys.exit(_status_of(found) if wait else OK)


@click.command()
@click.argument("submission_id")
@url_option
@token_option
@click.option("--wait", is_flag=True, help="Wait until it is over; the exit status is then that of `assess`.")
@json_option
def status(submission_id: str, url: str | None, token_file: Path | None, wait: bool, as_json: bool) -> None:
    """Ask a service how far SUBMISSION_ID is."""
    with _told_from_afar(as_json=as_json), ended_by_interrupt():
        client = _client(url, token_file)
        found = client.wait(submission_id) if wait else client.status(submission_id)
    _say_status(found, as_json=as_json)
    sys.exit(_status_of(found) if wait else OK)


@click.command()
@click.argument("submission_id")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New zip for the dossier.")
@url_option
@token_option
@json_option
def fetch(submission_id: str, out: Path, url: str | None, token_file: Path | None, as_json: bool) -> None:
    """Fetch the dossier of SUBMISSION_ID from a service, as a zip."""
    with _told_from_afar(as_json=as_json), ended_by_interrupt():
        _client(url, token_file).fetch(submission_id, out)
    if as_json:
        click.echo(json.dumps({"written": str(out)}))
    else:
        say(f"wrote {out}")
