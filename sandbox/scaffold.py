"""Write the start of a new check, probe, format or export: code, words in both languages, and its test."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from pathlib import Path

from checks.registry import FAMILIES

CHECK = '''"""Measure ... in one sentence: what this check is for."""

from __future__ import annotations

from checks.evidence import Need, View
from checks.finding import Measure, Measured, NotApplicable, NotGathered
from checks.policy import Terms
from checks.registry import check


@check(gives=("unanswered",), needs=(Need.DECISIONS,), law=())
def {name}(evidence: View, terms: Terms) -> Measured | NotApplicable | NotGathered:
    """Count the rows without a decision. (Replace this by what your check measures.)

    Reads:
        decisions: (n,) class index, null where the system gave no answer.

    Returns:
        `unanswered`: rows, 0 to n, lower is better; exact, not an interval.

    Raises:
        EvidenceMissing: never; what is absent becomes `not_gathered` before the check runs.

    Law:
        Name the article, what it asks and what it does not say.

    References:
        Name the definition that is followed.
    """
    rows = len(evidence.decisions)
    count = float(evidence.decisions.null_count)
    exact = Measure(name="unanswered", value=count, low=count, high=count, rows=rows, unit="rows", interval="exact")
    return Measured(measures=(exact,))
'''

CHECK_TEST = '''"""The check `{family}.{name}` against figures worked out by hand."""

from __future__ import annotations

from checks.judge import judge
from checks.policy import load
from checks.registry import catalogue
from tests.make.evidence import by_predictions


def test_{name}_counts_what_was_counted_by_hand() -> None:
    check = next(c for c in catalogue() if c.code == "{family}.{name}")
    evidence = by_predictions(groups={{"sex": ["f", "f", "m", "m"]}}, label=[0, 1, 1, 0], decision=[0, 1, 0, 0])
    (judged,) = judge(check, evidence, load("default"))
    assert judged.finding.measure("unanswered").value == 0
'''

WORDS = {
    "en": """
{name}:
  title: "{title}"
  says: Say in one plain sentence what this shows.
  says_not: Say in one plain sentence what this does not show.
  measures:
    unanswered: rows without an answer
  reasons: {{}}
""",
    "nl": """
{name}:
  title: "{title}"
  says: Zeg in één gewone zin wat dit laat zien.
  says_not: Zeg in één gewone zin wat dit niet laat zien.
  measures:
    unanswered: rijen zonder antwoord
  reasons: {{}}
""",
}

PROBE = '''"""Ask ... in one sentence: what this probe asks of a model."""

from __future__ import annotations

import numpy as np

from checks.asking import Plan, probe
from checks.declaration import Declaration
from checks.evidence import Table

ROWS = 200
"""Rows asked."""


@probe()
def {name}(
    table: Table,
    declaration: Declaration,  # noqa: ARG001  # one signature for all probes
    rng: np.random.Generator,
) -> Plan | None:
    """Plan the questions: rows drawn from the data, asked as they are. (Replace this by your change to them.)"""
    if not table.rows:
        return None
    chosen = np.sort(rng.choice(table.rows, size=min(ROWS, table.rows), replace=False))
    return Plan(rows=table.features.take(chosen), facts={{"position": chosen}})
'''

FORMAT = '''"""Read the ... format: what it is, and what loading it can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SUFFIX = ".{name}"


def sniff(path: Path) -> bool:
    """Tell by name and content, without executing anything, whether this is the format."""
    return path.is_file() and path.suffix == SUFFIX


def scan(path: Path, allow_code: bool) -> dict[str, Any]:  # noqa: ARG001  # one signature for all formats
    """Say by type and operation, without executing anything, what the file holds."""
    raise ValueError("say here what a {name} file can hold before it is ever loaded")


def load(path: Path, setup: Any) -> Any:
    """Load the model; runs in the cell alone."""
    raise ValueError("load a {name} model here")
'''

EXPORT = '''"""Write ... in one sentence: which document this is, and for whom."""

from __future__ import annotations

from model_cards.dossier import Assessment, canonical

FORMAT = "{name}"
STANDARD = "name the standard and its version"
SUFFIX = ".json"


def render(assessment: Assessment, lang: str) -> bytes:
    """Write the document.

    Args:
        assessment: dossier, run and figures.
        lang: language of its words.

    Returns:
        The bytes of the file; the same for the same assessment.
    """
    dossier = assessment.dossier
    return canonical({{"system": dossier.declaration.system.name, "digest": dossier.digest, "language": lang}})
'''


def write_start(kind: str, name: str, root: Path) -> list[Path]:
    """Write the start of a new part into a checkout.

    Args:
        kind: `check`, `probe`, `format` or `export`.
        name: for a check `family.name`, else `name`; lower case, digits and underscores.
        root: the checkout.

    Returns:
        The files written or added to.

    Raises:
        ValueError: the name is not one, the family is not there, or the file exists.
    """
    family, _, short = name.rpartition(".")
    if kind == "check" and family not in FAMILIES:
        raise ValueError(f"write a check as family.name; the families are: {', '.join(FAMILIES)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", short) or keyword.iskeyword(short):
        raise ValueError(f"{short!r} cannot be a file name of code; use lower case, digits and underscores")
    if kind != "check" and family:
        raise ValueError(f"a {kind} has no family; write the name alone: {short}")
    if not (root / "checks" / "registry.py").is_file():
        raise ValueError(f"{root.resolve()} is not a checkout of this project; name it with --root")
    files = dict(_files(kind, family, short))
    there = [path for path in files if (root / path).exists()]
    if there:
        raise ValueError(f"{there[0]} exists already")
    written = []
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        written.append(Path(path))
    if kind == "check":
        for lang, words in WORDS.items():
            added = Path("model_cards", "locale", lang, "checks", f"{family}.yaml")
            (root / added).parent.mkdir(parents=True, exist_ok=True)
            title = short.replace("_", " ").capitalize()
            with (root / added).open("a", encoding="utf-8") as more:
                more.write(words.format(name=short, title=title))
            written.append(added)
    return written


def _files(kind: str, family: str, name: str) -> Iterator[tuple[str, str]]:
    match kind:
        case "check":
            yield f"checks/{family}/{name}.py", CHECK.format(name=name)
            yield f"tests/checks/{family}/test_{name}.py", CHECK_TEST.format(family=family, name=name)
        case "probe":
            yield f"checks/probes/{name}.py", PROBE.format(name=name)
        case "format":
            yield f"sandbox/cell/formats/{name}.py", FORMAT.format(name=name)
        case _:
            yield f"model_cards/exports/{name}.py", EXPORT.format(name=name)
