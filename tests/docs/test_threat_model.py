"""The threat model claims nothing without a test, and names no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "contract": "tests/contract/test_every_isolation.py",
    "hostile": "tests/hostile/test_cells.py",
    "models": "tests/hostile/test_models.py",
    "proved": "tests/sandbox/isolation/test_proved.py",
    "uploads": "tests/sandbox/records/test_uploads.py",
    "evidence": "tests/sandbox/records/test_evidence_store.py",
    "groups": "tests/sandbox/isolation/test_limits.py",
    "choice": "tests/sandbox/isolation/test_choose.py",
    "place": "tests/sandbox/isolation/test_place.py",
    "filter": "tests/sandbox/isolation/test_seccomp.py",
    "list": "tests/sandbox/cell/test_requirements.py",
    "pool": "tests/sandbox/isolation/test_pool.py",
    "spread": "tests/sandbox/isolation/test_spread.py",
    "knowing": "tests/hostile/test_knowing_models.py",
    "remembered": "tests/checks/cybersecurity/test_knowing_models.py",
    "holdout": "tests/checks/cybersecurity/test_holdout.py",
    "further": "tests/sandbox/intake/test_further_tables.py",
    "told": "tests/checks/explainability/test_told_apart.py",
    "pickles": "tests/hostile/test_pickles.py",
    "archives": "tests/hostile/test_model_archives.py",
    "building": "tests/sandbox/environments/test_building.py",
    "gate": "tests/sandbox/environments/test_gate.py",
    "asked": "tests/sandbox/environments/test_requirements.py",
    "real": "tests/sandbox/environments/test_real_packages.py",
    "parsers": "tests/architecture/test_parsers.py",
    "zips": "tests/sandbox/intake/test_archive.py",
    "fuzzed": "tests/hostile/test_fuzz_targets.py",
    "proxy": "tests/sandbox/test_engine_proxy.py",
    "outgoing": "tests/sandbox/test_outgoing.py",
    "wire": "tests/sandbox/cell/test_wire.py",
    "sharing": "tests/sandbox/test_spreading.py",
}


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "threat-model.md").read_text()
    shown = text[text.index("## What each wall stops") : text.index("## What stays open")]
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
