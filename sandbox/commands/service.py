"""Commands that run the service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
    from sandbox.serving import log_as
    from sandbox.settings import Settings
    from sandbox.worker import work

    settings = Settings.from_environment()
    with told_plainly():
        log_as("worker", settings.log_format)
        work(settings)


@click.command("engine-proxy")
@click.option("--listen", required=True, type=click.Path(path_type=Path), help="The socket that the worker is given.")
@click.option(
    "--engine",
    default="/var/run/docker.sock",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The engine's own socket.",
)
def engine_proxy(listen: Path, engine: Path) -> None:
    """Stand between the worker and the container engine, and let only cells through."""
    from sandbox.engine_proxy import serve as run
    from sandbox.serving import log_as
    from sandbox.settings import Settings

    settings = Settings.from_environment()
    with told_plainly():
        log_as("engine-proxy", settings.log_format)
        run(listen, engine, settings)
