"""Run every benchmark, or those named: `make bench BENCH="assessing counting"`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

NAMES = ("assessing", "counting", "counting_many", "explaining", "walls", "serving", "uploading")


def main(names: list[str]) -> int:
    """Run the benchmarks by name; 2 where a name is not one, 1 where one did not keep what is promised."""
    chosen = [n for n in names if not n.startswith("-")] or list(NAMES)
    unknown = [n for n in chosen if n not in NAMES]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    worst = 0
    for name in chosen:
        print(f"\n== {name}", flush=True)
        worst = max(
            worst, importlib.import_module(f"benchmarks.{name}").main([n for n in names if n.startswith("-")]) or 0
        )
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
