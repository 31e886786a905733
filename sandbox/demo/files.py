"""Write the files of a demonstration submission."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ORDINARY: dict[str, Any] = {
    "exclusion": ["none"],
    "how_it_works": "learned",
    "gpai": "no",
    "practices": ["none"],
    "product_acts": ["none"],
    "areas": ["none"],
    "interacts": "no",
    "generates": ["none"],
    "open_source": "no",
    "personal_data": "no",
    "persons_decision": "no",
}
"""Answers for a system that comes into none of the listed areas."""

LETTERS: dict[str, Any] = {**ORDINARY, "personal_data": "yes", "citizen_effect": "contact_or_sorting"}

DISCOUNT: dict[str, Any] = {
    **{name: answer for name, answer in ORDINARY.items() if name != "open_source"},
    "areas": ["insurance"],
    "services_use": ["life_health"],
    "users": ["others"],
    "profiling": "yes",
    "role_change": ["none"],
    "placed_when": "not_yet",
    "personal_data": "special",
    "persons_decision": "assists",
}

DOCUMENTATION = """# Technical documentation

## Intended purpose

See `submission.yaml`. This text belongs to a demonstration: it is short on purpose, and much of what Annex IV of the AI
Act lists is not in it, so that the card shows what a reader would miss.

## Development

The model was trained with scikit-learn on one part of the records and is assessed on another part that it has not seen.
No pre-trained system and no tool of a third party was used beyond that library. The inputs are the columns that
`submission.yaml` calls features; the output is a probability, turned into a decision at the threshold stated there.

## Human oversight

To be completed.
"""


def save_skops(model: Any, path: Path) -> None:
    """Write a scikit-learn model in the skops format."""
    import skops.io

    skops.io.dump(model, path)


def write(
    folder: Path,
    *,
    submission: Mapping[str, Any],
    answers: Mapping[str, Any],
    datasheet: Mapping[str, Any] | None = None,
    documents: Mapping[str, str] | None = None,
) -> None:
    """Write the texts of a submission beside its model and data."""
    texts = {"submission.yaml": submission, "answers.yaml": answers, "datasheet.yaml": datasheet}
    for name, content in texts.items():
        if content is not None:
            text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=100)
            (folder / name).write_text(text, encoding="utf-8")
    for name, document in (documents or {}).items():
        (folder / name).write_text(document, encoding="utf-8")
