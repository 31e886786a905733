"""Read a dossier for the pages: the tree of its card, built once per dossier and language.

What was made of the same bytes is kept for the next reader; the bytes are read and hashed each time.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from model_cards.card import Card, Section
from model_cards.dossier import Assessment, Dossier, Run
from sandbox.review.desk import key_of

KEPT = 32
"""Dossiers that are kept read, each in one language."""


class Altered(Exception):
    """The dossier on disk is not the one that was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A dossier as the pages show it.

    Args:
        dossier, run: as written.
        card: the tree of the card, without the data of its figures; those are in the card as written.
        anchors: section of the card by finding key; a finding without a section of its own has none.
    """

    dossier: Dossier
    run: Run
    card: Card
    anchors: Mapping[str, str]

    def section(self, id_: str) -> Section | None:
        """Give a section of the card, or None."""
        return next((s for s in self.card.walk() if s.id == id_), None)


def read(folder: Path, digest: str, lang: str) -> Reading:
    """Read a dossier.

    Args:
        folder: of the dossier.
        digest: SHA-256 of its `dossier.json`, as recorded.
        lang: one of the languages of documents.

    Raises:
        Altered: the file is not the one that the digest belongs to.
    """
    raw, run = (folder / "dossier.json").read_bytes(), (folder / "run.json").read_bytes()
    # Asked of the bytes on disk each time: only what is made of them is kept.
    if hashlib.sha256(raw).hexdigest() != digest:
        raise Altered(folder.name)
    # Whoever asks for the same at the same time waits for it to be made once.
    with _turn(digest, run, lang):
        return _made_of(raw, run, lang)


@lru_cache(maxsize=KEPT)
def _turn(digest: str, run: bytes, lang: str) -> threading.Lock:  # noqa: ARG001  # a turn for each thing made
    return threading.Lock()


@lru_cache(maxsize=KEPT)
def _made_of(raw: bytes, run: bytes, lang: str) -> Reading:
    from model_cards.build import build
    from model_cards.material import Material
    from model_cards.words import Words

    dossier, of_run = Dossier.from_json(raw), Run.from_json(run)
    assessment = Assessment(dossier=dossier, run=of_run)
    card = build(assessment, lang)
    material = Material(assessment=assessment, words=Words(lang))
    there = {section.id for section in card.walk()}
    named = {key_of(f): material.anchor(f) for f in dossier.findings}
    return Reading(
        dossier=dossier,
        run=of_run,
        card=card,
        anchors={key: anchor for key, anchor in named.items() if anchor in there},
    )
