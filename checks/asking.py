"""Plan the questions to a model, ask them through one callable, and put the answers back in order.

A probe plans, nothing more: it gives rows to ask and facts about them. Rows that may be asked in any order are mixed
with the real ones under a key that the model never sees, so that a model cannot tell which question is which.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checks.declaration import Declaration, Route, Task
from checks.errors import CatalogueBroken
from checks.evidence import Answers, Table
from checks.registry import modules_of

BASELINE = "baseline"
"""The probe whose answers are the system's decisions."""

BATCH_ROWS = 4096
"""Rows of every batch but the last: fixed, so that its size tells the model nothing."""

LARGEST = 1e60
"""A number beyond this, either way, is no answer: its powers could not be added up, and no label is so far away."""

Predict = Callable[[pa.Table], NDArray[np.float64]]
"""Features in, (m, f) -> predictions out, (m, k) float64."""

Over = Callable[[Predict, Iterable[pa.Table]], Iterable[NDArray[np.float64]]]
"""Asks batches one after the other, as `map` does, or several at once; the answers come in the order of the batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one probe wants asked.

    Args:
        rows: (m, f) features, of the same schema as the table's features.
        facts: arrays that the checks need to read the answers (masks, positions of the asked rows).
        apart: ask in exactly this order, after all the mixed rows, in batches of `batch_rows`; for questions that are
            about order and batch size. Mixed with all other rows otherwise.
        batch_rows: batch size when apart.
        fresh: whether it is to be asked of another copy of the model, which was asked nothing before; it is `apart`
            then as well.
    """

    rows: pa.Table
    facts: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    apart: bool = False
    batch_rows: int = BATCH_ROWS
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe: a file in `checks/probes`; its name is its identity.

    Args:
        name: from its file.
        plan: `plan(table, declaration, rng)` gives a `Plan`, or None where there is nothing to ask.
        tasks: tasks that it fits; empty for all.
        version: raised when the same seed gives other questions.
    """

    name: str = ""
    plan: Callable[[Table, Declaration, np.random.Generator], Plan | None]
    tasks: tuple[Task, ...] = ()
    version: int = 1


def probe(
    *, tasks: tuple[Task, ...] = (), version: int = 1
) -> Callable[[Callable[[Table, Declaration, np.random.Generator], Plan | None]], Probe]:
    """Make a function the probe of its file."""

    def mark(plan: Callable[[Table, Declaration, np.random.Generator], Plan | None]) -> Probe:
        return Probe(plan=plan, tasks=tasks, version=version)

    return mark


@cache
def all_probes() -> tuple[Probe, ...]:
    """List every probe, by name.

    Raises:
        CatalogueBroken: a file in `checks/probes` defines no probe, or two, or one not named like its file.
    """
    found = []
    for module in modules_of(importlib.import_module("checks.probes")):
        name = module.__name__.rpartition(".")[2]
        here = [(n, v) for n, v in vars(module).items() if isinstance(v, Probe)]
        if len(here) != 1 or here[0][0] != name:
            raise CatalogueBroken(f"{module.__name__} must define exactly one probe, named {name}")
        found.append(replace(here[0][1], name=name))
    return tuple(found)


def probes_for(declaration: Declaration) -> tuple[Probe, ...]:
    """List the probes that fit a declaration; none where no model is asked."""
    if declaration.route is not Route.MODEL or declaration.data is None:
        return ()
    task = declaration.data.task
    return tuple(p for p in all_probes() if not p.tasks or task in p.tasks)


def rng_for(seed: int, name: str) -> np.random.Generator:
    """Give the random generator of one named use: adding a probe never changes what another draws."""
    mixed = hashlib.blake2b(f"{seed}|{name}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(mixed, "little"))


def plan_all(probes: tuple[Probe, ...], table: Table, declaration: Declaration, seed: int) -> dict[str, Plan]:
    """Let every probe plan its questions.

    Returns:
        Plans by probe name; a probe with nothing to ask is absent.
    """
    plans = {p.name: p.plan(table, declaration, rng_for(seed, p.name)) for p in probes}
    return {name: plan for name, plan in plans.items() if plan is not None and plan.rows.num_rows}


def ask(
    plans: Mapping[str, Plan],
    predict: Predict,
    *,
    key: bytes,
    progress: Callable[[int, int], None] | None = None,
    over: Over = map,
) -> dict[str, Answers]:
    """Ask all planned questions and give the answers back in each plan's own row order.

    Args:
        plans: by probe name.
        predict: asks one batch; whatever it raises goes through (a model's fault ends the asking).
        key: secret bytes from which the order is drawn; never given to `predict`.
        progress: called with (rows answered, rows in all) after each batch.
        over: asks the batches of the rows that may be asked in any order; the others are asked one after the other.

    Returns:
        Answers by probe name, values (m, k); NaN where there is none, or none within `LARGEST`.
    """
    total = sum(p.rows.num_rows for p in plans.values())
    done = 0

    def ask_in_order(rows: pa.Table, order: NDArray[np.int64] | None, batch_rows: int) -> NDArray[np.float64]:
        nonlocal done
        starts = range(0, rows.num_rows, batch_rows)
        if order is None:
            parts: Iterable[NDArray[np.float64]] = map(predict, (rows.slice(start, batch_rows) for start in starts))
        else:
            parts = over(predict, (rows.take(pa.array(order[start : start + batch_rows])) for start in starts))
        answered = []
        for part in parts:
            answered.append(np.where(np.abs(part) > LARGEST, np.nan, part))
            done += len(part)
            if progress is not None:
                progress(done, total)
        return np.concatenate(answered, axis=0)

    given: dict[str, Answers] = {}
    mixed = {name: p for name, p in sorted(plans.items()) if not p.apart}
    if mixed:
        rows = pa.concat_tables([p.rows for p in mixed.values()]).unify_dictionaries().combine_chunks()
        seed = int.from_bytes(hashlib.blake2b(key, digest_size=32).digest(), "little")
        order = np.random.default_rng(seed).permutation(rows.num_rows).astype(np.int64)
        asked = ask_in_order(rows, order, BATCH_ROWS)
        values = np.empty_like(asked)
        values[order] = asked
        start = 0
        for name, plan in mixed.items():
            given[name] = Answers(values=values[start : start + plan.rows.num_rows], facts=plan.facts)
            start += plan.rows.num_rows
    for name, plan in sorted(plans.items()):
        if plan.apart:
            given[name] = Answers(values=ask_in_order(plan.rows, None, plan.batch_rows), facts=plan.facts)
    return given
