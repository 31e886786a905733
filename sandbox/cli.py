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
    from sandbox.questionnaire import classify_file, told

    with told_plainly(as_json=as_json):
        risk = classify_file(answers, as_of=as_of or dt.date.today())
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
        click.echo(json.dumps(found.as_object(), ensure_ascii=False))
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
def export_document(dossier: Path | None, format_: str | None, lang: str, out: Path | None, as_json: bool) -> None:
    """Make one more document from a stored DOSSIER. Without a format: list them, each with the standard it follows."""
    from sandbox.exporting import export, formats

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
        written = export(dossier, format_, lang=lang, out=out)
    if as_json:
        click.echo(json.dumps({"written": str(written)}, ensure_ascii=False))
    else:
        say(f"wrote {written}")
