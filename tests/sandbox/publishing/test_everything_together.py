"""Two worlds that differ in what is suppressed alone look the same in everything that is public, byte by byte.

Where every public file is the same whichever of the two worlds is true, nobody can find out which it is: not from one
of them, nor from all of them together.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model_cards.dossier import Dossier
from sandbox import comparing
from sandbox.exporting import DRAWN, export, formats
from sandbox.publishing import publish_to
from sandbox.settings import Settings
from tests.make import releases
from tests.make.releases import Cells, counted

Groups = dict[str, Cells]
LARGE: Cells = {(0, 0): 90, (0, 1): 40, (1, 0): 30, (1, 1): 80}
MIDDLE: Cells = {(0, 0): 45, (0, 1): 15, (1, 0): 20, (1, 1): 35}
SMALL: Cells = {(0, 0): 2, (0, 1): 0, (1, 0): 1, (1, 1): 1}
FEW_WRONG: Cells = {(0, 0): 60, (0, 1): 3, (1, 0): 20, (1, 1): 50}

OTHER_CELLS: Cells = {(0, 0): -1, (0, 1): 1, (1, 0): 2, (1, 1): -1}
"""One person more in a group that is kept in whole, and others with other labels and decisions."""

OTHER_ERRORS: Cells = {(0, 0): 1, (0, 1): -1, (1, 0): -1, (1, 1): 1}
"""As many rows, labels and decisions; other errors."""


def moved(groups: Groups, by: Cells) -> Groups:
    """Give another world: what one group gains, the other loses."""
    return {
        "zz-large": groups["zz-large"],
        "zz-second": {cell: n - by[cell] for cell, n in groups["zz-second"].items()},
        "zz-small": {cell: n + by[cell] for cell, n in groups["zz-small"].items()},
    }


def second_release(groups: Groups) -> Groups:
    """Another system decides otherwise about many people of the large group; the labels are the same."""
    return {**groups, "zz-large": {(0, 0): 115, (0, 1): 15, (1, 0): 80, (1, 1): 30}}


def everything_public(groups: Groups, folder: Path, settings: Settings) -> dict[str, bytes]:
    """Make all that can be public of two releases: packages, every export in both languages, and their comparison."""
    found: dict[str, bytes] = {}
    state = replace(settings, state=folder / "state")
    for number, version in enumerate((groups, second_release(groups))):
        made = counted(version, data_digest=f"{number}" * 64)
        whole = releases.write(folder / f"whole{number}", made)
        package = publish_to(whole, folder / f"public{number}", state)
        for file in sorted(p for p in package.rglob("*") if p.is_file()):
            found[f"{number}/{file.relative_to(package)}"] = file.read_bytes()
        # The cards are in the package already.
        for form in (f for f in formats() if f.name not in DRAWN):
            for lang in ("en", "nl"):
                target = folder / f"exported{form.suffix}"
                found[f"{number}/{form.name}.{lang}"] = export(package, form.name, lang=lang, out=target).read_bytes()
        said = json.loads(found.pop(f"{number}/publication.json"))
        # A keyed hash of the whole dossier, under a key that never leaves; with it the line of its own file's hash.
        del said["commitment"]
        found[f"{number}/publication.json"] = json.dumps(said).encode()
        sums = found[f"{number}/SHA256SUMS"].splitlines()
        found[f"{number}/SHA256SUMS"] = b"\n".join(s for s in sums if not s.endswith(b"publication.json"))
    compared = comparing.compare_folders(folder / "public0", folder / "public1")
    found["compared.json"] = json.dumps(compared.as_object()).encode()
    for lang in ("en", "nl"):
        found[f"compared.{lang}.txt"] = comparing.as_text(compared, lang).encode()
        found[f"compared.{lang}.html"] = comparing.as_html(compared, lang)
    return found


@pytest.mark.parametrize(
    ("small", "change"), [(SMALL, OTHER_CELLS), (FEW_WRONG, OTHER_ERRORS)], ids=["whole groups", "errors alone"]
)
def test_what_is_suppressed_cannot_be_found_from_everything_public_together(
    small: Cells, change: Cells, settings: Settings, tmp_path: Path
) -> None:
    one: Groups = {"zz-large": LARGE, "zz-second": MIDDLE, "zz-small": small}
    two = moved(one, change)
    for release in (dict, second_release):
        # An outcome leaves, and bounds what it was reached with; these worlds are alike in it.
        outcomes = [[f.outcome for f in counted(release(world)).dossier.findings] for world in (one, two)]
        assert outcomes[0] == outcomes[1]
    seen = [everything_public(world, tmp_path / name, settings) for name, world in (("one", one), ("two", two))]
    assert seen[0].keys() == seen[1].keys()
    assert [name for name in seen[0] if seen[0][name] != seen[1][name]] == []
    # The search would notice: the large group is there, and without suppression the worlds are told apart.
    assert b"zz-large" in seen[0]["0/model_card.en.md"]
    assert b"zz-large" in seen[0]["compared.json"]
    whole = [Dossier.from_json((tmp_path / n / "whole0" / "dossier.json").read_bytes()) for n in ("one", "two")]
    assert whole[0].counts != whole[1].counts
    assert b"Both are public packages" in seen[0]["compared.en.txt"]
    if small is SMALL:
        assert [name for name, content in seen[0].items() if b"zz-s" in content] == []
