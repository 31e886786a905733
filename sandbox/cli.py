"""The command `aiact-sandbox`: what a person or a pipeline types, and what they read afterwards.

Exit status: 0 everything with a limit lies within it, 1 a finding lies beyond its limit, 2 usage, 3 the submission was
refused, 4 our fault or no wall, 5 nothing lies beyond its limit but something with a limit is undecided.
"""

from __future__ import annotations

import signal

import click

from sandbox.commands import administration, afar, assessing, counting, dossiers, service, starting, writing
from sandbox.commands.speaking import told_plainly
from sandbox.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="aiact-sandbox")
def main() -> None:
    """Test an AI system before it is put into use: isolated, measured, documented, classified.

    This is an isolated test environment. It is not a regulatory sandbox under Article 57 of Regulation (EU) 2024/1689,
    not a conformity assessment and not legal advice.
    """
    # A terminal's interrupt must reach our own cleaning up: no cell, no temporary file, no half-written dossier stays.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with told_plainly():
        Settings.from_environment()


for command in (
    starting.init,
    starting.questions,
    starting.classify,
    counting.count_people,
    counting.seal_limits_of,
    assessing.assess,
    assessing.judge,
    assessing.demo,
    assessing.doctor,
    dossiers.verify,
    dossiers.sign,
    dossiers.signer,
    dossiers.new_key,
    dossiers.export_document,
    dossiers.compare_dossiers,
    afar.submit,
    afar.status,
    afar.fetch,
    service.serve,
    service.worker,
    service.engine_proxy,
    administration.admin,
    writing.new,
):
    main.add_command(command)
