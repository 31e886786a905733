"""What must be true of every check, present and future; parametrised over the catalogue."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import io
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import checks
from checks.errors import EvidenceMissing, NeedNotDeclared
from checks.evidence import Evidence, Need
from checks.finding import Outcome, Reason, Rejudge, dumped
from checks.judge import Judged, judge
from checks.policy import Limit, load
from checks.registry import FAMILIES, Check, Scope, catalogue
from tests.make.evidence import by_predictions
from tests.make.variety import MADE, make

ROOT = Path(checks.__file__).parent
LOCALE = ROOT.parent / "model_cards" / "locale"
LANGUAGES = ("en", "nl")
POLICY = load("default")

every_check = pytest.mark.parametrize("check", catalogue(), ids=lambda c: c.code)
compares_groups = pytest.mark.parametrize(
    "check", [c for c in catalogue() if c.scope is not Scope.SYSTEM], ids=lambda c: c.code
)
judged_from_a_dossier = pytest.mark.parametrize(
    "check", [c for c in catalogue() if c.rejudge is Rejudge.DOSSIER], ids=lambda c: c.code
)
every_kind = pytest.mark.parametrize("kind", list(MADE))


@cache
def results(check: Check, kind: str) -> tuple[Judged, ...]:
    return judge(check, make(kind), POLICY)


def all_results(check: Check) -> list[tuple[str, Judged]]:
    return [(kind, given) for kind in MADE for given in results(check, kind)]


@cache
def words(language: str, family: str) -> Mapping[str, Any]:
    found = yaml.safe_load((LOCALE / language / "checks" / f"{family}.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@cache
def common_reasons(language: str) -> Mapping[str, Any]:
    found = yaml.safe_load((LOCALE / language / "reasons.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def words_of(check: Check, language: str) -> Mapping[str, Any]:
    family, _, name = check.code.partition(".")
    found = words(language, family).get(name)
    assert isinstance(found, dict), f"no words of {check.code} in {language}"
    return found


def reasons_of(given: Judged) -> list[Reason]:
    finding = given.finding
    measures = [*finding.measures, *(m for g in finding.groups for m in g.measures)]
    return [r for r in (finding.reason, *(m.reason for m in measures)) if r is not None]


# ---- identity


@every_check
def test_a_check_is_named_like_its_file_and_stands_in_its_family(check: Check) -> None:
    family, _, name = check.code.partition(".")
    assert family in FAMILIES
    assert (ROOT / family / f"{name}.py").is_file()
    assert check.run.__name__ == name


def test_every_file_of_a_family_is_one_check() -> None:
    files = {
        f"{family}.{path.stem}"
        for family in FAMILIES
        for path in (ROOT / family).glob("*.py")
        if not path.name.startswith("_")
    }
    assert files == {c.code for c in catalogue()}


@every_check
def test_a_check_declares_what_it_gives_needs_and_where_it_fits(check: Check) -> None:
    assert check.gives or check.code.startswith("documentation.")
    assert len(set(check.gives)) == len(check.gives)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in check.gives)
    for need in (*check.needs, *check.may_read):
        assert need.startswith("answers.") or Need(need)
    assert check.routes
    assert check.version >= 1


# ---- what is written about it


@every_check
def test_a_check_says_what_it_gives_which_law_it_serves_and_whose_definition_it_follows(check: Check) -> None:
    doc = inspect.getdoc(check.run) or ""
    first, _, rest = doc.partition("\n")
    assert first.endswith(".")
    assert "\n\nReturns:\n" in rest
    assert "\n\nLaw:\n" in rest
    assert "\n\nReferences:\n" in rest
    module = importlib.import_module(f"checks.{check.code}")
    assert (module.__doc__ or "").strip().split("\n")[0].endswith((".", ":"))


@every_check
def test_every_provision_is_written_the_same_way(check: Check) -> None:
    assert check.law
    for provision in check.law:
        assert re.fullmatch(r"[A-Z][A-Za-z]+ (Annex [IVX]+|(Annex [IVX]+ )?\d+[a-z]?(\([0-9a-z]+\))*)", provision), (
            provision
        )


@every_check
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_check_has_its_words_in_every_language(check: Check, language: str) -> None:
    given = words_of(check, language)
    for key in ("title", "says", "says_not"):
        assert isinstance(given[key], str)
        assert len(given[key].split()) >= 2 or key == "title"
    assert given["says"].endswith(".")
    assert given["says_not"].endswith(".")
    assert set(check.gives) <= set(given.get("measures", {})), "a measure without words"


@pytest.mark.parametrize("family", sorted({c.code.partition(".")[0] for c in catalogue()}))
def test_the_languages_have_the_same_keys_and_slots(family: str) -> None:

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shape(inner) for key, inner in value.items()}
        return sorted(set(re.findall(r"\{(\w+)\}", str(value))))

    assert shape(words("en", family)) == shape(words("nl", family))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_words_of_a_check_give_a_verdict(language: str) -> None:
    verdicts = {
        "en": r"\b(fair|unfair|safe|unsafe|passed|compliant|non-compliant)\b",
        "nl": r"\b(eerlijk|oneerlijk|veilig|onveilig|geslaagd|voldoet)\b",
    }
    for family in sorted({c.code.partition(".")[0] for c in catalogue()}):
        text = (LOCALE / language / "checks" / f"{family}.yaml").read_text(encoding="utf-8").lower()
        assert not re.findall(verdicts[language], text), family


# ---- what it does with evidence


@every_kind
@every_check
def test_no_evidence_makes_a_check_fail_by_our_fault(check: Check, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    given = judge(check, make(kind), POLICY)
    assert given
    assert [j.finding.outcome for j in given if j.finding.outcome is Outcome.ERROR] == [], caplog.text


@every_check
def test_a_check_gives_only_the_measures_it_declares_with_honest_bounds(check: Check) -> None:
    for kind, given in all_results(check):
        finding = given.finding
        names = [m.name for m in finding.measures]
        assert {n.partition("[")[0] for n in names} <= set(check.gives)
        assert len(set(names)) == len(names)
        for m in [*finding.measures, *(m for g in finding.groups for m in g.measures)]:
            assert (m.low is None) == (m.high is None), (kind, m)
            if m.value is None:
                assert m.reason is not None, f"{kind}: {m.name} has no value and no reason"
                assert m.low is None, f"{kind}: {m.name} has bounds and no value"
            elif m.low is not None and m.high is not None:
                assert m.low - 1e-9 <= m.value <= m.high + 1e-9, (kind, m)
                if m.interval == "exact":
                    assert m.low == m.value == m.high


@every_check
def test_every_reason_and_measure_shown_has_words_and_its_params(check: Check) -> None:
    for kind, given in all_results(check):
        finding = given.finding
        shown = {m.name.partition("[")[0] for g in finding.groups for m in g.measures}
        for language in LANGUAGES:
            own = words_of(check, language)
            assert shown <= set(own.get("measures", {})), (kind, language, shown)
            for reason in reasons_of(given):
                text = own.get("reasons", {}).get(reason.code) or common_reasons(language).get(reason.code)
                assert isinstance(text, str), (kind, language, reason.code)
                slots = set(re.findall(r"\{(\w+)\}", text))
                assert slots <= set(reason.params), (kind, language, reason, slots)


@every_check
def test_figures_are_named_after_the_check_and_have_columns_of_one_length(check: Check) -> None:
    for kind in MADE:
        names = [f.name for j in results(check, kind) for f in j.figures]
        assert len(set(names)) == len(names), kind
    for _, given in all_results(check):
        assert given.finding.figures == tuple(f.name for f in given.figures)
        for figure in given.figures:
            assert figure.name == check.code or figure.name.startswith(f"{check.code}.")
            assert re.fullmatch(r"[A-Za-z0-9_.-]+", figure.name)
            assert len({len(column) for column in figure.columns.values()}) <= 1


@every_check
def test_the_same_evidence_gives_the_same_finding(check: Check) -> None:
    def told(given: tuple[Judged, ...]) -> list[Any]:
        return [(dumped(j.finding), [dumped(f) for f in j.figures]) for j in given]

    for kind in MADE:
        assert told(judge(check, make(kind), POLICY)) == told(results(check, kind)), kind


@judged_from_a_dossier
def test_what_can_be_judged_again_from_a_dossier_gives_the_same_without_rows(check: Check) -> None:
    for kind in MADE:
        full = make(kind)
        bare = replace(full, rows=None, asked={})
        for again, first in zip(judge(check, bare, POLICY), results(check, kind), strict=True):
            if full.rows is not None and "unit" in full.rows.column_names:
                # Which rows go together is not kept in the dossier: less can be said, and never more.
                assert again.finding.outcome is not Outcome.PASS or check.code == "fairness.protected_input"
            elif check.code == "data_governance.representation" and full.rows is not None and not full.cells:
                assert again.finding.outcome is Outcome.NOT_GATHERED
                assert again.finding.reason == Reason(code="evidence_erased")
            else:
                assert dumped(again.finding) == dumped(first.finding), kind


@every_check
def test_a_check_opens_no_file_no_socket_and_reads_no_clock(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("model, two classes", "model, three classes", "model, a number", "predictions", "counts", "documents")
    expected = {kind: results(check, kind) for kind in kinds}

    def closed(*args: object, **kwargs: object) -> Any:
        raise AssertionError(f"a check reached outside: {args[:1]}")

    for module, names in (
        (builtins, ("open",)),
        (io, ("open",)),
        (os, ("open", "urandom", "system")),
        (socket, ("socket", "create_connection", "getaddrinfo")),
        (time, ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, closed)
    given = {kind: judge(check, make(kind), POLICY) for kind in kinds}
    monkeypatch.undo()
    for kind in kinds:
        assert [dumped(j.finding) for j in given[kind]] == [dumped(j.finding) for j in expected[kind]]


@every_check
def test_a_check_draws_nothing_from_the_shared_random_state(check: Check) -> None:
    state = np.random.get_state()[1]  # the shared state is what is watched
    before = np.array(state, copy=True)
    for kind in ("model, two classes", "predictions"):
        judge(check, make(kind), POLICY)
    assert np.array_equal(before, np.random.get_state()[1])  # as above


@every_check
def test_what_a_check_did_not_declare_it_cannot_read(check: Check) -> None:
    declared = {*check.needs, *check.may_read}
    view = make("model, two classes").only(declared)
    readers = {
        Need.FEATURES: lambda: view.features,
        Need.GROUPS: lambda: view.groups,
        Need.LABELS: lambda: view.labels,
        Need.WEIGHTS: lambda: view.weights,
        Need.DECISIONS: lambda: view.decisions,
        Need.SCORES: lambda: view.scores,
        Need.PROBABILITIES: lambda: view.probabilities,
        Need.VALUES: lambda: view.values,
        Need.UNITS: lambda: view.units,
        Need.CELLS: lambda: view.cells(),
        Need.MOMENTS: lambda: view.moments(),
        Need.DOCUMENTS: lambda: view.documents,
        Need.SCAN: lambda: view.scan,
        Need.MODEL_FAULT: lambda: view.model_fault,
        Need.CLAIMS: lambda: view.claims,
        Need.POPULATION: lambda: view.population,
        Need.TRAINING: lambda: view.training,
    }
    undeclared = [need for need in readers if need not in declared]
    for need in undeclared:
        with pytest.raises(NeedNotDeclared):
            readers[need]()
    with pytest.raises(NeedNotDeclared):
        view.answers("a_probe_of_no_check")


@every_check
def test_a_check_reads_every_fact_that_it_says_it_needs(check: Check) -> None:
    """A check that runs unchanged with one needed fact less does not need that fact."""
    for kind in ("model, two classes", "model, a number", "predictions"):
        evidence = make(kind)
        attribute = {Scope.ATTRIBUTE: ("sex",), Scope.CROSSING: ("sex × race",), Scope.SYSTEM: ()}[check.scope]
        for need in check.needs:
            if judge(check, evidence, POLICY)[0].finding.outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_GATHERED):
                continue
            view = evidence.only({*check.needs, *check.may_read} - {need})
            with pytest.raises((NeedNotDeclared, EvidenceMissing)):
                check.run(view, *attribute, POLICY.terms)


@compares_groups
def test_another_attribute_changes_nothing_of_the_first(check: Check) -> None:
    rng = np.random.default_rng(4)
    n = 400
    one = {"sex": rng.choice(["F", "M", "X"], n)}
    if check.scope is Scope.CROSSING:
        one["region"] = rng.choice(["north", "south"], n)
    more = {**one, "race": rng.choice(list("abcdefgh"), n), "age": rng.choice(["<25", ">=25"], n)}

    def first(groups: Mapping[str, Any], task: str) -> Any:
        r = np.random.default_rng(5)
        numbers = task == "regression"
        label = r.normal(0, 1, n) if numbers else r.integers(0, 2, n)
        decision = label + r.normal(0, 1, n) if numbers else r.integers(0, 2, n)
        evidence: Evidence = by_predictions(
            groups=groups, decision=decision, label=label, task=task, favourable=None if numbers else "yes"
        )
        return [
            dumped(j.finding)
            for j in judge(check, evidence, POLICY)
            if j.finding.attribute in ("sex", "sex × region", None)
        ]

    for task in ("binary", "regression"):
        assert first(one, task) == first(more, task)


LABELS = {Need.LABELS, Need.CELLS, Need.MOMENTS}
"""Facts that a check can read labels from."""

reads_labels = pytest.mark.parametrize(
    "check", [c for c in catalogue() if LABELS & {*c.needs, *c.may_read}], ids=lambda c: c.code
)
UNLABELLED = ("fairness.selection_rate", "fairness.intersections", "fairness.protected_input")
"""Checks that read counts and leave the labels in them alone."""


@reads_labels
@pytest.mark.parametrize("sampling", ["accepted_only", "flagged_only", "other"])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_what_describes_some_people_only_is_never_within_its_limit(check: Check, sampling: str, task: str) -> None:
    """Whatever limit is set, and however far the measure lies within it; but what does not hang on labels may be."""
    numbers = task == "regression"

    def found(among: str) -> list[Judged]:
        rng = np.random.default_rng(4)
        n = 400
        label = rng.normal(0, 1, n) if numbers else rng.integers(0, 2, n)
        decision = label + rng.normal(0, 0.1, n) if numbers else label
        evidence = by_predictions(
            groups={"sex": rng.choice(["F", "M"], n), "region": rng.choice(["north", "south"], n)},
            decision=decision,
            label=label,
            score=None if numbers else np.clip(0.8 * decision + 0.1, 0, 1),
            features={"x": rng.normal(0, 1, n)},
            task=task,
            favourable=None if numbers else "yes",
            data={"sampling": among},
            claims={"accuracy": 0.5, "mae": 9.0},
        )
        anything = Limit(at_least=-1e9, at_most=1e9, source="test", why="test")
        limits = {f"{check.code}.{name}": anything for name in check.gives}
        return list(judge(check, evidence, POLICY.model_copy(update={"limits": limits})))

    for given, plain in zip(found(sampling), found("all"), strict=True):
        if given.finding.outcome is Outcome.PASS:
            # Then nothing of it hangs on labels: it is the same without any.
            assert check.code in UNLABELLED or not _hangs_on_labels(check, plain), check.code
        elif given.finding.outcome is Outcome.INCONCLUSIVE and plain.finding.outcome is Outcome.PASS:
            assert given.finding.reason is not None
            assert given.finding.reason.code == f"labels_{sampling}"


def _hangs_on_labels(check: Check, given: Judged) -> bool:
    """Tell whether a finding is another one where the labels are shuffled."""
    rng = np.random.default_rng(4)
    n = 400
    label = rng.integers(0, 2, n)
    groups = {"sex": rng.choice(["F", "M"], n), "region": rng.choice(["north", "south"], n)}
    two = [
        by_predictions(
            groups=groups,
            decision=label,
            label=shown,
            score=np.clip(0.8 * label + 0.1, 0, 1),
            features={"x": np.linspace(0, 1, n)},
        )
        for shown in (label, rng.integers(0, 2, n))
    ]
    first, second = ([m.value for j in judge(check, e, POLICY) for m in j.finding.measures] for e in two)
    return first != second


# ---- what its source may not hold


@every_check
def test_the_source_of_a_check_catches_no_bare_exception_and_asks_for_no_date(check: Check) -> None:
    family, _, name = check.code.partition(".")
    for path in [ROOT / family / f"{name}.py", *(ROOT / family).glob("_[a-z]*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{path.name}: a bare except"
                assert "Exception" not in ast.unparse(node.type).split("."), f"{path.name}: except Exception"
            if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today"):
                pytest.fail(f"{path.name} asks for the date: {ast.unparse(node)}")
