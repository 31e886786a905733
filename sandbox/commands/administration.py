"""The group `admin`: people, audit log, backup, erasure, by whoever may read the state folder."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from sandbox.commands.speaking import (
    OURS,
    report_failure,
    say,
    told_plainly,
)


@click.group("admin")
def admin() -> None:
    """Look after the service: on the machine it runs on, by whoever may read its state folder."""


def _new_password(stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


@admin.command("create-user")
@click.argument("login")
@click.option("--name", default=None, help="As shown to others; the login where not given.")
@click.option("--organisation", required=True, help="Name of the organisation; made if it is not there.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(["submitter", "owner", "reviewer", "auditor", "administrator", "member"]),
    default=("administrator",),
    show_default=True,
    help="What they are there; repeat it.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
def create_user(login: str, name: str | None, organisation: str, roles: tuple[str, ...], password_stdin: bool) -> None:
    """Make a person who signs in as LOGIN, or give one that is there more roles. There is no default password."""
    from sandbox.records.database import Database, migrate
    from sandbox.review import people
    from sandbox.review.permissions import Role
    from sandbox.settings import Settings

    settings = Settings.from_environment()
    migrate(settings)
    database = Database(settings)
    try:
        person = people.person_of(database, login)
        if person is None:
            password = _new_password(password_stdin)
            person = people.create_person(
                database, login=login, name=name or login, password=password, actor="operator"
            )
            say(f"{login} was made.")
        into = people.create_organisation(database, name=organisation, actor="operator")
        for role in roles:
            people.give_role(database, person_id=person, organisation_id=into, role=Role(role), actor="operator")
        say(f"{login} is {', '.join(roles)} of {organisation}.")
        if settings.accounts == "off":
            say("Accounts are off: start the service with AIACT_SANDBOX_ACCOUNTS=local for people to sign in.")
    except people.Unfit as unfit:
        raise click.UsageError(str(unfit)) from unfit
    finally:
        database.close()


@admin.command("set-password")
@click.argument("login")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
def set_password(login: str, password_stdin: bool) -> None:
    """Set a password for LOGIN, which they replace at the next sign-in; all their sessions end."""
    from sandbox.records.database import Database, migrate
    from sandbox.review import people
    from sandbox.settings import Settings

    settings = Settings.from_environment()
    migrate(settings)
    database = Database(settings)
    try:
        person = people.person_of(database, login)
        if person is None:
            raise click.UsageError(f"nobody signs in as {login}")
        password = _new_password(password_stdin)
        secret = people.set_password(database, person_id=person, password=password, actor="operator", must_change=True)
        people.sign_out(database, secret or "")
        say(f"The password of {login} was set; it has to be replaced at the next sign-in.")
    except people.Unfit as unfit:
        raise click.UsageError(str(unfit)) from unfit
    finally:
        database.close()


@admin.command("set-budget")
@click.argument("organisation")
@click.option("--cells", type=click.IntRange(0), help="Submissions waiting or running at once; 0 for no limit.")
@click.option("--running", type=click.IntRange(0), help="Submissions running at once; the others wait.")
@click.option("--cpu-seconds", type=click.IntRange(0), help="Processor time of cells in a calendar month.")
@click.option("--builds", type=click.IntRange(0), help="Models with packages of their own in a calendar month.")
@click.option("--bytes", "stored", type=click.IntRange(0), help="Bytes of uploads stored.")
def set_budget(
    organisation: str,
    cells: int | None,
    running: int | None,
    cpu_seconds: int | None,
    builds: int | None,
    stored: int | None,
) -> None:
    """Set what ORGANISATION may use; what is not given goes back to what everybody has."""
    from sandbox.records.database import Database, migrate
    from sandbox.review import budgets, people
    from sandbox.settings import Settings

    settings = Settings.from_environment()
    migrate(settings)
    database = Database(settings)
    try:
        found = people.organisation_of(database, organisation)
        if found is None:
            raise click.UsageError(f"there is no organisation {organisation}")
        given = {"cells": cells, "running": running, "cpu_seconds": cpu_seconds, "builds": builds, "bytes": stored}
        budgets.set_budget(database, found, actor="operator", **given)
        for part in budgets.of(database, settings, found):
            say(f"{part.name:<12} {part.used} used of {part.most or 'no limit'}")
    finally:
        database.close()


@admin.group("audit")
def audit_log() -> None:
    """Look after the audit log."""


@audit_log.command("verify")
@click.option("--head", default=None, help="Number and digest kept elsewhere, as in 12:9f86...; must still be there.")
@click.option("--roots", type=click.Path(path_type=Path, exists=True), help="Certificates of time-stamping services.")
def audit_verify(head: str | None, roots: Path | None) -> None:
    """Check each line of the audit log against the one before it, and each head that was sent; print its head."""
    from sandbox.records import audit, audit_heads
    from sandbox.records.database import Database
    from sandbox.settings import Settings

    expected = None
    if head is not None:
        number, _, digest = head.partition(":")
        if not number.isdigit() or len(digest) != 64:
            raise click.UsageError("--head is a number, a colon and 64 hexadecimal digits")
        expected = (int(number), digest)
    database = Database(Settings.from_environment())
    try:
        with database.reading() as session:
            faults = (*audit.verify(session, expected_head=expected), *audit_heads.verify(session, roots=roots))
            sent = audit_heads.count(session)
            number_now, digest_now = audit.head(session)
    finally:
        database.close()
    for fault in faults:
        say(fault, err=True)
    if faults:
        sys.exit(OURS)
    say(f"{number_now} lines, each as it was written. Head: {number_now}:{digest_now}")
    say(f"{sent} heads were sent elsewhere; the log holds each of them.")
    say("That the newest lines were cut off shows only to whoever kept a head elsewhere.")


@admin.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
def back_up_to(target: Path) -> None:
    """Copy all that is kept into the new folder TARGET, while the service runs."""
    from sandbox.records import backup
    from sandbox.settings import Settings

    with told_plainly():
        try:
            made = backup.back_up(Settings.from_environment(), target)
        except backup.CannotCopy as reason:
            report_failure("backup", str(reason), as_json=False)
            sys.exit(OURS)
    say(f"{made['number_of_files']} files in {target}. Head of the audit log: {':'.join(map(str, made['audit_head']))}")
    say("It holds keys of uploads and evidence: keep it as private as the state folder. The master key is not in it.")


@admin.command("restore")
@click.argument("source", type=click.Path(path_type=Path))
def restore_from(source: Path) -> None:
    """Make an installation of the backup SOURCE in an empty state folder, and check every file and dossier."""
    from sandbox.records import backup
    from sandbox.settings import Settings

    with told_plainly():
        try:
            restored = backup.restore(source, Settings.from_environment())
        except backup.CannotCopy as reason:
            report_failure("restore", str(reason), as_json=False)
            sys.exit(OURS)
    for fault in restored.faults:
        say(fault, err=True)
    say(f"{restored.submissions} submissions; {restored.dossiers} dossiers checked; {len(restored.faults)} faults.")
    if restored.faults:
        sys.exit(OURS)


@admin.command("doctor")
def examine_installation() -> None:
    """Look at disk, keys, database, audit log, clock, queue and MLflow; say what to mend. The wall: see `doctor`."""
    from sandbox.records.examination import examine
    from sandbox.settings import Settings

    with told_plainly():
        lines = examine(Settings.from_environment())
    for line in lines:
        say(f"{line.what:<12} {'held' if line.held else 'NOT HELD':<9} {line.observed}")
        if line.mend:
            say(f"{'':<12} mend: {line.mend}")
    if not all(line.held for line in lines):
        sys.exit(OURS)


@admin.command("erase")
@click.argument("submission_id")
@click.option("--reason", required=True, help="Why, in few words without personal data; it stays in the audit log.")
@click.option("--dossier", is_flag=True, help="Erase the dossier too, which holds no rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON, and nothing else.")
def erase_submission(submission_id: str, reason: str, dossier: bool, as_json: bool) -> None:
    """Erase upload and evidence of SUBMISSION_ID, and print the certificate that the audit log holds."""

    from sandbox.records.database import Database
    from sandbox.records.erasure import NotYet, erase
    from sandbox.settings import Settings

    settings = Settings.from_environment()
    database = Database(settings)
    try:
        made = erase(settings, database, submission_id, actor="operator", reason=reason, dossier=dossier)
    except (LookupError, NotYet) as unfit:
        raise click.UsageError(str(unfit)) from unfit
    finally:
        database.close()
    if as_json:
        click.echo(json.dumps(asdict(made), ensure_ascii=False))
        return
    for what, gone in (("upload", made.upload), ("evidence", made.evidence), ("dossier", made.dossier)):
        say(f"{what:<10} {'erased' if gone else 'not there, or kept'}")
    if made.evidence_shared:
        say("The evidence stays: another submission that is kept has the same.")
    say(f"Line {made.number} of the audit log, {made.at}, digest {made.line_digest}")
