"""Commands that assess, judge again, demonstrate, and prove the walls."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from checks.finding import Outcome, count_outcomes
from sandbox.commands.speaking import (
    BEYOND,
    OK,
    OURS,
    UNDECIDED,
    Outcomes,
    as_of_option,
    ended_by_interrupt,
    isolation_option,
    lang_option,
    policy_option,
    say,
    told_plainly,
)


@click.command()
@click.argument("submission", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the dossier.")
@isolation_option
@policy_option
@as_of_option
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Repeat a run: the seed its dossier names.")
@click.option(
    "--holdout",
    type=click.Path(path_type=Path),
    default=None,
    help="For a reviewer: a table with inputs and label that the submitter never saw; asked among the other rows.",
)
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
    holdout: Path | None,
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
            holdout=holdout,
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


@click.command()
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


@click.command()
@click.option("--build", is_flag=True, help="Build what is missing first: the cell's tree, and the cell image.")
def doctor(build: bool) -> None:
    """Prove the walls on this machine, one line per probe, and say what to mend."""
    from sandbox.doctor import examine

    with told_plainly():
        sys.exit(OK if examine(say, build=build) else OURS)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo-out"), show_default=True)
@isolation_option
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def demo(out: Path, isolation: str | None, quiet: bool) -> None:
    """Assess three demonstration submissions with known answers."""
    from sandbox.demo import demonstrate

    with told_plainly(), ended_by_interrupt():
        sys.exit(OK if demonstrate(out, isolation=isolation, quiet=quiet, say=say) else OURS)
