"""Commands that run the service."""

from __future__ import annotations

from dataclasses import replace

import click

from sandbox.commands.speaking import (
    told_plainly,
)


@click.command()
@click.option("--listen", default=None, help="Address and port, as in 127.0.0.1:8080.")
def serve(listen: str | None) -> None:
    """Run the web service, with a worker beside it."""

    from sandbox.serving import serve as run
    from sandbox.settings import Settings

    settings = Settings.from_environment()
    with told_plainly():
        run(replace(settings, listen=listen) if listen else settings)


@click.command()
def worker() -> None:
    """Run a worker alone: it claims queued submissions and assesses them."""
    from sandbox.settings import Settings
    from sandbox.worker import work

    with told_plainly():
        work(Settings.from_environment())
