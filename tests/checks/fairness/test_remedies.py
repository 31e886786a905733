"""What could be done about a difference: group-blind first, thresholds per group as a calculation only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator

import model_cards
from checks.evidence import Evidence
from checks.finding import Outcome
from checks.registry import catalogue
from tests.make.evidence import by_counts, by_predictions
from tests.make.judged import finding, group, of_group


def scored(n: int = 4000, **more: object) -> tuple[Evidence, dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    sex = rng.choice(["F", "M"], n)
    score = np.clip(rng.beta(2, 2, n) - 0.15 * (sex == "F"), 0.001, 0.999)
    label = (rng.random(n) < score).astype(int)
    decision = (score >= 0.5).astype(int)
    evidence = by_predictions(groups={"sex": sex}, decision=decision, label=label, score=score, **more)
    return evidence, {"sex": sex, "score": score, "label": label}


def test_the_gap_at_the_threshold_used_now_is_that_of_the_selection_rate() -> None:
    evidence, _ = scored()
    now = finding("fairness.remedies", evidence).measure("difference_now")
    rate = finding("fairness.selection_rate", evidence).measure("difference")
    assert now.value == pytest.approx(rate.value)


def test_each_threshold_tried_is_worked_out_as_by_hand() -> None:
    evidence, given = scored()
    found = finding("fairness.remedies", evidence)
    assert len(found.groups) == 11
    (now,) = [g for g in found.groups if g.group["threshold"] == "0.5"]
    for entry in (now, *found.groups[:2]):
        measures = {m.name: m.value for m in entry.measures}
        cut = float(entry.group["threshold"])
        chosen = given["score"] >= cut
        assert measures["chosen"] == pytest.approx(chosen.mean(), abs=2e-3)
        assert measures["accuracy"] == pytest.approx((chosen == given["label"]).mean(), abs=2e-3)
        shares = [chosen[given["sex"] == name].mean() for name in "FM"]
        assert measures["difference"] == pytest.approx(abs(shares[0] - shares[1]), abs=4e-3)


def test_the_threshold_named_is_about_as_accurate_and_choosing_everyone_is_not_it() -> None:
    evidence, _ = scored()
    found = finding("fairness.remedies", evidence)
    now, best = (found.measure(n).value for n in ("difference_now", "smallest_difference"))
    assert best <= now
    (named,) = [g for g in found.groups if float(g.group["threshold"]) == found.reason.params["best"]]
    (used,) = [g for g in found.groups if g.group["threshold"] == "0.5"]
    accuracy = [next(m.value for m in g.measures if m.name == "accuracy") for g in (named, used)]
    assert accuracy[0] >= accuracy[1] - 0.01


def test_where_a_high_score_is_bad_for_a_person_the_threshold_is_turned() -> None:
    rng = np.random.default_rng(2)
    sex, risk = rng.choice(["F", "M"], 1000), rng.random(1000).round(2)
    flagged = (risk >= 0.5).astype(int)
    # The score is of class `yes`, the good outcome is `no`.
    evidence = by_predictions(groups={"sex": sex}, decision=flagged, label=flagged, score=risk, favourable="no")
    found = finding("fairness.remedies", evidence)
    (used,) = [g for g in found.groups if g.group["threshold"] == "0.5"]
    assert next(m.value for m in used.measures if m.name == "chosen") == pytest.approx((risk < 0.5).mean())
    assert next(m.value for m in used.measures if m.name == "accuracy") == 1.0


def test_thresholds_per_group_choose_each_group_as_often_as_everyone_is_now() -> None:
    evidence, given = scored()
    found = finding("fairness.group_thresholds", evidence)
    wanted = (given["score"] >= 0.5).mean()
    for name in "FM":
        assert of_group(found, name, "chosen_then").value == pytest.approx(wanted, abs=1e-3)
        cut = of_group(found, name, "threshold").value
        mine = given["score"][given["sex"] == name]
        assert (mine >= cut).mean() == pytest.approx(wanted, abs=1e-3)
    assert found.measure("difference_left").value < 2e-3
    assert found.measure("thresholds").value == 2
    assert found.outcome is Outcome.MEASURED


def test_the_accuracy_of_thresholds_per_group_does_not_beat_fairlearns_best_by_more_than_rounding() -> None:
    evidence, given = scored()
    found = finding("fairness.group_thresholds", evidence)

    class Same(BaseEstimator):
        def fit(self, *_: object) -> Same:
            return self

        def predict(self, x: np.ndarray) -> np.ndarray:
            return np.asarray(x)[:, 0]

    same = Same()
    same.fitted_ = True
    x = given["score"].reshape(-1, 1)
    best = ThresholdOptimizer(
        estimator=same, constraints="demographic_parity", prefit=True, predict_method="predict", grid_size=200
    )
    best.fit(x, given["label"], sensitive_features=given["sex"])
    theirs = best.predict(x, sensitive_features=given["sex"], random_state=0)
    shares = [theirs[given["sex"] == name].mean() for name in "FM"]
    assert abs(shares[0] - shares[1]) < 0.03
    now = ((given["score"] >= 0.5).astype(int) == given["label"]).mean()
    mine = now + found.measure("accuracy_change").value
    assert mine <= (theirs == given["label"]).mean() + 0.02


def test_a_group_that_is_too_small_gets_no_threshold_of_its_own() -> None:
    rng = np.random.default_rng(3)
    sex = np.array(["F"] * 400 + ["M"] * 400 + ["X"] * 9)
    score = rng.random(809)
    evidence = by_predictions(groups={"sex": sex}, decision=(score >= 0.5).astype(int), score=score)
    found = finding("fairness.group_thresholds", evidence)
    assert group(found, "X").too_small
    assert of_group(found, "X", "threshold").value == pytest.approx(0.5)
    assert found.measure("accuracy_change") is None


def test_thresholds_per_group_stand_under_the_agreed_words_and_never_in_public() -> None:
    words = "Calculation only. Applying different thresholds by group treats people differently on a protected ground; "
    words += "get legal advice first."
    path = Path(model_cards.__file__).parent / "locale" / "en" / "checks" / "fairness.yaml"
    own = yaml.safe_load(path.read_text(encoding="utf-8"))["group_thresholds"]
    assert own["says"] == words
    assert [c.code for c in catalogue() if not c.public] == ["fairness.group_thresholds"]


def test_reweighing_gives_the_weights_of_kamiran_and_calders() -> None:
    evidence = by_counts([("F", 1, 1, 30), ("F", 0, 0, 70), ("M", 1, 1, 60), ("M", 0, 1, 40), ("M", None, 1, 9)])
    found = finding("fairness.reweighing", evidence)
    assert of_group(found, "F", "weight[yes]").value == pytest.approx(100 * 90 / 200 / 30)
    assert of_group(found, "F", "weight[no]").value == pytest.approx(100 * 110 / 200 / 70)
    assert of_group(found, "M", "weight[yes]").value == pytest.approx(100 * 90 / 200 / 60)
    assert found.measure("largest_weight").value == pytest.approx(1.5)
    assert found.measure("smallest_weight").value == pytest.approx(0.75)


def test_two_questions_stay_open_until_a_person_answers_and_the_first_is_measured() -> None:
    rows = [("F", 1, 1, 300), ("F", 1, 0, 700), ("M", 1, 1, 600), ("M", 1, 0, 400)]
    found = finding("fairness.justification", by_counts(rows))
    assert found.outcome is Outcome.NOT_GATHERED
    assert found.reason.code == "both_open"
    assert {i.id: i.state for i in found.items} == {"difference": "seen", "justified": "open", "desirable": "open"}
    assert found.items[0].params["difference"] == pytest.approx(0.3)
    half = {"differences": {"sex": {"justified": "Only by income, which the law asks for.", "desirable": " "}}}
    partly = finding("fairness.justification", by_counts(rows, publication=half))
    assert partly.outcome is Outcome.NOT_GATHERED
    assert partly.reason.code == "desirable_open"
    whole = {"differences": {"sex": {**half["differences"]["sex"], "desirable": "No; see the plan."}}}
    answered = finding("fairness.justification", by_counts(rows, publication=whole))
    assert answered.outcome is Outcome.MEASURED
    assert answered.measure("answered").value == 2
    assert answered.items[2].params["name"] == "No; see the plan."


@pytest.mark.parametrize(
    "stated", [None, [], "x", {"sex": "yes"}, {"sex": {"justified": 3}}, {"race": {"justified": "x"}}]
)
def test_an_answer_of_another_form_is_no_answer(stated: object) -> None:
    evidence = by_counts([("F", 1, 1, 300), ("M", 1, 0, 300)], publication={"differences": stated})
    assert finding("fairness.justification", evidence).reason.code == "both_open"


def test_a_difference_that_cannot_be_told_from_none_is_not_called_none() -> None:
    found = finding(
        "fairness.justification", by_counts([("F", 1, 1, 50), ("F", 1, 0, 50), ("M", 1, 1, 48), ("M", 1, 0, 52)])
    )
    assert found.items[0].state == "not_seen"


def test_a_public_package_holds_no_thresholds_per_group() -> None:
    import datetime as dt

    from checks.ai_act import rules as law
    from checks.ai_act.classify import classify
    from checks.judge import judge
    from checks.policy import load
    from model_cards import public
    from model_cards.dossier import Assessment, compose

    evidence, _ = scored()
    named = ("fairness.group_thresholds", "fairness.selection_rate", "fairness.remedies")
    judged = [j for c in catalogue() if c.code in named for j in judge(c, evidence, load("default"))]
    risk = classify(evidence.declaration, law.load(), as_of=dt.date(2026, 11, 1))
    dossier, figures = compose(evidence, judged, risk, load("default"), files={}, versions={})
    whole = Assessment(dossier=dossier, figures=figures)
    assert dossier.finding("fairness.group_thresholds", "sex") is not None
    left = public.reduce(whole, public.depths_alone(dossier, 10), 10).assessment
    assert left.dossier.finding("fairness.selection_rate", "sex") is not None
    assert "group_thresholds" not in left.dossier.to_json().decode()
