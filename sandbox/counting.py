"""Make a counts file on the user's own machine: the command `count`, and the same as one script to carry elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sandbox import count_alone
from sandbox.errors import Problem, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted.

    Args:
        csv: the counts, as CSV.
        rows, combinations, small: rows counted, combinations they fall in, and those with few people.
        told: the same in words.
        submission: how a submission names this file, as YAML.
    """

    csv: str
    rows: int
    combinations: int
    small: int
    told: str
    submission: str


def count(asked: count_alone.Asked, *, out: Path | None = None) -> Counted:
    """Count a table, and write the counts where asked.

    Args:
        asked: see `count_alone.Asked`.
        out: new file; nothing is written where not given.

    Raises:
        Refused: the table cannot be counted as asked.
        FileExistsError: `out` is there already.
    """
    try:
        counts = count_alone.count(asked)
    except count_alone.Unfit as unfit:
        raise Refused(Problem(field=str(asked.table), code="counts.unfit", message=str(unfit))) from unfit
    text = count_alone.written(counts)
    if out is not None:
        if out.exists():
            raise FileExistsError(f"{out} is there already; name a new file")
        out.write_text(text, encoding="utf-8", newline="")
    return Counted(
        csv=text,
        rows=int(counts["rows"].sum()),
        combinations=len(counts),
        small=int((counts["rows"] < count_alone.FEW).sum()),
        told=count_alone.told(counts),
        submission=_submission(asked, out),
    )


def _submission(asked: count_alone.Asked, out: Path | None) -> str:
    """Write the part of a submission file that the counts belong to; classes and favourable are for the user."""
    columns = [f"    {_quoted(name)}: group" for name in asked.groups]
    if asked.label:
        columns.append("    label: label")
    name = _quoted(out.name if out is not None else "counts.csv")
    return "\n".join([f"counts: {{file: {name}}}", "data:", "  columns:", *columns]) + "\n"


def _quoted(text: str) -> str:
    import json

    return text if text.replace("_", "a").isalnum() and text.isascii() else json.dumps(text, ensure_ascii=False)


def script() -> str:
    """Give the one-file script that counts without this product."""
    return resources.files("sandbox").joinpath("count_alone.py").read_text(encoding="utf-8")
