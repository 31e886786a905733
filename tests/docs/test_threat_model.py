"""The threat model claims nothing without a test, and names no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
FILES = dict(re.findall(r"(\w+) =\s+`(tests/[^`]+)`", TEXT))


def rows() -> list[list[str]]:
    shown = TEXT[TEXT.index("## What each wall stops") : TEXT.index("## What stays open")]
    lines = [line for line in shown.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "Shown by" not in line]


def test_every_claim_of_the_threat_model_names_a_test_that_is_there() -> None:
    found = rows()
    assert len(found) > 25
    for row in found:
        claimed = re.findall(r"(?:(\w+) )?`(test_\w+)`", row[-1])
        assert claimed, row
        file = ""
        for named, test in claimed:
            file = FILES[named] if named else file
            assert f"def {test}(" in (ROOT / file).read_text(), f"{file} has no {test}"
