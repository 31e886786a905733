"""Commands to begin with: a submission, the questionnaire, the class that follows from it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import click

from sandbox.commands.speaking import (
    LANGUAGES,
    as_of_option,
    say,
    told_plainly,
)


@click.command()
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


@click.command()
@click.option("--lang", type=click.Choice(LANGUAGES), default="en", show_default=True)
def questions(lang: str) -> None:
    """Print the AI Act questionnaire as a form to fill in (YAML)."""
    from sandbox.questionnaire import form

    click.echo(form(lang), nl=False)


@click.command()
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
