"""Commands for what is done on the user's own machine before anything is handed in: counts and limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sandbox.commands.speaking import (
    say,
    told_plainly,
)


@click.command("count")
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


@click.command("seal-limits")
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
    count = f"{len(seal.limits)} limit{'s' if len(seal.limits) > 1 else ''}"
    say(f"{'Recorded' if new else 'Recorded before'}: {count}, {seal.sealed_at.isoformat()}")
    say(f"SHA-256 {seal.digest}, in {submission / FILE}. Submit it with the rest.")
    say("The time is that of this machine's clock; nothing here proves it.")
