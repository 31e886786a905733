"""Count fifty million rows in pieces and judge them: memory stays that of a tenth of them, and groups may be many.

The rows are written to a table in pieces and counted by the script that users run on their own machine; the counts are
sealed and judged by every fairness check. Each size runs in a process of its own, so that what is printed as peak
memory is that of the run. Exits 1 where a promised figure is not reached.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.counting import fairness
from checks.declaration import Declaration
from checks.evidence import Evidence
from checks.fairness._rates import framed
from checks.judge import judge
from checks.policy import load
from checks.sealing import seal
from sandbox import count_alone

ROWS = 50_000_000
PIECE = 1_000_000
PROMISED_BYTES = 512 * 1024**2
PROMISED_GROWTH = 1.25
"""Peak memory over that of a tenth of the rows, up to which it is called constant."""

GROUPS = 2_000
PROMISED_SECONDS = 30.0
"""For all fairness checks over so many groups, of which a person may wait for an answer."""

RACES = tuple("ABCDE")


def written(rows: int, table: Path) -> None:
    """Write rows with two attributes, labels and decisions, never more than a piece in memory."""
    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, PIECE):
        n = min(PIECE, rows - start)
        label = rng.integers(0, 2, n, dtype=np.int32)
        decision = np.where(rng.random(n, dtype=np.float32) < 0.8, label, 1 - label).astype(np.int32)
        codes = {
            "sex": (rng.integers(0, 2, n, dtype=np.int32), ["Female", "Male"]),
            "race": (rng.integers(0, len(RACES), n, dtype=np.int32), list(RACES)),
            "label": (label, ["no", "yes"]),
            "decision": (decision, ["no", "yes"]),
        }
        made = {name: pa.DictionaryArray.from_arrays(pa.array(code), names) for name, (code, names) in codes.items()}
        piece = pa.table(made)
        writer = writer or pq.ParquetWriter(table, piece.schema)
        writer.write_table(piece)
    assert writer is not None
    writer.close()


def declared(columns: dict[str, str], route: dict[str, Any]) -> Declaration:
    """Declare a system of two classes."""
    return Declaration.model_validate(
        {
            "system": {
                "name": "Benchmark",
                "version": "1",
                "provider": {"name": "Example BV"},
                "intended_purpose": "Measures how long counting takes.",
            },
            "data": {"task": "binary", "classes": ["no", "yes"], "favourable": "yes", "columns": columns},
            **route,
        }
    )


def sealed(table: Path) -> Evidence:
    """Count a table in pieces and seal the counts."""
    asked = count_alone.Asked(table=table, groups=("sex", "race"), decision="decision", label="label")
    counts = count_alone.count(asked)
    classes = ["no", "yes"]
    rows = counts["rows"].to_numpy(dtype=np.int64)
    columns = {name: pa.array(counts[name].astype(str).tolist()) for name in ("sex", "race")}
    columns |= {n: pa.array([classes.index(v) for v in counts[n]], type=pa.int32()) for n in ("label", "decision")}
    columns |= {"rows": pa.array(rows)}
    columns |= {n: pa.array(rows.astype(np.float64)) for n in ("weight", "weight_squared")}
    declaration = declared({"sex": "group", "race": "group", "label": "label"}, {"counts": {"file": "counts.csv"}})
    return seal(declaration, submission_digest="0" * 64, counts=pa.table(columns))


def run(rows: int) -> dict[str, float]:
    """Write, count, seal and judge so many rows; give the seconds of each and the most memory held."""
    import resource

    with tempfile.TemporaryDirectory() as folder:
        table, begun = Path(folder) / "rows.parquet", time.perf_counter()
        written(rows, table)
        made = time.perf_counter()
        evidence = sealed(table)
    counted = time.perf_counter()
    for check in fairness():
        assert all(j.finding.incident is None for j in judge(check, evidence, load("default")))
    return {
        "writing": made - begun,
        "counting": counted - made,
        "judging": time.perf_counter() - counted,
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def apart(rows: int) -> dict[str, float]:
    """Do the same in a process of its own."""
    script = "import json, sys; from benchmarks.counting_many import run; print(json.dumps(run(int(sys.argv[1]))))"
    root = Path(__file__).resolve().parents[1]
    ran = subprocess.run(
        [sys.executable, "-c", script, str(rows)], capture_output=True, text=True, check=True, cwd=root
    )
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def many_groups(groups: int) -> float:
    """Judge every fairness check over so many groups, counted beforehand; give the seconds."""
    rng = np.random.default_rng(1)
    rows = rng.integers(20, 200, (groups, 2, 2))
    at = np.indices(rows.shape).reshape(3, -1)
    columns: dict[str, Any] = {"area": pa.array(at[0].astype(str).tolist())}
    columns |= {n: pa.array(at[i], type=pa.int32()) for i, n in ((1, "label"), (2, "decision"))}
    columns |= {"rows": pa.array(rows.ravel().astype(np.int64))}
    columns |= {n: pa.array(rows.ravel().astype(np.float64)) for n in ("weight", "weight_squared")}
    declaration = declared({"area": "group", "label": "label"}, {"counts": {"file": "counts.csv"}})
    evidence = seal(declaration, submission_digest="0" * 64, counts=pa.table(columns))
    framed.cache_clear()
    begun = time.perf_counter()
    for check in fairness():
        assert all(j.finding.incident is None for j in judge(check, evidence, load("default")))
    return time.perf_counter() - begun


def main(arguments: list[str] | None = None) -> int:
    """Print times and peak memory; 1 where a promised figure is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=ROWS, help="rows that are counted in pieces")
    asked, _ = parser.parse_known_args(arguments)
    few, many = (apart(rows) for rows in (asked.many // 10, asked.many))
    for rows, found in ((asked.many // 10, few), (asked.many, many)):
        print(
            f"{rows:>12,} rows: {found['counting']:7.1f} s counting, {found['judging']:5.2f} s all fairness checks, "
            f"{found['bytes'] / 1024**3:.3f} GiB at most"
        )
    growth = many["bytes"] / few["bytes"]
    print(f"memory of ten times the rows: {growth:.2f} times (promised: {PROMISED_GROWTH}); under 0.5 GiB promised")
    seconds = many_groups(GROUPS)
    print(
        f"{GROUPS:,} groups: all fairness checks with intervals in {seconds:.1f} s (promised: {PROMISED_SECONDS:.0f})"
    )
    kept = many["bytes"] < PROMISED_BYTES and growth <= PROMISED_GROWTH and seconds <= PROMISED_SECONDS
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
