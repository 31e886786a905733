"""The command `aiact-sandbox`: what a person or a pipeline types, and what they read afterwards.

Exit status: 0 everything with a limit lies within it, 1 a finding lies beyond its limit, 2 usage, 3 the submission was
refused, 4 our fault or no wall, 5 nothing lies beyond its limit but something with a limit is undecided.
"""

from __future__ import annotations

import datetime as dt
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from checks.finding import Outcome, count_outcomes
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
    type=click.Choice(["auto", "docker", "bubblewrap"]),
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
    """Say everything that is wrong with a submission, on stderr; with --json as one object on stdout."""
    if as_json:
        problems = [
            {"field": p.field, "code": p.code, "message": p.message, "params": dict(p.params)} for p in refused.problems
        ]
        click.echo(json.dumps({"refused": problems}, ensure_ascii=False, default=str))
        return
    count = len(refused.problems)
    say(f"Refused: {count} problem{'s' if count > 1 else ''} with the submission.", err=True)
    for problem in refused.problems:
        say(f"  {problem.field or 'submission'}: {problem.message}", err=True)


def report_failure(code: str, message: str, *, as_json: bool) -> None:
    """Say what failed, on stderr; with --json as one object on stdout."""
    if as_json:
        click.echo(json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False))
    else:
        say(message, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="aiact-sandbox")
def main() -> None:
    """Test an AI system before it is put into use: isolated, measured, documented, classified.

    This is an isolated test environment. It is not a regulatory sandbox under Article 57 of Regulation (EU) 2024/1689,
    not a conformity assessment and not legal advice.
    """
    # A terminal's interrupt must reach our own cleaning up: no cell, no temporary file, no half-written dossier stays.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--sector", default=None, help="Start from what is usual in a sector, as in credit or letters.")
@click.option("--from-model", type=click.Path(path_type=Path, exists=True), default=None, help="Your model file.")
@click.option("--data", type=click.Path(path_type=Path, exists=True), default=None, help="Your evaluation data.")
def init(folder: Path, sector: str | None, from_model: Path | None, data: Path | None) -> None:
    """Start a submission: a folder with a commented submission.yaml."""
    from sandbox.settings import Settings
    from sandbox.starting import start

    with told_plainly():
        say(start(folder, sector=sector, from_model=from_model, from_data=data, settings=Settings.from_environment()))


@main.command()
@click.option("--lang", type=click.Choice(LANGUAGES), default="en", show_default=True)
def questions(lang: str) -> None:
    """Print the AI Act questionnaire as a form to fill in (YAML)."""
    from sandbox.questionnaire import form

    click.echo(form(lang), nl=False)


@main.command()
@click.argument("answers", type=click.Path(path_type=Path))
@as_of_option
@click.option("--lang", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def classify(answers: Path, as_of: dt.date | None, lang: str, as_json: bool) -> None:
    """Say the risk class that follows from ANSWERS (a filled-in form), why, and the duties. No model is needed."""
    from sandbox.questionnaire import classify as classify_answers
    from sandbox.questionnaire import told

    with told_plainly(as_json=as_json):
        risk = classify_answers(answers, as_of=as_of)
    if as_json:
        click.echo(json.dumps(risk.model_dump(mode="json", by_alias=True), ensure_ascii=False))
        return
    say(told(risk, lang))


@main.command()
@click.argument("submission", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the dossier.")
@isolation_option
@policy_option
@as_of_option
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Repeat a run: the seed its dossier names.")
@lang_option
@click.option(
    "--fail-on",
    type=Outcomes(),
    default=None,
    help="Outcomes that end with status 1, as in fail,inconclusive,not_gathered.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def assess(
    submission: Path,
    out: Path,
    isolation: str | None,
    policy: str | None,
    as_of: dt.date | None,
    seed: int | None,
    languages: tuple[str, ...],
    fail_on: tuple[str, ...] | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Assess SUBMISSION (a folder or zip) and write a dossier."""
    from sandbox.assess import assess as run
    from sandbox.progress import shown

    with told_plainly(as_json=as_json), ended_by_interrupt(), shown(quiet=quiet) as progress:
        assessed = run(
            submission,
            out=out,
            isolation=isolation,
            policy=policy,
            as_of=as_of,
            seed=seed,
            languages=languages,
            progress=progress,
        )
    findings = assessed.dossier.findings
    if as_json:
        from sandbox.summary import as_object

        click.echo(json.dumps(as_object(assessed.assessment, assessed.folder), ensure_ascii=False))
    else:
        from sandbox.summary import as_text

        say(as_text(assessed.assessment, assessed.folder, languages[0]))
    sys.exit(status_of([f.outcome for f in findings], count_outcomes(findings), fail_on))


@main.command()
@click.argument("dossier", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the new dossier.")
@policy_option
@click.option("--rules", default=None, help="Version of the law's rules, as in 32024R1689.1 (the text of 2024).")
@as_of_option
@lang_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
def judge(
    dossier: Path,
    out: Path,
    policy: str | None,
    rules: str | None,
    as_of: dt.date | None,
    languages: tuple[str, ...],
    as_json: bool,
) -> None:
    """Judge a stored DOSSIER again: another policy, a later law. The model is not needed."""
    from sandbox.judge_again import judge_again
    from sandbox.summary import as_object, as_text

    with told_plainly(as_json=as_json):
        assessment = judge_again(dossier, out=out, policy=policy, rules_version=rules, as_of=as_of, languages=languages)
    if as_json:
        click.echo(json.dumps(as_object(assessment, out), ensure_ascii=False))
    else:
        say(as_text(assessment, out, languages[0]))
    findings = assessment.dossier.findings
    sys.exit(status_of([f.outcome for f in findings], count_outcomes(findings), None))


def status_of(outcomes: Sequence[Outcome], counts: Any, fail_on: Sequence[str] | None) -> int:
    """Work out the exit status.

    Args:
        outcomes: of all findings.
        counts: of `count_outcomes`.
        fail_on: outcomes that a build stops for; None for the usual statuses.
    """
    if counts["errors"]:
        return OURS
    if fail_on is not None:
        return BEYOND if any(o.value in fail_on for o in outcomes) else OK
    if counts["beyond"]:
        return BEYOND
    return UNDECIDED if counts["undecided"] else OK


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """End with the usual status of an interrupted program, after everything has been cleaned up."""
    try:
        yield
    except KeyboardInterrupt:
        say("Stopped. Nothing was written and no cell is left.", err=True)
        sys.exit(130)


@main.command()
@click.option("--build", is_flag=True, help="Build what is missing first: the cell's tree, and the cell image.")
def doctor(build: bool) -> None:
    """Prove the walls on this machine, one line per probe, and say what to mend."""
    from sandbox.doctor import examine

    with told_plainly():
        sys.exit(OK if examine(say, build=build) else OURS)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo-out"), show_default=True)
@isolation_option
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def demo(out: Path, isolation: str | None, quiet: bool) -> None:
    """Assess three demonstration submissions with known answers."""
    from sandbox.demo import demonstrate

    with told_plainly(), ended_by_interrupt():
        sys.exit(OK if demonstrate(out, isolation=isolation, quiet=quiet, say=say) else OURS)


@main.command()
@click.option("--listen", default=None, help="Address and port, as in 127.0.0.1:8080.")
def serve(listen: str | None) -> None:
    """Run the web service, with a worker beside it."""
    from dataclasses import replace

    from sandbox.serving import serve as run
    from sandbox.settings import Settings

    settings = Settings.from_environment()
    with told_plainly():
        run(replace(settings, listen=listen) if listen else settings)


@main.command()
def worker() -> None:
    """Run a worker alone: it claims queued submissions and assesses them."""
    from sandbox.settings import Settings
    from sandbox.worker import work

    with told_plainly():
        work(Settings.from_environment())


@main.command()
@click.argument("kind", type=click.Choice(["check", "probe", "format", "export"]))
@click.argument("name")
@click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="The checkout to write in."
)
def new(kind: str, name: str, root: Path) -> None:
    """Write the start of a new check, probe, format or export, with its words and its test."""
    from sandbox.scaffold import write_start

    try:
        written = write_start(kind, name, root)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from wrong
    with told_plainly():
        for path in written:
            say(f"wrote {path}")


def refused(field: str, code: str, message: str) -> Refused:
    """Make a refusal with one problem."""
    return Refused(Problem(field=field, code=code, message=message))


# ---- what leaves and comes back: verify, sign, new-key, compare. This block needs nothing of the rest but the group,
# ---- `say`, `told_plainly` and the types above.


@main.command()
@click.argument("dossier", type=click.Path(path_type=Path))
@click.option("--key-list", type=click.Path(path_type=Path), default=None, help="Public keys, from elsewhere.")
@click.option("--expect-digest", default=None, help="SHA-256 of dossier.json or of SHA256SUMS, from elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
def verify(dossier: Path, key_list: Path | None, expect_digest: str | None, as_json: bool) -> None:
    """Check offline that DOSSIER (its folder or zip) is unchanged; ends with 1 and names each file that is not."""
    from sandbox.verifying import verify as check

    with told_plainly(as_json=as_json):
        found = check(dossier, key_list=key_list, expected_digest=expect_digest)
    if as_json:
        click.echo(json.dumps(found.as_object()))
    else:
        say(found.as_text())
    sys.exit(OK if found.unchanged else BEYOND)


@main.command()
@click.argument("dossier", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    default=None,
    help="File of the private key; without it, the PEM text in AIACT_SANDBOX_SIGNING_KEY.",
)
def sign(dossier: Path, key: Path | None) -> None:
    """Sign DOSSIER (its folder or zip), or countersign it where it is signed already."""
    from sandbox import signing

    with told_plainly():
        signer = signing.load_key(key)
        name = signing.sign(dossier, signer)
    say(f"{name}: signed by key {signing.key_id(signer.public)}")
    say("A signature shows who signed these files, not that the figures are right or that the system complies.")


@main.command("new-key")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New file for the private key.")
@click.option("--name", required=True, help="Whose key it is, for readers of the key list.")
@click.option(
    "--key-list", type=click.Path(path_type=Path), required=True, help="JSON list that the public key is added to."
)
@click.option("--valid-from", type=Day(), default=None, help="First day it signs on; today where not given.")
@click.option("--valid-until", type=Day(), default=None, help="Last day it signs on.")
def new_key(out: Path, name: str, key_list: Path, valid_from: dt.date | None, valid_until: dt.date | None) -> None:
    """Make an Ed25519 key that dossiers are signed with, and add its public half to a key list."""
    from sandbox import signing

    with told_plainly():
        today = dt.datetime.now(dt.UTC).date()
        made = signing.new_key(
            out, name=name, key_list=key_list, valid_from=valid_from or today, valid_until=valid_until
        )
    say(f"Private key, to be kept from others: {out}")
    say(f"Public key {made.id} was added to {key_list}; publish that list elsewhere than your dossiers.")


@main.command("export")
@click.argument("dossier", type=click.Path(path_type=Path), required=False)
@click.option("--format", "format_", default=None, help="Name of the export; without one they are listed.")
@click.option("--lang", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="File or folder to write to; the current folder where not given.",
)
@click.option(
    "--public",
    is_flag=True,
    help="Leave out rows, single decisions and small counts; without a format the whole public package, to --out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
def export_document(
    dossier: Path | None, format_: str | None, lang: str, out: Path | None, public: bool, as_json: bool
) -> None:
    """Make one more document from a stored DOSSIER. Without a format: list them, each with the standard it follows."""
    from sandbox.exporting import export, formats

    reduce = None
    if public:
        from sandbox.publishing import publish, publish_to
        from sandbox.settings import Settings

        settings = Settings.from_environment()
        if format_ is None:
            if dossier is None or out is None:
                raise click.UsageError("name the folder of a dossier, and with --out where its public package goes")
            with told_plainly(as_json=as_json):
                written = publish_to(dossier, out, settings)
            say(f"wrote {written}")
            return

        def reduce(whole: Any) -> Any:
            return publish(whole, settings)

    if format_ is None:
        if as_json:
            listed = [{"format": f.name, "standard": f.standard, "suffix": f.suffix} for f in formats()]
            click.echo(json.dumps({"formats": listed}, ensure_ascii=False))
            return
        width = max(len(f.name) for f in formats())
        for f in formats():
            say(f"{f.name:<{width}}  {f.standard}")
        return
    if dossier is None:
        raise click.UsageError("name the folder of a dossier")
    with told_plainly(as_json=as_json):
        written = export(dossier, format_, lang=lang, out=out, public=reduce)
    if as_json:
        click.echo(json.dumps({"written": str(written)}, ensure_ascii=False))
    else:
        say(f"wrote {written}")


@main.command("count")
@click.argument("table", type=click.Path(path_type=Path), required=False)
@click.option("--group", "groups", multiple=True, help="Column that people are compared by; repeat it.")
@click.option("--decision", default=None, help="Column with the decisions.")
@click.option("--label", default=None, help="Column with the true outcome, where it is known.")
@click.option("--score", default=None, help="Column with scores, instead of decisions.")
@click.option("--threshold", type=float, default=None, help="Score from which the decision is the one above.")
@click.option("--above", default=None, help="Decision from the threshold on.")
@click.option("--below", default=None, help="Decision below the threshold.")
@click.option("--weight", default=None, help="Column with weights.")
@click.option("--band", "bands", multiple=True, help="Bands of a numeric group, as in age=25,40; repeat it.")
@click.option("--delimiter", default=",", show_default=True, help="Of a CSV file.")
@click.option("--missing", multiple=True, help="A text that means that a value is missing; repeat it.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="New file for the counts; else stdout.")
@click.option("--script", "as_script", is_flag=True, help="Print the same as one script that needs only pandas.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
def count_people(
    table: Path | None,
    bands: tuple[str, ...],
    missing: tuple[str, ...],
    out: Path | None,
    as_script: bool,
    as_json: bool,
    **columns: Any,
) -> None:
    """Count the people of TABLE by group, label and decision, on this machine: no row has to leave it."""
    from sandbox import count_alone, counting

    if as_script:
        click.echo(counting.script(), nl=False)
        return
    if table is None:
        raise click.UsageError("name a CSV or Parquet file with one row per person")
    try:
        drawn = count_alone.parse_bands(bands)
    except count_alone.Unfit as unfit:
        raise click.UsageError(str(unfit)) from unfit
    asked = count_alone.Asked(table=table, bands=drawn, missing=missing or count_alone.MISSING, **columns)
    with told_plainly(as_json=as_json):
        counted = counting.count(asked, out=out)
    if as_json:
        summary = {"rows": counted.rows, "combinations": counted.combinations, "small": counted.small}
        written = {"written": str(out)} if out is not None else {"csv": counted.csv}
        click.echo(json.dumps({**summary, **written}, ensure_ascii=False))
        return
    if out is None:
        click.echo(counted.csv, nl=False)
    say(counted.told, err=True)
    say(f"In submission.yaml, with your task, classes and favourable outcome:\n{counted.submission}", err=True)


@main.command("seal-limits")
@click.argument("submission", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
def seal_limits_of(submission: Path, as_json: bool) -> None:
    """Record the limits of SUBMISSION (a folder), with digest and time, before a run; the dossier says so."""
    from sandbox.sealing_limits import FILE, seal_limits

    with told_plainly(as_json=as_json):
        seal, new = seal_limits(submission)
    if as_json:
        told = {"digest": seal.digest, "sealed_at": seal.sealed_at.isoformat(), "new": new}
        click.echo(json.dumps({**told, "file": str(submission / FILE)}, ensure_ascii=False))
        return
    say(f"{'Recorded' if new else 'Recorded before'}: {len(seal.limits)} limits, {seal.sealed_at.isoformat()}")
    say(f"SHA-256 {seal.digest}, in {submission / FILE}. Submit it with the rest.")
    say("The time is that of this machine's clock; nothing here proves it.")


# ---- people: who can sign in on a service with accounts. Self-contained: it adds to the group `admin`, and makes it
# ---- where no other block has.

_admin = main.commands.get("admin")
if not isinstance(_admin, click.Group):

    @main.group("admin")
    def _admin_group() -> None:
        """Look after the service: on the machine it runs on, by whoever may read its state folder."""

    _admin = _admin_group


def _new_password(stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


@_admin.command("create-user")
@click.argument("login")
@click.option("--name", default=None, help="As shown to others; the login where not given.")
@click.option("--organisation", required=True, help="Name of the organisation; made if it is not there.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(["submitter", "owner", "reviewer", "auditor", "administrator"]),
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


@_admin.command("set-password")
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


# ---- through a service: submit, status, fetch.


def _client(url: str | None, token_file: Path | None) -> Any:
    import os

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
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


@main.command()
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


@main.command()
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


@main.command()
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


@main.command("compare")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), default=None, help="Write a page to this file.")
@click.option("--lang", type=click.Choice(LANGUAGES), default="en", show_default=True)
def compare_dossiers(before: Path, after: Path, as_json: bool, html_file: Path | None, lang: str) -> None:
    """Show what changed between two dossiers (folders or zips): figures, outcomes, class, duties, files."""
    from sandbox import comparing

    with told_plainly(as_json=as_json):
        found = comparing.compare_folders(before, after)
        if html_file is not None:
            html_file.write_bytes(comparing.as_html(found, lang))
    if as_json:
        click.echo(json.dumps(found.as_object(), ensure_ascii=False))
    elif html_file is not None:
        say(f"wrote {html_file}")
    else:
        say(comparing.as_text(found, lang))


# ---- operation: audit log, backup, restore, erasure, examination. Self-contained: it adds to the group `admin`, and
# ---- makes it where no other block has.

_operation = main.commands.get("admin")
if not isinstance(_operation, click.Group):

    @main.group("admin")
    def _operation_group() -> None:
        """Look after the service: on the machine it runs on, by whoever may read its state folder."""

    _operation = _operation_group


@_operation.group("audit")
def audit_log() -> None:
    """Look after the audit log."""


@audit_log.command("verify")
@click.option("--head", default=None, help="Number and digest kept elsewhere, as in 12:9f86...; must still be there.")
def audit_verify(head: str | None) -> None:
    """Check every line of the audit log against the one before it, and print its head."""
    from sandbox.records import audit
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
            faults = audit.verify(session, expected_head=expected)
            number_now, digest_now = audit.head(session)
    finally:
        database.close()
    for fault in faults:
        say(fault, err=True)
    if faults:
        sys.exit(OURS)
    say(f"{number_now} lines, each as it was written. Head: {number_now}:{digest_now}")
    say("That the newest lines were cut off shows only to whoever kept a head elsewhere.")


@_operation.command("backup")
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


@_operation.command("restore")
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


@_operation.command("doctor")
def examine_installation() -> None:
    """Look at disk, keys, database, audit log, queue and MLflow, and say what to mend. The wall: see `doctor`."""
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


@_operation.command("erase")
@click.argument("submission_id")
@click.option("--reason", required=True, help="Why, in few words without personal data; it stays in the audit log.")
@click.option("--dossier", is_flag=True, help="Erase the dossier too, which holds no rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON, and nothing else.")
def erase_submission(submission_id: str, reason: str, dossier: bool, as_json: bool) -> None:
    """Erase upload and evidence of SUBMISSION_ID, and print the certificate that the audit log holds."""
    from dataclasses import asdict

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
