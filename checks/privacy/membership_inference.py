"""Whether the answers give away who was in the training data: a simple attack, measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from checks.counting import Codes, unit_codes
from checks.declaration import Output, Route, Task
from checks.evidence import Need, View, answers
from checks.finding import Figure, Measure, Measured, NotGathered, Reason, Rejudge, Result, Scalar
from checks.policy import Terms
from checks.registry import check
from checks.robustness._again import ANSWERS, first_answers
from checks.sealing import default_threshold
from checks.statistics import Floats, critical, gaps, wilson
from checks.telling import ranked

FALSE_ALARMS = (0.01, 0.05, 0.1, 0.25, 0.5)
"""Shares of rows that were not trained on and are taken for it, at which the figure says how many members are found."""

LEAST = 1e-12
"""Probability below which a loss no longer grows: an answer of exactly 0 would make it infinite."""


@check(
    gives=("auc", "advantage"),
    needs=(Need.LABELS, Need.TRAINING, answers("training_rows")),
    may_read=(*ANSWERS, Need.UNITS),
    routes=(Route.MODEL,),
    law=("GDPR 5(1)(f)", "GDPR 25(1)", "AIA 15(5)"),
    rejudge=Rejudge.EVIDENCE,
)
def membership_inference(evidence: View, terms: Terms) -> Result:
    """Try to tell training rows from others by how well the system fits their label.

    Args:
        evidence: answers and labels of a drawn sample of training rows, and of the evaluation rows that are not alike
            to any of them in all inputs. Of each person or household one row, drawn with the seed; no weights.
        terms: confidence, and the fewest rows on each side.

    Returns:
        `auc` (0 to 1; 0.5: members cannot be told, nearer is better; DeLong's interval): the chance that a training row
        fits better than another row. `advantage` (share, -1 to 1; 0 is better; Newcombe's interval): members found less
        false alarms, where whoever fits at least as well as the average training row is taken for one. Fit is the log
        loss of a probability, the distance of a score from the threshold, the absolute error of a number, or right
        against wrong.

    Law:
        GDPR 5(1)(f) and 25(1) ask for protection of the people in the data, AIA 15(5) names attacks on confidentiality.
        None names a number, and nothing is refused for it.

    References:
        Yeom, Giacomelli, Fredrikson and Jha (2018), IEEE CSF, for the attack and its threshold; DeLong and others
        (1988), Biometrics 44, for the interval of the AUC; Newcombe (1998), method 10, for a difference of shares.
    """
    first = first_answers(evidence)
    if first is None:
        return NotGathered(reason=Reason(code="no_first_answers"))
    asked, centre = evidence.answers("training_rows"), _centre(evidence, first[0])
    label = np.asarray(evidence.labels.to_numpy(zero_copy_only=False), dtype=np.float64)
    apart = (evidence.training.alike.sum(axis=1) == 0) & (evidence.training.known_unit <= 0)
    others = _one_of_each(_loss(evidence, first[0], label, centre), apart, unit_codes(evidence), evidence.seed)
    members = _loss(evidence, asked.values, asked.facts["label"], centre)
    members = members[~np.isnan(members)]
    params: dict[str, Scalar] = {
        "members": len(members),
        "others": len(others),
        "left_out": int(asked.facts["left_out"][0]),
    }
    if min(len(members), len(others)) < terms.minimum_rows:
        return NotGathered(reason=Reason(code="too_few_to_tell", params={**params, "least": terms.minimum_rows}))
    target = np.repeat([True, False], [len(members), len(others)])
    auc, low, high = ranked(target, -np.concatenate([members, others]), terms.confidence)
    # A mean of losses summed in another order may differ in its last digit from losses that all are equal to it.
    threshold = float(members.mean()) * (1 + 1e-9)
    z, rows = critical(terms.confidence), np.array([len(members), len(others)], dtype=np.float64)
    share = np.array([(members <= threshold).mean(), (others <= threshold).mean()])
    lower, upper = gaps(share, *wilson(share, rows, z))
    return Measured(
        measures=(
            Measure(
                name="auc",
                value=auc,
                low=low,
                high=high,
                rows=len(target),
                unit="ratio",
                definition="sklearn.metrics.roc_auc_score of the fit, training rows against others",
                interval="delong",
            ),
            Measure(
                name="advantage",
                value=float(share[0] - share[1]),
                low=float(lower[0, 1]),
                high=float(upper[0, 1]),
                rows=len(target),
                unit="share",
                definition="training rows less other rows with a loss of at most the mean loss of the training rows",
                interval="newcombe",
            ),
        ),
        figures=(_figure(members, others, z),),
        reason=Reason(code="told_apart", params=params),
    )


def _centre(evidence: View, values: NDArray[np.float64]) -> float:
    """Give the score that speaks for neither class: the threshold, or the middle of all scores where none is known."""
    threshold = default_threshold(evidence.declaration)
    if threshold is not None or np.isnan(values[:, 0]).all():
        return threshold or 0.0
    return float(np.nanmedian(values[:, 0]))


def _loss(evidence: View, values: NDArray[np.float64], label: Floats, centre: float) -> Floats:
    """Give how badly each answer fits its label, (n,); smaller fits better, NaN where one of them is absent."""
    data, model = evidence.declaration.data, evidence.declaration.model
    assert data is not None
    assert model is not None
    absent = np.isnan(label) | np.isnan(values).any(axis=1)
    code = np.where(absent, 0, label)
    if data.task is Task.REGRESSION:
        loss = np.abs(values[:, 0] - label)
    elif model.output in (Output.LABEL, Output.DECISION):
        loss = (values[:, 0] != label).astype(np.float64)
    elif data.task is Task.MULTICLASS:
        loss = -np.log(np.clip(values[np.arange(len(code)), code.astype(np.int64)], LEAST, 1.0))
    else:
        is_scored = code == data.classes.index(evidence.declaration.score_of or data.classes[0])
        if model.output is Output.PROBABILITY:
            loss = -np.log(np.clip(np.where(is_scored, values[:, 0], 1.0 - values[:, 0]), LEAST, 1.0))
        else:
            margin = values[:, 0] - centre
            loss = np.where(is_scored, -margin, margin)
    return np.where(absent, np.nan, loss)


def _one_of_each(loss: Floats, kept: NDArray[np.bool_], unit: Codes | None, seed: int) -> Floats:
    """Keep one known loss of each unit, drawn at random."""
    rows = np.flatnonzero(kept & ~np.isnan(loss))
    if unit is not None:
        rows = np.random.default_rng([seed, 0x3E3B]).permutation(rows)
        rows = rows[np.unique(unit[rows], return_index=True)[1]]
    return loss[rows]


def _figure(members: Floats, others: Floats, z: float) -> Figure:
    # The threshold is the loss that at most this share of the other rows stays at or below.
    found = []
    for share in FALSE_ALARMS:
        threshold = np.sort(others)[max(0, int(share * len(others)) - 1)]
        if (others <= threshold).mean() > share:
            found.append(float((members < threshold).mean()))
        else:
            found.append(float((members <= threshold).mean()))
    low, high = wilson(found, np.full(len(found), float(len(members))), z)
    return Figure(
        name="privacy.membership_inference",
        kind="bars",
        columns={
            "false_alarms": tuple(f"{share:.0%}" for share in FALSE_ALARMS),
            "value": tuple(found),
            "low": tuple(low.tolist()),
            "high": tuple(high.tolist()),
            "rows": tuple(len(members) for _ in found),
        },
        params={"measure": "members_found", "unit": "share", "label": "false_alarms"},
    )
