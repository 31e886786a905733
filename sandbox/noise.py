"""Add noise to the counts that leave, drawn once per data, and spend no more epsilon than the operator set.

Differential privacy of one row more or less: each row stands in one cell of each count table, so epsilon is divided
over the tables, and every cell of a table, empty ones too, gets discrete Laplace noise from OpenDP. All figures are
then worked out anew from the noisy counts. What the counts do not give stays in.

Outside epsilon, and said in the package: outcomes, how many rows there were, and which groups there are.

Assumes of its caller: it holds a lock on the ledger; one state folder for all packages about the same data.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from checks import policy as policies
from checks.declaration import ColumnRole
from checks.evidence import Need
from checks.finding import Figure, Finding, Measure, Reason, Rejudge
from checks.judge import judge
from checks.registry import Check, catalogue
from checks.resources import names as named_policies
from model_cards.dossier import Assessment, CountTable, Dossier, Noise, canonical, evidence_in
from sandbox import whole as whole_file
from sandbox.errors import Problem, Refused

ROW_FREE = frozenset({Need.DOCUMENTS, Need.SCAN})
"""Facts that are about files and documents, not about people: findings from these alone get no noise."""

NEARLY_ALL = 0.95
"""Share of the counts that `Noise.within` speaks of."""

ROUNDING = 1e-9
"""What sums of epsilon may exceed the budget by, for they are sums of fractions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Noisy counts of one dossier, drawn once.

    Args:
        counts: the tables of the dossier that can leave, with noise.
    """

    noise: Noise
    counts: tuple[CountTable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What left of one set of data so far.

    Args:
        exact: whether a package without noise left.
        spent: sum of epsilon of all draws.
        draws: by the digest of what they were drawn for.
    """

    exact: bool = False
    spent: float = 0.0
    draws: Mapping[str, Draw] = field(default_factory=dict)


def read(files: Sequence[Path]) -> Ledger:
    """Read what left of the data that any of the files is about; they are taken for one set of data."""
    found = [_read(file) for file in files if file.exists()]
    return Ledger(
        exact=any(one.exact for one in found),
        spent=max((one.spent for one in found), default=0.0),
        draws={key: draw for one in found for key, draw in one.draws.items()},
    )


def write(files: Sequence[Path], ledger: Ledger) -> None:
    """Record what is about to leave, under every name of the data."""
    content = canonical(
        {
            "format": "1",
            "exact": ledger.exact,
            "spent": ledger.spent,
            "draws": {
                key: {
                    "noise": draw.noise.model_dump(mode="json"),
                    "counts": [t.model_dump(mode="json") for t in draw.counts],
                }
                for key, draw in ledger.draws.items()
            },
        },
        # The order of a table's columns is part of the dossier that is made from it.
        is_sorted=False,
    )
    for file in files:
        whole_file.replace(file, content, mode=0o600)


def leave_exactly(files: Sequence[Path]) -> None:
    """Record that figures without noise leave.

    Raises:
        Refused: noisy figures of these data left already, which exact ones would lay bare.
    """
    ledger = read(files)
    if ledger.draws:
        message = (
            "figures of these data are public with noise already, and exact ones would show what the noise was; "
            f"give --epsilon ({ledger.spent:g} of the budget is spent)"
        )
        raise Refused(Problem(field="epsilon", code="noise.undone", message=message))
    if files and not ledger.exact:
        write(files, Ledger(exact=True))


def drawn(
    dossier: Dossier, leaving: Sequence[CountTable], epsilon: float, budget: float, files: Sequence[Path]
) -> Draw:
    """Give the noisy counts of a dossier: those drawn before for the same counts and epsilon, else new ones.

    Args:
        leaving: the tables that can leave, everyone's among them.
        epsilon: of all tables together, above 0; smaller hides more.
        budget: the most that all draws about the same data may add up to.
        files: the ledger of the data, under each of its names.

    Raises:
        Refused: there are no counts of rows, a row does not count as one, exact figures left before, the budget does
            not allow it, or OpenDP is not installed.
    """
    _refuse_unfit(dossier, leaving, epsilon)
    ledger = read(files)
    if ledger.exact:
        message = "exact figures of these data are public already; noise added now would hide nothing"
        raise Refused(Problem(field="epsilon", code="noise.too_late", message=message))
    key = hashlib.sha256(canonical([epsilon, [t.model_dump(mode="json") for t in leaving]])).hexdigest()
    if key in ledger.draws:
        return ledger.draws[key]
    spent = ledger.spent + epsilon
    if spent > budget + ROUNDING:
        message = (
            f"epsilon {epsilon:g} would bring what was spent on these data to {spent:g}, beyond the {budget:g} that "
            "the operator set (AIACT_SANDBOX_NOISE_BUDGET); a package that was made before can be made again"
        )
        raise Refused(Problem(field="epsilon", code="noise.spent", message=message))
    share = epsilon / len(leaving)
    classes = len(dossier.declaration.data.classes) if dossier.declaration.data else 0
    counts = tuple(_noisy(table, share, classes) for table in leaving)
    noise = Noise(
        epsilon=epsilon,
        spent=spent,
        budget=budget,
        tables=len(leaving),
        within=within(share),
        mechanism=f"discrete Laplace of scale {1 / share:g} on each count (opendp {_version()})",
    )
    draw = Draw(noise=noise, counts=counts)
    write(files, Ledger(exact=False, spent=spent, draws={**ledger.draws, key: draw}))
    return draw


def within(epsilon: float) -> int:
    """Give the smallest number of rows that 95 % of discrete Laplace draws of one table's epsilon do not exceed."""
    ratio = math.exp(-epsilon)
    return max(0, math.ceil(math.log((1 - NEARLY_ALL) * (1 + ratio) / 2) / -epsilon - 1))


def apply(assessment: Assessment, draw: Draw) -> Assessment:
    """Work all figures out anew from noisy counts. Pure.

    Args:
        assessment: the whole one.

    Returns:
        An assessment whose outcomes are those of the true counts and whose figures are not: those that follow from the
        counts follow from the noisy ones and say so; those that need rows are left out; those about files stay.

    Raises:
        Refused: its policy is not known here as it was then, so that figures cannot be worked out anew.
    """
    whole = assessment.dossier
    bare = whole.model_copy(update={"counts": draw.counts, "explanation": None})
    checks = {check.code: check for check in catalogue()}
    terms = policies.load(whole.policy.name) if whole.policy.name in named_policies("policies") else None
    if terms is None or terms.version != whole.policy.version:
        message = f"policy {whole.policy.name} {whole.policy.version} is not known here; judge the dossier again first"
        raise Refused(Problem(field="epsilon", code="noise.other_policy", message=message))
    evidence = evidence_in(bare)
    judged = {
        (j.finding.check, j.finding.attribute): j
        for check in checks.values()
        if check.rejudge is Rejudge.DOSSIER
        for j in judge(check, evidence, terms)
    }
    findings: list[Finding] = []
    figures: list[Figure] = []
    for finding in whole.findings:
        anew = judged.get((finding.check, finding.attribute))
        if _row_free(checks.get(finding.check)):
            findings.append(finding)
        elif anew is not None and (anew.finding.measures or anew.finding.groups):
            findings.append(_anew(finding, anew.finding, draw.noise))
            figures += anew.figures
        else:
            findings.append(_withheld(finding))
    dossier = bare.model_copy(update={"findings": tuple(findings), "figures": tuple(f.name for f in figures)})
    return Assessment(dossier=dossier, run=assessment.run, figures=tuple(figures))


def _anew(finding: Finding, noisy: Finding, noise: Noise) -> Finding:
    groups = tuple(g.model_copy(update={"measures": tuple(map(_labelled, g.measures))}) for g in noisy.groups)
    return finding.model_copy(
        update={
            "measures": tuple(map(_labelled, noisy.measures)),
            "groups": groups,
            "items": (),
            "figures": noisy.figures,
            "reason": Reason(code="noised", params={"epsilon": noise.epsilon}),
        }
    )


def _labelled(measure: Measure) -> Measure:
    """Say of a measure that it is of noisy counts, where programs and the method's list of definitions read it."""
    said = "of counts with noise, which the interval does not allow for"
    return measure.model_copy(update={"interval": f"{measure.interval}; {said}" if measure.interval else said})


def _withheld(finding: Finding) -> Finding:
    """Keep the outcome of a finding alone."""
    had = finding.measures or finding.groups or finding.items or finding.figures
    changes: dict[str, Any] = {"measures": (), "groups": (), "items": (), "figures": ()}
    if had:
        changes["reason"] = Reason(code="withheld_under_noise")
    elif finding.reason is not None:
        # Words of a reason may carry numbers of rows.
        numbers = any(isinstance(v, int | float) and not isinstance(v, bool) for v in finding.reason.params.values())
        changes |= {"reason": Reason(code="withheld_under_noise")} if numbers else {}
    return finding.model_copy(update=changes)


def _row_free(check: Check | None) -> bool:
    return check is not None and {*check.needs, *check.may_read} <= ROW_FREE


def _refuse_unfit(dossier: Dossier, leaving: Sequence[CountTable], epsilon: float) -> None:
    """Refuse what noise of one row more or less would not protect, or not be possible for."""
    data = dossier.declaration.data

    def refuse(code: str, message: str) -> Refused:
        return Refused(Problem(field="epsilon", code=code, message=message))

    if not (math.isfinite(epsilon) and epsilon > 0):
        raise refuse("noise.epsilon", f"epsilon must be a number above 0, not {epsilon}")
    if not leaving or any(t.kind != "cells" for t in leaving):
        message = "noise can be added to counts of labels and decisions alone, and this dossier holds none that leave"
        raise refuse("noise.no_counts", message)
    if data is not None and ColumnRole.UNIT in data.columns.values():
        message = (
            "several rows stand for one person or household (role `unit`), so noise for one row would not hide one"
        )
        raise refuse("noise.units", message)
    if any(t.columns["weight"] != t.columns["rows"] for t in leaving):
        raise refuse("noise.weights", "rows are weighted, so that one row can change a count by more than 1")


def _noisy(table: CountTable, epsilon: float, classes: int) -> CountTable:
    """Add noise to every cell of a table, those that nobody is in too; below 0 becomes 0, and 0 leaves no row."""
    columns = table.columns
    cells = list(zip(columns["group"], columns["label"], columns["decision"], strict=True))
    true = dict(zip(cells, columns["rows"], strict=True))

    def values(name: str) -> list[Any]:
        there = set(columns[name])
        known = list(range(classes)) if there - {None} else []
        return [*known, *([None] if None in there else [])]

    grid = list(product(dict.fromkeys(columns["group"]), values("label"), values("decision")))
    noisy = _laplace([int(true.get(cell) or 0) for cell in grid], epsilon)
    kept = [(cell, rows) for cell, rows in zip(grid, noisy, strict=True) if rows > 0]
    rows = tuple(rows for _, rows in kept)
    weight = tuple(float(n) for n in rows)
    parts = {name: tuple(cell[i] for cell, _ in kept) for i, name in enumerate(("group", "label", "decision"))}
    return table.model_copy(update={"columns": {**parts, "rows": rows, "weight": weight, "weight_squared": weight}})


def _laplace(counts: list[int], epsilon: float) -> list[int]:
    dp = _opendp()
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    measurement = dp.m.make_laplace(*space, scale=1 / epsilon)
    return [int(n) for n in measurement(counts)]


def _opendp() -> Any:
    try:
        import opendp.prelude as dp
    except ImportError as absent:
        message = "noise is drawn by OpenDP, which is not installed: pip install 'aiact-sandbox[noise]'"
        raise Refused(Problem(field="epsilon", code="noise.not_installed", message=message)) from absent
    return dp


def _version() -> str:
    from importlib import metadata

    return metadata.version("opendp")


def _read(file: Path) -> Ledger:
    given = json.loads(file.read_bytes())
    return Ledger(
        exact=given["exact"],
        spent=given["spent"],
        draws={
            key: Draw(
                noise=Noise.model_validate(draw["noise"]),
                counts=tuple(CountTable.model_validate(t) for t in draw["counts"]),
            )
            for key, draw in given["draws"].items()
        },
    )
