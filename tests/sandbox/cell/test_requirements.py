"""The list that a cell's tree is built from is the lock's, word for word."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import uv

from sandbox.isolation.tree import REQUIREMENTS

ROOT = Path(__file__).resolve().parents[3]
# How the file is made: uv export --frozen --only-group cell --no-emit-project --no-header --format requirements.txt
EXPORT = ("export", "--frozen", "--offline", "--only-group", "cell", "--no-emit-project", "--no-header")


def test_the_cell_s_requirements_are_those_of_the_lock_file() -> None:
    told = subprocess.run(
        [uv.find_uv_bin(), *EXPORT, "--format", "requirements.txt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert REQUIREMENTS.read_text() == told


def test_every_package_of_the_cell_has_a_version_and_hashes() -> None:
    text = REQUIREMENTS.read_text()
    packages = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert len(packages) > 10
    for package in packages:
        assert re.match(r"^[A-Za-z0-9_.-]+==[0-9]", package), package
        assert "--hash=sha256:" in package
