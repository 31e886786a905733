"""Time all group figures with their intervals on counted cells against one row-wise MetricFrame without intervals."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pyarrow as pa
from fairlearn import metrics as fm
from sklearn import metrics as skm

from checks.declaration import Declaration
from checks.evidence import Evidence, Table
from checks.judge import judge
from checks.policy import load
from checks.registry import Check, catalogue
from checks.sealing import Recorded, seal

ROW_WISE = {
    "selection_rate": fm.selection_rate,
    "true_positive_rate": fm.true_positive_rate,
    "true_negative_rate": fm.true_negative_rate,
    "false_positive_rate": fm.false_positive_rate,
    "false_negative_rate": fm.false_negative_rate,
    "accuracy": skm.accuracy_score,
    "precision": skm.precision_score,
    "recall": skm.recall_score,
    "f1": skm.f1_score,
    "balanced_accuracy": skm.balanced_accuracy_score,
}
"""Ten measures, as one would ask of fairlearn by hand."""


def drawn(rows: int) -> dict[str, Any]:
    """Draw labels, decisions and two attributes."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, rows).astype(np.int32)
    return {
        "label": label,
        "decision": np.where(rng.random(rows) < 0.8, label, 1 - label).astype(np.int32),
        "sex": rng.choice(np.array(["Female", "Male"], dtype=object), rows),
        "race": rng.choice(np.array(list("ABCDE"), dtype=object), rows, p=[0.6, 0.2, 0.1, 0.06, 0.04]),
    }


def read(given: dict[str, Any]) -> tuple[Declaration, Table, Recorded]:
    """Put the rows into the form in which intake hands them over."""
    rows = len(given["label"])
    declaration = Declaration.model_validate(
        {
            "system": {
                "name": "Benchmark",
                "version": "1",
                "provider": {"name": "Example BV"},
                "intended_purpose": "Measures how long counting takes.",
            },
            "predictions": {"file": "p.csv", "decision": "d"},
            "data": {
                "file": "d.csv",
                "task": "binary",
                "classes": ["no", "yes"],
                "favourable": "yes",
                "columns": {"sex": "group", "race": "group", "label": "label"},
            },
        }
    )
    groups = {n: pa.chunked_array([pa.array(given[n], type=pa.string()).dictionary_encode()]) for n in ("sex", "race")}
    table = Table(
        features=pa.table({}),
        groups=pa.table(groups),
        label=pa.chunked_array([pa.array(given["label"])]),
        rows=rows,
        row_numbers=pa.chunked_array([pa.array(np.arange(rows, dtype=np.int64))]),
    )
    return declaration, table, Recorded(decision=pa.chunked_array([pa.array(given["decision"])]))


def counted(made: tuple[Declaration, Table, Recorded], checks: tuple[Check, ...]) -> tuple[float, float, Evidence]:
    """Time sealing (which counts) and judging; also give the evidence."""
    declaration, table, recorded = made
    start = time.perf_counter()
    evidence = seal(declaration, submission_digest="0" * 64, table=table, recorded=recorded)
    middle = time.perf_counter()
    policy = load("default")
    for check in checks:
        assert all(j.finding.incident is None for j in judge(check, evidence, policy))
    return middle - start, time.perf_counter() - middle, evidence


def row_wise(given: dict[str, Any]) -> float:
    """Time one MetricFrame of ten measures over both attributes, row by row, without intervals."""
    start = time.perf_counter()
    for attribute in ("sex", "race"):
        frame = fm.MetricFrame(
            metrics=ROW_WISE, y_true=given["label"], y_pred=given["decision"], sensitive_features=given[attribute]
        )
        frame.difference()
        frame.ratio()
    return time.perf_counter() - start


def main() -> None:
    """Print the times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="time the row-wise frame on 100,000 rows and extrapolate")
    asked = parser.parse_args()
    checks = tuple(c for c in catalogue() if c.code.startswith("fairness."))
    # Imports are paid once per process, by either side.
    counted(read(drawn(1000)), checks)
    given = drawn(asked.rows)
    made = read(given)
    counting, judging, _ = min((counted(made, checks) for _ in range(3)), key=lambda t: t[0] + t[1])
    fewer = min(asked.rows, 100_000) if asked.quick else asked.rows
    by_row = row_wise(given if fewer == asked.rows else drawn(fewer)) * asked.rows / fewer
    said = " (extrapolated from 100,000 rows)" if fewer != asked.rows else ""
    print(f"rows: {asked.rows:,}; attributes: 2; fairness checks with intervals: {len(checks)}")
    print(f"sealing, with counting: {counting:8.3f} s")
    print(f"all fairness checks:    {judging:8.3f} s")
    print(f"row-wise MetricFrame:   {by_row:8.3f} s{said}; ten measures, no intervals")
    print(f"ratio: {by_row / (counting + judging):.0f}")


if __name__ == "__main__":
    main()
