"""The page on exports names each one, and its publication file is what the exports read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from model_cards.exports import algorithm_register, exports
from model_cards.exports import annex_viii as annex
from sandbox.intake import strict_yaml
from tests.make.drafts import of_public_body

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "exports.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def publication() -> dict[str, Any]:
    text = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    read: dict[str, Any] = strict_yaml.read_yaml(text.encode(), "publication.yaml").content
    return read


def test_every_export_is_on_the_page() -> None:
    assert [name for name in exports() if f"`{name}`" not in PAGE] == []


def test_the_publication_file_of_the_page_gives_a_complete_entry(publication: dict[str, Any]) -> None:
    document = json.loads(algorithm_register.render(of_public_body(publication=publication), "nl"))
    assert document["complete"] is True
    known = {name for f in algorithm_register.FIELDS for name in (f.key, *f.aliases)}
    others = {"published_entry_sha256", "annex_viii", "annex_iv", "fria", "test_report"}
    assert set(publication) - known - others == set()
    wrong = {f["key"]: f["problems"] for f in document["fields"] if f["origin"] == "answered" and f["problems"]}
    assert list(wrong) == ["contact_email"]


def test_what_the_page_says_for_annex_viii_is_read(publication: dict[str, Any]) -> None:
    page = annex.render(of_public_body(publication={"annex_viii": publication["annex_viii"]}, roles=["provider"]), "en")
    assert b"NL; BE" in page
