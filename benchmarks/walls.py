"""What the walls cost: predictions through one and two cells beside the same model in process, starts, proofs."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from checks.asking import BATCH_ROWS, Plan, ask
from sandbox.cell.wire import Column, Setup
from sandbox.errors import CellUnavailable
from sandbox.isolation import place
from sandbox.isolation.choose import choose
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import CellFiles, Isolation, Limits
from sandbox.isolation.pool import Pool
from sandbox.isolation.spread import Spread
from sandbox.settings import Settings
from tests.make.walls import wall_settings

# In process the same threads, which sleep while they wait, as in a cell; read when the libraries are loaded.
os.environ.update({k: v for k, v in place.environment().items() if k.startswith(("OMP_", "OPENBLAS_"))})

ROWS, COLUMNS, RUNS = 100_000, 20, 5


def main(options: list[str]) -> None:
    """Print milliseconds and ratios; `--quick` takes fewer runs."""
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    runs = 3 if "--quick" in options else RUNS
    rng = np.random.default_rng(0)
    shown = rng.normal(size=(ROWS, COLUMNS))
    label = np.where(shown[:, :5].sum(axis=1) + rng.normal(size=ROWS) > 0, "yes", "no")
    table = pa.table({f"x{i}": shown[:, i] for i in range(COLUMNS)})
    plans = {"baseline": Plan(rows=table)}
    models = {
        "boosted trees": HistGradientBoostingClassifier(random_state=0),
        "logistic regression": LogisticRegression(),
    }
    print(f"{ROWS:,} x {COLUMNS} predictions in batches of {BATCH_ROWS:,}; medians of {runs} runs side by side")
    with tempfile.TemporaryDirectory() as base:
        settings = wall_settings(Path(base) / "state")
        walls = dict(_walls(settings))
        for name, model in models.items():
            model.fit(shown[:20_000], label[:20_000])
            path = Path(base) / f"{name.replace(' ', '-')}.skops"
            skops.io.dump(model, path)
            _compare(name, model, path, plans, walls, runs)
        for backend, isolation in walls.items():
            _starts(backend, isolation, path, runs)


def _walls(settings: Settings) -> Iterator[tuple[str, Isolation]]:
    for backend in ("bubblewrap", "docker"):
        try:
            yield backend, choose(backend, settings).isolation
        except CellUnavailable as why:
            print(f"{backend}: {why}")


def _compare(
    name: str, model: object, path: Path, plans: dict[str, Plan], walls: dict[str, Isolation], runs: int
) -> None:
    def bare(rows: pa.Table) -> np.ndarray:
        asked = np.stack([c.to_numpy() for c in rows.columns], axis=1)
        return np.asarray(model.predict_proba(asked))[:, 1:]  # type: ignore[attr-defined]

    ways: dict[str, Callable[[], object]] = {"in process": lambda: ask(plans, bare, key=b"k")}
    with ExitStack() as stack:
        for backend, isolation in walls.items():
            for count in (1, 2):
                spread = stack.enter_context(_loaded(isolation, path, count))
                ways[f"{backend}, {count} cell{'s' * (count > 1)}"] = partial(
                    ask, plans, spread.first.predict, key=b"k", over=spread.over
                )
        took: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(runs + 1):
            for way, run in ways.items():
                begun = time.perf_counter()
                run()
                if number:
                    took[way].append(time.perf_counter() - begun)
    bare_seconds = statistics.median(took["in process"])
    print(f"\n{name}")
    for way, seconds in took.items():
        middle = statistics.median(seconds)
        print(
            f"  {way:<20} {1000 * middle:8.1f} ms   {middle / bare_seconds:5.2f} x in process   "
            f"(min {1000 * min(seconds):.1f}, max {1000 * max(seconds):.1f})"
        )


def _setup(path: Path) -> Setup:
    return Setup(
        format="skops",
        path=f"/c/model/{path.name}",
        allow_code=False,
        columns=tuple(Column(name=f"x{i}", type="number") for i in range(COLUMNS)),
        task="binary",
        output="probability",
        classes=("no", "yes"),
        score_of="yes",
        k=1,
    )


@contextmanager
def _loaded(isolation: Isolation, path: Path, count: int) -> Iterator[Spread]:
    limits = Limits()
    with ExitStack() as stack:
        cells = []
        for _ in range(count):
            running = isolation.open(CellFiles(model=path), limits)
            stack.callback(running.close)
            cells.append((running, Conversation(running, _setup(path), limits)))
        spread = Spread(cells)
        stack.callback(spread.close)
        spread.load()
        yield spread


def _starts(backend: str, isolation: Isolation, path: Path, runs: int) -> None:
    took: dict[str, list[float]] = {}

    def timed(what: str, run: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        given = run()
        took.setdefault(what, []).append(1000 * (time.perf_counter() - begun))
        return given

    for _ in range(runs):
        timed("a cell started and ended", lambda: isolation.open(CellFiles(model=path), Limits()).close())
        with ExitStack() as stack:
            timed("a cell started and its model loaded", lambda: stack.enter_context(_loaded(isolation, path, 1)))
        with Pool(isolation, Limits()) as pool:
            pool.fill(1)
            time.sleep(4.0)
            cell = timed("a cell taken from the pool", partial(pool.take, path))
            timed("its model loaded", Conversation(cell, _setup(path), Limits()).load)
            cell.close()
        timed("the wall proved", lambda: isolation.prove(Limits()))
    print(f"\n{backend}")
    for what, each in took.items():
        print(f"  {what:<36} {statistics.median(each):8.1f} ms   (min {min(each):.1f}, max {max(each):.1f})")
