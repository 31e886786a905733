"""Commands on a dossier that is there: verify, sign, export, compare."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import click

from sandbox.commands.speaking import (
    BEYOND,
    LANGUAGES,
    OK,
    Day,
    say,
    told_plainly,
)


@click.command()
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


@click.command()
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


@click.command("new-key")
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


@click.command("export")
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


@click.command("compare")
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
