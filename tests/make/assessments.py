"""Builders of whole assessments: what documents are made from, without running a model."""

from __future__ import annotations

import datetime as dt
from typing import Any

from checks.ai_act.risk import Duty, OtherLaw, PathStep, Risk, Route
from checks.declaration import Declaration
from checks.finding import (
    AppliedLimit,
    Figure,
    Finding,
    GroupMeasures,
    Item,
    LawRef,
    Measure,
    Outcome,
    Reason,
    Rejudge,
)
from model_cards.dossier import (
    Assessment,
    AttemptFacts,
    CountTable,
    Dossier,
    Explanation,
    GlobalImportance,
    PolicyFacts,
    ReceiptFacts,
    Run,
    SubmissionFacts,
)

AS_OF = dt.date(2026, 11, 24)

CREDIT_ANSWERS = {
    "exclusion": ("none",),
    "areas": ("credit",),
}


def declaration(
    *,
    route: str = "model",
    name: str = "Income estimate",
    purpose: str = "Estimates whether a household income lies above a threshold, to order files for review.",
    attribute: str = "sex",
    provider: str = "Example BV",
    document: str = "technical_documentation.md",
    answers: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    **system: Any,
) -> Declaration:
    """Make a declaration of the given route."""
    given: dict[str, Any] = {
        "system": {
            "name": name,
            "version": "1.2",
            "provider": {"name": provider, "contact": "ai@example.org", "country": "NL", "size": "small"},
            "roles": ["provider", "deployer"],
            "intended_purpose": purpose,
            "licence": "EUPL-1.2",
            **system,
        },
        "answers": CREDIT_ANSWERS if answers is None else answers,
        "documents": [document],
        "limits": limits or {},
    }
    if route != "documents":
        given["data"] = {
            "file": "test.parquet" if route != "counts" else None,
            "task": "binary",
            "classes": ["<=50K", ">50K"],
            "favourable": ">50K",
            "threshold": 0.5,
            "columns": {attribute: "group", "income": "label"},
        }
    if route == "model":
        given["model"] = {"file": "model.skops", "output": "probability", "score_of": ">50K"}
    if route == "predictions":
        given["predictions"] = {"file": "predictions.csv", "decision": "yhat"}
    if route == "counts":
        given["counts"] = {"file": "counts.csv"}
    return Declaration.model_validate(given)


def measure(
    name: str, value: float | None, low: float | None = None, high: float | None = None, **more: Any
) -> Measure:
    """Make a measure; a share of 16,281 rows unless said otherwise."""
    given = {"rows": 16281, "unit": "share", "interval": "newcombe", **more}
    return Measure(name=name, value=value, low=low, high=high, **given)


def selection_rate(
    attribute: str = "sex", groups: tuple[str | None, ...] = ("Female", "Male", None)
) -> tuple[Finding, Figure]:
    """Make a finding beyond its limit, with groups, a figure and both kinds of limit."""
    rates = [(0.1095, 0.1014, 0.1181), (0.3040, 0.2954, 0.3127), (None, None, None)][: len(groups)]
    rows = [5421, 10860, 12][: len(groups)]
    figure = Figure(
        name="fairness.selection_rate.sex",
        kind="group_rates",
        columns={
            "group": groups,
            "rows": tuple(rows),
            "value": tuple(r[0] for r in rates),
            "low": tuple(r[1] for r in rates),
            "high": tuple(r[2] for r in rates),
            "too_small": tuple(n < 30 for n in rows),
        },
        params={"attribute": attribute, "measure": "selection_rate", "unit": "share"},
    )
    finding = Finding(
        check="fairness.selection_rate",
        outcome=Outcome.FAIL,
        attribute=attribute,
        limit={
            "difference": AppliedLimit(
                at_most=0.1, origin="policy", source="screening convention", why="A gap worth a look.", outcome="fail"
            ),
            "ratio": AppliedLimit(at_least=0.8, origin="provider", source="provider", why="Ours.", outcome="fail"),
        },
        rejudge=Rejudge.DOSSIER,
        law=(
            LawRef(provision="AIA 10(2)(f)", applies="yes", applies_from="2027-12-02"),
            LawRef(provision="AIA Annex IV 2(g)"),
        ),
        measures=(
            measure(
                "difference",
                0.1945,
                0.1826,
                0.2063,
                unadjusted=(0.1830, 0.2059),
                definition="fairlearn.metrics.demographic_parity_difference",
            ),
            measure("ratio", 0.3602, 0.332, 0.39, unit="ratio"),
            measure("adverse_ratio", None, unit="ratio", reason=Reason(code="denominator_zero")),
        ),
        groups=tuple(
            GroupMeasures(
                group={attribute: group},
                rows=n,
                too_small=n < 30,
                measures=(
                    Measure(
                        name="selection_rate",
                        value=rate[0],
                        low=rate[1],
                        high=rate[2],
                        rows=n,
                        unit="share",
                        reason=None if rate[0] is not None else Reason(code="denominator_zero"),
                    ),
                ),
            )
            for group, n, rate in zip(groups, rows, rates, strict=True)
        ),
        figures=(figure.name,),
    )
    return finding, figure


def importance(
    features: tuple[str, ...] = ("age", "education", "hours-per-week"),
) -> tuple[tuple[Finding, ...], tuple[Figure, ...]]:
    """Make the findings and figures of an explanation."""
    weights = (0.12, 0.08, 0.031)
    bars = Figure(
        name="explainability.feature_importance.importance",
        kind="importance",
        columns={
            "feature": features,
            "mean_abs": weights,
            "low": (0.11, 0.07, 0.02),
            "high": (0.13, 0.09, 0.042),
        },
        params={"unit": "share", "kind": "probability", "of": ">50K"},
    )
    finding = Finding(
        check="explainability.feature_importance",
        outcome=Outcome.MEASURED,
        rejudge=Rejudge.EVIDENCE,
        measures=(measure("additivity_error", 1e-9, 1e-9, 1e-9, interval="exact"),),
        groups=tuple(
            GroupMeasures(group={"feature": f}, rows=200, measures=(measure("mean_abs", w, w - 0.01, w + 0.01),))
            for f, w in zip(features, weights, strict=True)
        ),
        figures=(bars.name,),
    )
    decision = Figure(
        name="explainability.single_decisions.1",
        kind="decision",
        columns={
            "feature": features,
            "value": ("52", "Masters", "38.0"),
            "contribution": (0.31, 0.12, -0.04),
            "error": (0.0, 0.0, 0.0),
        },
        params={
            "rule": "highest",
            "unit": "share",
            "kind": "probability",
            "of": ">50K",
            "base_value": 0.24,
            "output": 0.63,
        },
        row_level=True,
    )
    single = Finding(
        check="explainability.single_decisions",
        outcome=Outcome.MEASURED,
        rejudge=Rejudge.EVIDENCE,
        measures=(measure("decisions_shown", 1.0, 1.0, 1.0, rows=200, unit="count", interval="exact"),),
        items=(Item(id="decision.highest", state="shown", params={"number": 1, "figure": decision.name}),),
        figures=(decision.name,),
    )
    return (finding, single), (bars, decision)


def documentation(document: str = "technical_documentation.md") -> Finding:
    """Make a finding on documents, with one item in each state."""
    return Finding(
        check="documentation.annex_iv",
        outcome=Outcome.MEASURED,
        rejudge=Rejudge.EVIDENCE,
        measures=tuple(
            measure(state, 1.0, 1.0, 1.0, unit="count", rows=4, interval="exact")
            for state in ("found", "short", "placeholder", "not_found")
        ),
        items=(
            Item(
                id="annex_iv.1a",
                state="found",
                params={"document": document, "heading": "Purpose", "passage": "The system orders files for review."},
            ),
            Item(
                id="annex_iv.2b", state="short", params={"document": document, "heading": "Design", "passage": "Trees."}
            ),
            Item(id="annex_iv.2g", state="placeholder", params={"document": document, "passage": "To be completed."}),
            Item(id="annex_iv.9", state="not_found"),
        ),
    )


def without_result() -> tuple[Finding, ...]:
    """Make one finding of each outcome that comes without figures."""
    return (
        Finding(
            check="accuracy.overall",
            outcome=Outcome.NOT_GATHERED,
            reason=Reason(code="no_labels", params={"need": "labels"}),
            rejudge=Rejudge.DOSSIER,
            limit={"accuracy": AppliedLimit(at_least=0.8, origin="provider", why="Ours.", outcome="inconclusive")},
        ),
        Finding(
            check="fairness.regression_error",
            outcome=Outcome.NOT_APPLICABLE,
            reason=Reason(code="task", params={"task": "binary"}),
            rejudge=Rejudge.DOSSIER,
        ),
        Finding(
            check="robustness.repeated_answers",
            outcome=Outcome.ERROR,
            reason=Reason(code="our_error", params={"incident": "4f2a91c07b3d"}),
            incident="4f2a91c07b3d",
            rejudge=Rejudge.EVIDENCE,
        ),
    )


def undecided(attribute: str = "race") -> Finding:
    """Make a finding that its rows do not decide."""
    return Finding(
        check="fairness.equal_opportunity",
        outcome=Outcome.INCONCLUSIVE,
        attribute=attribute,
        limit={
            "difference": AppliedLimit(
                at_most=0.1, origin="policy", source="screening convention", outcome="inconclusive"
            )
        },
        rejudge=Rejudge.DOSSIER,
        measures=(measure("difference", 0.08, 0.02, 0.15, rows=310),),
    )


def within() -> Finding:
    """Make a finding within its limit."""
    return Finding(
        check="accuracy.overall",
        outcome=Outcome.PASS,
        limit={"accuracy": AppliedLimit(at_least=0.8, origin="policy", source="screening convention", outcome="pass")},
        rejudge=Rejudge.DOSSIER,
        measures=(measure("accuracy", 0.861, 0.856, 0.866, interval="wilson"),),
    )


def receipt() -> ReceiptFacts:
    """Make the receipt of a run in which the walls held."""
    return ReceiptFacts(
        backend="bubblewrap",
        runtime="bwrap 0.8.0",
        image="host /usr and the cell's own packages",
        profile_digest="9f" * 32,
        user="65533",
        memory_limit_by="cgroup",
        limits={"memory_bytes": 2147483648, "processes": 64, "cpu_seconds": 600, "wall_seconds": 900},
        probes=(
            AttemptFacts(probe="network_inet", expected="no network", observed="ENETUNREACH", held=True),
            AttemptFacts(probe="core_pattern", expected="not writable", observed="EROFS", held=True),
        ),
        ending="finished",
        seconds=4.21,
        cpu_seconds=3.9,
        peak_bytes=311000000,
        bytes_in=1830000,
        bytes_out=130248,
        rows_asked=48000,
        joules=187.2,
        cpu_seconds_per_1000_predictions=0.08125,
        joules_per_1000_predictions=3.9,
    )


LATER, FIRST_SET = dt.date(2027, 12, 2), dt.date(2026, 8, 2)


def high_risk() -> Risk:
    """Make the risk part of a system for creditworthiness: one date that moved, one contested, one past."""

    def duty(name: str, provision: str, role: str = "provider", **more: Any) -> Duty:
        given = {
            "applies_from": LATER,
            "applies_from_original": FIRST_SET,
            "contested": False,
            "status": "none",
            **more,
        }
        return Duty(id=name, provision=provision, role=role, **given)

    return Risk(
        risk_class="high_risk_annex_iii",
        routes=(
            Route(
                rule="high_5b",
                risk_class="high_risk_annex_iii",
                provision="AIA Annex III 5(b)",
                applies_from=LATER,
                applies_from_original=FIRST_SET,
                contested=False,
                basis="text",
                counts=True,
            ),
        ),
        overlays=("public_authority_deployer",),
        possible=(),
        undecided_by=(),
        path=(
            PathStep(question="exclusion", answer="none", provision="AIA 2", confidence="primary"),
            PathStep(question="areas", answer="credit", provision="AIA Annex III 5(b)", confidence="primary"),
        ),
        other_law=(
            OtherLaw(
                id="gdpr_22",
                provision="GDPR 22, 15(1)(h)",
                applies_from=dt.date(2018, 5, 25),
                confidence="background",
                verified_on=AS_OF,
                source_url="https://eur-lex.europa.eu/legal-content/EN/TXT/?uri=CELEX:32016R0679",
            ),
        ),
        duties=(
            duty(
                "provider_4",
                "AIA 4",
                applies_from=dt.date(2025, 2, 2),
                applies_from_original=dt.date(2025, 2, 2),
            ),
            duty("provider_10", "AIA 10", evidence=("fairness.selection_rate",), status="partial"),
            duty("provider_47", "AIA 47", contested=True, applies_from_other_reading=FIRST_SET, status="not_yet_due"),
            duty("deployer_27", "AIA 27", "deployer"),
        ),
        rules_version="02024R1689-20260727",
        as_of=AS_OF,
    )


def undetermined() -> Risk:
    """Make the risk part of a system whose answers do not decide the class."""
    return Risk(
        risk_class="undetermined",
        routes=(),
        overlays=(),
        possible=("high_risk_annex_iii", "minimal"),
        undecided_by=("areas", "practices"),
        path=(PathStep(question="areas", answer="unknown", provision="AIA Annex III", confidence="primary"),),
        other_law=(),
        duties=(),
        rules_version="02024R1689-20260727",
        as_of=AS_OF,
    )


def assessment(
    *,
    route: str = "model",
    findings: tuple[Finding, ...] | None = None,
    figures: tuple[Figure, ...] | None = None,
    stated: Declaration | None = None,
    run: bool = True,
    model_fault: dict[str, Any] | None = None,
    attested_by: str = "provider_machine",
    hostile: str = "",
    risk: Risk | None = None,
) -> Assessment:
    """Make an assessment of the given route.

    Args:
        findings, figures: in place of the usual ones.
        stated: in place of the usual declaration.
        run: whether the run's record is at hand.
        hostile: a text put wherever a provider's own text can come: system, purpose, provider, document, attribute,
            group, feature, passage, reason of a limit, version, incident-free reasons and file names.
    """
    plain = {"attribute": "sex", "groups": ("Female", "Male", None), "features": ("age", "education", "hours-per-week")}
    if hostile:
        plain = {
            "attribute": f"sex {hostile}",
            "groups": (f"Female {hostile}", "Male", None),
            "features": (f"age {hostile}", "education", "hours-per-week"),
        }
    attribute, groups, features = str(plain["attribute"]), plain["groups"], plain["features"]
    said = stated or (
        declaration(
            route=route,
            attribute=attribute[:200].strip(),
            **(
                {"name": f"Name {hostile}", "purpose": f"Purpose {hostile}", "provider": f"Provider {hostile}"}
                if hostile
                else {}
            ),
        )
    )
    if findings is None:
        rate, rate_figure = selection_rate(attribute, groups)  # type: ignore[arg-type]
        weight, weight_figures = importance(features)  # type: ignore[arg-type]
        documents = documentation(f"doc {hostile}.md" if hostile else "technical_documentation.md")
        if hostile:
            item = documents.items[0]
            quoting = item.model_copy(update={"params": {**item.params, "passage": f"Passage {hostile}"}})
            documents = documents.model_copy(update={"items": (quoting, *documents.items[1:])})
            limits = {k: v.model_copy(update={"why": f"Reason {hostile}"}) for k, v in rate.limit.items()}
            rate = rate.model_copy(update={"limit": limits})
        findings = (rate, undecided(), within(), *weight, documents, *without_result())
        figures = (rate_figure, *weight_figures)
        if route == "documents":
            findings, figures = (documents, *without_result()), ()
        if route == "counts":
            findings, figures = (rate, *without_result()), (rate_figure,)
    dossier = Dossier(
        submission=SubmissionFacts(
            digest="ab" * 32,
            route=said.route,
            evidence_digest="cd" * 32,
            files={"submission.yaml": "01" * 32, f"model.skops{hostile}": "02" * 32},
        ),
        declaration=said,
        findings=findings,
        figures=tuple(f.name for f in figures or ()),
        explanation=Explanation.model_validate(
            {
                "method": "shap.KernelExplainer",
                "background_rows": 100,
                "explained_rows": 200,
                "global": [GlobalImportance(feature=features[0], mean_abs=0.12, low=0.11, high=0.13)],  # type: ignore[index]
                "additivity_error": 1.2e-9,
                "sampling_error": 0.0021,
            }
        )
        if route == "model"
        else None,
        risk=risk or high_risk(),
        policy=PolicyFacts(
            name="default", version="1", recorded=AS_OF, confidence=0.95, minimum_rows=30, suppress_below=10
        ),
        counts=(CountTable(kind="cells", attribute="", columns={"group": (None,), "rows": (16281,)}),)
        if route != "documents"
        else (),
        scan={"format": "skops", "types": ["sklearn.tree.DecisionTreeClassifier"]} if route == "model" else {},
        model_fault=model_fault,
        versions={"aiact-sandbox": "0.1.0", "fairlearn": "0.13.0"},
        seed=7,
    )
    record = Run(
        attested_by=attested_by,
        dossier_digest=dossier.digest,
        receipt=receipt() if route == "model" else None,
        intake="cell",
        started="2026-11-24T10:00:00+00:00",
        ended="2026-11-24T10:00:09+00:00",
        seconds={"total": 9.0},
    )
    return Assessment(dossier=dossier, run=record if run else None, figures=figures or ())


def measured_by_all_checks(rows: int = 1200) -> Assessment:
    """Make an assessment by running the whole catalogue on a small model that is asked in this process.

    Args:
        rows: of made-up people; half of one group is turned down more often than the other.
    """
    import numpy as np
    import pyarrow as pa

    from checks import policy
    from checks.ai_act.classify import classify
    from checks.ai_act.rules import load
    from checks.evidence import Document
    from checks.judge import judge
    from checks.registry import catalogue
    from model_cards.dossier import compose
    from tests.make import evidence as make

    drawn = np.random.default_rng(11)
    age = drawn.integers(18, 80, rows).astype(float)
    hours = drawn.normal(36, 9, rows).round(1)
    sector = drawn.choice(["care", "trade", "public"], rows)
    sex = drawn.choice(["Female", "Male"], rows, p=[0.4, 0.6])
    race = drawn.choice(["A", "B", "C"], rows, p=[0.6, 0.38, 0.02])
    truth = (0.02 * (age - 40) + 0.05 * (hours - 36) + 0.5 * (sex == "Male") + drawn.normal(0, 0.7, rows)) > 0.3

    def predict(features: pa.Table) -> Any:
        years = np.nan_to_num(features.column("age").to_numpy(), nan=40.0)
        worked = np.nan_to_num(features.column("hours").to_numpy(), nan=36.0)
        public = np.array([v == "public" for v in features.column("sector").cast("string").to_pylist()])
        odds = 0.02 * (years - 40) + 0.06 * (worked - 36) + 0.2 * public - 0.3
        return (1 / (1 + np.exp(-2 * odds)))[:, None]

    stated = declaration(
        answers=CREDIT_ANSWERS, limits={"accuracy.overall.accuracy": {"at_least": 0.6, "reason": "Ours."}}
    )
    raw = stated.model_dump(mode="json")
    raw["data"] |= {
        "columns": {"default": "feature", "sex": "group", "race": "group", "income": "label"},
        "file": "people.parquet",
    }
    raw["data"].pop("default_role")
    stated = Declaration.model_validate({**raw, "claims": {"accuracy": 0.87}})
    text = (
        "## Intended purpose\n\nOrders files for review; not meant for refusing anybody.\n\n## Risk management\n\nTBD\n"
    )
    sealed = make.by_model(
        make.table(
            groups={"sex": sex, "race": race},
            label=make.codes(truth.astype(int)),
            features={"age": age, "hours": hours, "sector": pa.array(sector).dictionary_encode()},
        ),
        predict,
        stated,
        documents=(Document(name="technical_documentation.md", text=text, digest="0" * 64),),
    )
    terms = policy.load("default")
    judged = [j for check in catalogue() for j in judge(check, sealed, terms)]
    dossier, figures = compose(
        sealed,
        judged,
        classify(stated, load(), as_of=AS_OF),
        terms,
        files={"submission.yaml": "01" * 32},
        versions={"aiact-sandbox": "0.1.0"},
    )
    usual = assessment().run
    assert usual is not None
    run = usual.model_copy(update={"dossier_digest": dossier.digest})
    return Assessment(dossier=dossier, run=run, figures=figures)
