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
    ended_by_interrupt,
    say,
    told_plainly,
)


@click.command()
@click.argument("dossier", type=click.Path(path_type=Path))
@click.option("--key-list", type=click.Path(path_type=Path), default=None, help="Public keys, from elsewhere.")
@click.option("--expect-digest", default=None, help="SHA-256 of dossier.json or of SHA256SUMS, from elsewhere.")
@click.option(
    "--timestamp-roots",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="Certificates (PEM), from elsewhere, that time stamps must be under.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
def verify(
    dossier: Path, key_list: Path | None, expect_digest: str | None, timestamp_roots: Path | None, as_json: bool
) -> None:
    """Check offline that DOSSIER (its folder or zip) is unchanged; ends with 1 and names each file that is not."""
    from sandbox.verifying import verify as check

    with told_plainly(as_json=as_json):
        found = check(dossier, key_list=key_list, expected_digest=expect_digest, timestamp_roots=timestamp_roots)
    if as_json:
        click.echo(json.dumps(found.as_object()))
    else:
        say(found.as_text())
    sys.exit(OK if found.unchanged else BEYOND)


KEY_HELP = "File of the private key, or pkcs11:... in a token, or unix:SOCKET of a signing process"


@click.command()
@click.argument("dossier", type=click.Path(path_type=Path))
@click.option("--key", default="", help=f"{KEY_HELP}; else what AIACT_SANDBOX_SIGNING_KEY holds.")
@click.option(
    "--timestamp", "authority", default="", help="Address of an authority (RFC 3161) that stamps it with the time."
)
def sign(dossier: Path, key: str, authority: str) -> None:
    """Sign DOSSIER (its folder or zip), or countersign it where it is signed already."""
    from sandbox import signing, timestamps
    from sandbox.keys.held import open_signer
    from sandbox.keys.listed import key_id

    with told_plainly():
        signer = open_signer(key)
        name = signing.sign(dossier, signer, stamp=timestamps.by(authority) if authority else None)
    say(f"{name}: signed by key {key_id(signer.public)}")
    if authority:
        say(f"{timestamps.name_for(name)}: stamped by {authority}")
    say("A signature shows who signed these files, not that the figures are right or that the system complies.")


@click.command()
@click.option("--listen", type=click.Path(path_type=Path), required=True, help="Path of the socket to make.")
@click.option("--key", default="", help=f"{KEY_HELP.rpartition(', or')[0]}; else what AIACT_SANDBOX_SIGNING_KEY holds.")
def signer(listen: Path, key: str) -> None:
    """Hold a key in a process of its own and sign statements about digests for whoever can open the socket."""
    import logging

    from sandbox.keys.held import open_signer
    from sandbox.keys.process import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with told_plainly(), ended_by_interrupt():
        serve(open_signer(key), listen)


@click.command("new-key")
@click.option("--out", required=True, help="New file for the private key; or pkcs11:... to make it in a token.")
@click.option("--name", required=True, help="Whose key it is, for readers of the key list.")
@click.option(
    "--key-list", type=click.Path(path_type=Path), required=True, help="JSON list that the public key is added to."
)
@click.option("--valid-from", type=Day(), default=None, help="First day it signs on; today where not given.")
@click.option("--valid-until", type=Day(), default=None, help="Last day it signs on.")
def new_key(out: str, name: str, key_list: Path, valid_from: dt.date | None, valid_until: dt.date | None) -> None:
    """Make an Ed25519 key that dossiers are signed with, and add its public half to a key list."""
    from sandbox.keys.held import new_key as make

    with told_plainly():
        today = dt.datetime.now(dt.UTC).date()
        made = make(out, name=name, key_list=key_list, valid_from=valid_from or today, valid_until=valid_until)
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
@click.option(
    "--epsilon",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="With --public: add noise to all counts (differential privacy); drawn once, and budgeted per data set.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
def export_document(
    dossier: Path | None,
    format_: str | None,
    lang: str,
    out: Path | None,
    public: bool,
    epsilon: float | None,
    as_json: bool,
) -> None:
    """Make one more document from a stored DOSSIER. Without a format: list them, each with the standard it follows."""
    from sandbox.exporting import export, formats

    reduce = None
    if epsilon is not None and not public:
        raise click.UsageError("noise is added to what is public: give --public with --epsilon")
    if public:
        from sandbox.publishing import publish, publish_to
        from sandbox.settings import Settings

        settings = Settings.from_environment()
        if format_ is None:
            if dossier is None or out is None:
                raise click.UsageError("name the folder of a dossier, and with --out where its public package goes")
            with told_plainly(as_json=as_json):
                written = publish_to(dossier, out, settings, epsilon=epsilon)
            say(f"wrote {written}")
            return

        def reduce(whole: Any) -> Any:
            return publish(whole, settings, epsilon)

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
