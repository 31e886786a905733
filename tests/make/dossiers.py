"""Builders of dossiers on disk: written as an assessment writes them, without running a model."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from model_cards.dossier import Assessment
from sandbox import statement
from sandbox.delivery import Delivery
from sandbox.keys.held import PrivateKey, new_key, open_signer

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)


def whole(folder: Path, made: Assessment, languages: tuple[str, ...] = ("en",)) -> Path:
    """Write a whole dossier, documents and plots among it, as `assess` writes it."""
    folder.mkdir(parents=True)
    run = made.run
    assert run is not None
    Delivery(target=folder, draft=folder).write(
        made.dossier,
        made.figures,
        languages=languages,
        attested_by=run.attested_by,
        receipt=run.receipt,
        intake=run.intake,
        started=NOW,
        seconds={},
        who="somebody",
    )
    return folder


def bare(folder: Path, made: Assessment) -> Path:
    """Write a dossier of a few files: quick to hash thousands of times."""
    folder.mkdir(parents=True)
    run = made.run
    assert run is not None
    (folder / "figures").mkdir()
    files = {
        "dossier.json": made.dossier.to_json(),
        "figures/one.parquet": b"PAR1 not a real one",
        "run.json": run.model_copy(update={"dossier_digest": made.dossier.digest}).to_json(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_sums(folder)
    return folder


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` as it should be for the files that are there."""
    (folder / statement.SUMS).write_bytes(statement.sums_of(folder))


def key(folder: Path, name: str = "ours", **days: dt.date | None) -> PrivateKey:
    """Make a key named `<name>.pem`, listed in `keys.json` of the folder."""
    first = days.get("valid_from") or dt.date(2026, 1, 1)
    new_key(
        str(folder / f"{name}.pem"),
        name=name,
        key_list=folder / "keys.json",
        valid_from=first,
        valid_until=days.get("valid_until"),
    )
    made = open_signer(str(folder / f"{name}.pem"))
    assert isinstance(made, PrivateKey)
    return made


def flip(path: Path, position: int) -> None:
    """Flip the lowest bit of one byte; a negative position counts from the end."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))
