"""Noise on published counts: drawn once, budgeted per data, said, and as large as epsilon asks."""

from __future__ import annotations

import builtins
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checks.finding import Outcome
from model_cards.dossier import Assessment, Dossier
from model_cards.exports import exports, markdown
from sandbox import noise
from sandbox.errors import Refused
from sandbox.publishing import publish, publish_to
from sandbox.settings import Settings
from tests.make import releases
from tests.make.assessments import measured_by_all_checks
from tests.make.releases import Cells, counted

pytest.importorskip("opendp", reason="the extra `noise` is not installed")

LARGE: Cells = {(0, 0): 900, (0, 1): 400, (1, 0): 300, (1, 1): 800}
MIDDLE: Cells = {(0, 0): 450, (0, 1): 150, (1, 0): 200, (1, 1): 350}
SMALL: Cells = {(0, 0): 2, (0, 1): 0, (1, 0): 1, (1, 1): 1}
OTHER_SYSTEM: Cells = {(0, 0): 440, (0, 1): 160, (1, 0): 180, (1, 1): 370}


@pytest.fixture
def made() -> Assessment:
    return counted({"a": LARGE, "b": MIDDLE, "c": MIDDLE})


def rows_of(dossier: Dossier) -> list[object]:
    return [table.columns["rows"] for table in dossier.counts]


def test_the_same_package_twice_has_the_same_noise_and_spends_once(
    made: Assessment, settings: Settings, tmp_path: Path
) -> None:
    whole = releases.write(tmp_path / "whole", made)
    for name in ("one", "two"):
        publish_to(whole, tmp_path / name, settings, ("en",), epsilon=0.75)
    assert (tmp_path / "one" / "SHA256SUMS").read_bytes() == (tmp_path / "two" / "SHA256SUMS").read_bytes()
    said = json.loads((tmp_path / "two" / "publication.json").read_text())
    assert said["noise"]["spent"] == 0.75
    assert said["noise"]["tables"] == 2
    # A single export meets the same draw, in the other language too.
    single = publish(made, settings, 0.75)
    assert single.dossier.to_json() == (tmp_path / "one" / "dossier.json").read_bytes()


def test_the_figures_are_those_of_the_noisy_counts_and_not_of_the_true_ones(
    made: Assessment, settings: Settings
) -> None:
    left = publish(made, settings, 0.5).dossier
    table = next(t for t in left.counts if t.attribute == "origin")
    counts: dict[str, dict[object, int]] = {}
    for group, decision, rows in zip(*(table.columns[n] for n in ("group", "decision", "rows")), strict=True):
        mine = counts.setdefault(str(group), {})
        mine[decision] = mine.get(decision, 0) + int(rows or 0)
    finding = left.finding("fairness.selection_rate", "origin")
    true = made.dossier.finding("fairness.selection_rate", "origin")
    assert finding is not None
    assert true is not None
    for group in finding.groups:
        mine = counts[str(group.group["origin"])]
        rate = next(m for m in group.measures if m.name == "selection_rate")
        assert rate.value == pytest.approx(mine[1] / sum(mine.values()))
        assert rate.rows == sum(mine.values())
        assert "counts with noise" in rate.interval
    assert [m.value for m in finding.measures] != [m.value for m in true.measures]
    # The outcome is that of the true figures, and the finding says which is which.
    assert finding.outcome is true.outcome
    assert finding.reason is not None
    assert finding.reason.code == "noised"


def test_every_document_says_that_there_is_noise_and_how_much(made: Assessment, settings: Settings) -> None:
    left = publish(made, settings, 0.5)
    for lang, said in (("en", "Noise was added to every count"), ("nl", "is ruis toegevoegd")):
        card = markdown.render(left, lang).decode()
        assert said in card
        assert "ε = 0" in card
        for name in ("sarif", "cyclonedx", "algorithm_register", "system_card", "junit"):
            assert said in exports()[name].render(left, lang).decode()
    assert not [c for c in ("[card.", "[reasons.") if c in markdown.render(left, "nl").decode()]


def test_the_budget_is_spent_per_data_set_and_then_refused_with_what_was_spent(
    made: Assessment, settings: Settings
) -> None:
    publish(made, settings, 0.6)
    # Another system that decides about the same people: the labels are the same, the draw is another.
    later = counted({"a": LARGE, "b": OTHER_SYSTEM, "c": MIDDLE}, data_digest="bb" * 32)
    with pytest.raises(Refused, match=r"to 1\.2, beyond the 1 that the operator set"):
        publish(later, settings, 0.6)
    noisy = publish(later, settings, 0.4).dossier.publication
    assert noisy is not None
    assert noisy.noise is not None
    assert noisy.noise.spent == pytest.approx(1.0)
    with pytest.raises(Refused, match="beyond"):
        publish(later, settings, 0.01)
    # What was made before can be made again, and other data have a budget of their own.
    assert publish(made, settings, 0.6)
    assert publish(counted({"a": MIDDLE, "b": LARGE}, data_digest="cc" * 32), settings, 0.6)


def test_an_operator_can_allow_no_noise_at_all(made: Assessment, settings: Settings) -> None:
    with pytest.raises(Refused, match="NOISE_BUDGET"):
        publish(made, replace(settings, noise_budget=0.0), 0.1)
    assert Settings.from_environment({"AIACT_SANDBOX_NOISE_BUDGET": "2.5"}).noise_budget == 2.5
    with pytest.raises(ValueError, match="NOISE_BUDGET must be a number"):
        Settings.from_environment({"AIACT_SANDBOX_NOISE_BUDGET": "much"})


def test_exact_figures_never_leave_beside_noisy_ones(made: Assessment, settings: Settings, tmp_path: Path) -> None:
    publish(made, settings, 0.5)
    with pytest.raises(Refused, match="would show what the noise was"):
        publish(made, settings)
    other = replace(settings, state=tmp_path / "other")
    publish(made, other)
    with pytest.raises(Refused, match="would hide nothing"):
        publish(made, other, 0.5)


def test_what_is_suppressed_stays_suppressed_under_noise(settings: Settings) -> None:
    left = publish(counted({"a": LARGE, "b": MIDDLE, "c": SMALL}), settings, 0.5).dossier
    finding = left.finding("fairness.selection_rate", "origin")
    assert finding is not None
    assert [g.group["origin"] for g in finding.groups] == ["a"]
    assert finding.measures == ()
    assert not any("c" in t.columns["group"] for t in left.counts)


def test_findings_that_need_rows_keep_their_outcome_and_lose_their_figures(settings: Settings) -> None:
    measured = measured_by_all_checks(500)
    left = publish(measured, settings, 0.5)
    assert left.dossier.explanation is None
    public = [f for f in measured.dossier.findings if f.check != "fairness.group_thresholds"]
    assert [f.outcome for f in left.dossier.findings] == [f.outcome for f in public]
    importance = left.dossier.finding("explainability.feature_importance")
    assert importance is not None
    assert not [part for part in (importance.measures, importance.groups, importance.figures) if part]
    assert importance.reason is not None
    assert importance.reason.code == "withheld_under_noise"
    for finding in left.dossier.findings:
        assert finding.outcome is not Outcome.ERROR
        if finding.measures and finding.family in ("fairness", "accuracy", "data_governance"):
            exact = measured.dossier.finding(finding.check, finding.attribute)
            assert finding.reason is not None or finding == exact
    shown = {f.name.rpartition(".")[0] for f in left.figures}
    assert not {name for name in shown if name.startswith(("explainability", "robustness"))}


@pytest.mark.parametrize(
    ("declared", "said"),
    [({"weights": True}, "weighted"), ({"units": True}, "unit")],
)
def test_noise_that_would_not_hide_one_person_is_refused(
    made: Assessment, settings: Settings, declared: dict[str, bool], said: str
) -> None:
    dossier = made.dossier
    if "weights" in declared:
        heavy = [
            t.model_copy(
                update={"columns": {**t.columns, "weight": tuple(2.0 * float(n or 0) for n in t.columns["rows"])}}
            )
            for t in dossier.counts
        ]
        dossier = dossier.model_copy(update={"counts": tuple(heavy)})
    else:
        given = dossier.to_json().decode()
        stated: dict[str, Any] = json.loads(given)
        stated["declaration"]["data"]["columns"]["household"] = "unit"
        dossier = Dossier.from_json(json.dumps(stated).encode())
    with pytest.raises(Refused, match=said):
        publish(made.model_copy(update={"dossier": dossier}), settings, 0.5)


def test_without_counts_and_without_the_library_the_message_is_clear(
    made: Assessment, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = made.model_copy(update={"dossier": made.dossier.model_copy(update={"counts": ()})})
    with pytest.raises(Refused, match="holds none that leave"):
        publish(bare, settings, 0.5)
    usual = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("opendp"):
            raise ImportError(name)
        return usual(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Refused, match=r"aiact-sandbox\[noise\]"):
        publish(made, settings, 0.5)


def test_the_noise_is_as_large_as_epsilon_asks() -> None:
    # Of a discrete Laplace distribution with ratio r the mean absolute value is 2r / (1 - r²).
    draws = 20_000
    epsilon = 0.25
    differences = [n - 1000 for n in noise._laplace([1000] * draws, epsilon)]
    ratio = 2.718281828459045**-epsilon
    expected = 2 * ratio / (1 - ratio**2)
    assert statistics.fmean(map(abs, differences)) == pytest.approx(expected, rel=0.05)
    assert abs(statistics.fmean(differences)) < 5 * statistics.stdev(differences) / draws**0.5
    most = noise.within(epsilon)
    share = statistics.fmean(abs(d) <= most for d in differences)
    assert 0.94 < share < 0.98
    assert statistics.fmean(abs(d) < most for d in differences) < 0.955


def test_a_cell_that_nobody_is_in_gets_noise_too(settings: Settings, tmp_path: Path) -> None:
    # Else a count above 0 would show for certain that somebody is there.
    groups: dict[str, Cells] = {"a": {**LARGE, (0, 1): 0}, "b": {**MIDDLE, (0, 1): 0}}
    seen = set()
    for number in range(12):
        state = replace(settings, state=tmp_path / str(number))
        left = publish(counted(groups), state, 0.2).dossier
        table = next(t for t in left.counts if t.attribute == "")
        cells = zip(table.columns["label"], table.columns["decision"], table.columns["rows"], strict=True)
        seen |= {rows for label, decision, rows in cells if (label, decision) == (0, 1)}
    assert seen
