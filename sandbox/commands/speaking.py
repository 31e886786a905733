"""What every command says and how it ends: exit statuses, messages, options that several commands share."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from checks.finding import Outcome
from sandbox.errors import CellUnavailable, Problem, Refused, SandboxError

OK, BEYOND, USAGE, REFUSED, OURS, UNDECIDED = 0, 1, 2, 3, 4, 5
LANGUAGES = ("en", "nl")


class Languages(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of languages that documents exist in."""

    name = "en,nl"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split and check the list."""
        chosen = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
        unknown = [c for c in chosen if c not in LANGUAGES]
        if unknown or not chosen:
            self.fail(f"{', '.join(unknown) or value!r} is not a language there is; there are: en, nl", param, ctx)
        return chosen


class Outcomes(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of outcomes."""

    name = "outcome,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split and check the list."""
        chosen = tuple(part.strip() for part in str(value).split(",") if part.strip())
        known = [o.value for o in Outcome]
        unknown = [c for c in chosen if c not in known]
        if unknown:
            self.fail(f"{', '.join(unknown)} is no outcome; there are: {', '.join(known)}", param, ctx)
        return chosen


class Day(click.ParamType[dt.date]):
    """A date, year first."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """Read the date."""
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date; write it as in 2027-12-02", param, ctx)


isolation_option = click.option(
    "--isolation",
    type=click.Choice(["auto", "docker", "bubblewrap", "podman"]),
    default=None,
    help="The wall around the model; auto takes docker where it is ready, else bubblewrap.",
)
lang_option = click.option(
    "--lang",
    "languages",
    type=Languages(),
    default=",".join(LANGUAGES),
    help="Languages of the documents.",
    show_default=True,
)
as_of_option = click.option("--as-of", type=Day(), default=None, help="Apply the law as it stands on this date.")
policy_option = click.option("--policy", default=None, help="Name of the set of limits to judge by.")


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line; characters that a terminal would obey are shown instead."""
    from model_cards.words import visible

    click.echo("\n".join(visible(line) for line in text.split("\n")), err=err)


@contextmanager
def told_plainly(*, as_json: bool = False) -> Iterator[None]:
    """Turn errors raised on purpose into messages and exit statuses."""
    try:
        yield
    except Refused as refused:
        show_refusal(refused, as_json=as_json)
        sys.exit(REFUSED)
    except CellUnavailable as none:
        report_failure("no_wall", str(none), as_json=as_json)
        sys.exit(OURS)
    except FileExistsError as there:
        report_failure("exists", str(there), as_json=as_json)
        sys.exit(USAGE)
    except FileNotFoundError as gone:
        report_failure("not_found", str(gone), as_json=as_json)
        sys.exit(USAGE)
    except SandboxError as ours:
        report_failure("error", str(ours), as_json=as_json)
        sys.exit(OURS)


def show_refusal(refused: Refused, *, as_json: bool) -> None:
    """Say everything that is wrong with what was handed over, on stderr; with --json as one object on stdout."""
    if as_json:
        problems = [
            {"field": p.field, "code": p.code, "message": p.message, "params": dict(p.params)} for p in refused.problems
        ]
        click.echo(json.dumps({"refused": problems}, ensure_ascii=False, default=str))
        return
    count = len(refused.problems)
    say(f"Refused: {count} problem{'s' if count > 1 else ''}.", err=True)
    for problem in refused.problems:
        say(f"  {problem.field or 'submission'}: {problem.message}", err=True)


def report_failure(code: str, message: str, *, as_json: bool) -> None:
    """Say what failed, on stderr; with --json as one object on stdout."""
    if as_json:
        click.echo(json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False))
    else:
        say(message, err=True)


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """End with the usual status of an interrupted program, after everything has been cleaned up."""
    try:
        yield
    except KeyboardInterrupt:
        say("Stopped. Nothing was written and no cell is left.", err=True)
        sys.exit(130)


def refused(field: str, code: str, message: str) -> Refused:
    """Make a refusal with one problem."""
    return Refused(Problem(field=field, code=code, message=message))


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
