"""Build declarations from worked cases."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from checks.declaration import Declaration

CASES = Path(__file__).with_name("cases.yaml")
TODAY = dt.date(2026, 11, 24)


@cache
def read_cases() -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """Read the base and the worked cases; each case is filled up from the base."""
    content = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    base = content["base"]
    return base, tuple(
        {**base, **case, "answers": {**base["answers"], **case.get("answers", {})}} for case in content["cases"]
    )


def case_named(case_id: str) -> dict[str, Any]:
    """Find one worked case."""
    return next(c for c in read_cases()[1] if c["id"] == case_id)


def declare(case: dict[str, Any], answers: dict[str, Any] | None = None) -> Declaration:
    """Make the declaration of a case, with its own answers or with others."""
    return Declaration.model_validate(
        {
            "system": {
                "name": case.get("id", "System"),
                "version": "1",
                "provider": {"name": "Example", "country": case["country"], "size": case["size"]},
                "roles": case["roles"],
                "public_body": case["public_body"],
                "intended_purpose": case.get("system", "Not stated"),
            },
            "answers": case["answers"] if answers is None else answers,
        }
    )
