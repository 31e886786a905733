"""The command that writes the start of a new check, probe, format or export."""

from __future__ import annotations

from pathlib import Path

import click

from sandbox.commands.speaking import (
    say,
    told_plainly,
)


@click.command()
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
