"""The published schema of `dossier.json` is the one that dossiers follow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from model_cards.dossier import Dossier, canonical, json_schema
from tests.make.assessments import assessment, undetermined

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "reference" / "dossier.schema.json"


def test_the_published_schema_is_current() -> None:
    current = canonical(json_schema())
    assert PUBLISHED.read_bytes() == current, (
        'write it anew: python -c "from model_cards.dossier import *; '
        "open('docs/reference/dossier.schema.json', 'wb').write(canonical(json_schema()))\""
    )


def test_the_published_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json.loads(PUBLISHED.read_bytes()))


@pytest.mark.parametrize("route", ["model", "predictions", "counts", "documents"])
def test_a_dossier_of_every_route_follows_the_schema_and_reads_back(route: str) -> None:
    dossier = assessment(route=route, risk=undetermined() if route == "documents" else None).dossier
    raw = dossier.to_json()
    Draft202012Validator(json.loads(PUBLISHED.read_bytes())).validate(json.loads(raw))
    assert Dossier.from_json(raw) == dossier
    assert Dossier.from_json(raw).to_json() == raw


def test_an_unknown_field_is_refused() -> None:
    given = json.loads(assessment().dossier.to_json())
    given["surprise"] = 1
    assert list(Draft202012Validator(json.loads(PUBLISHED.read_bytes())).iter_errors(given))
