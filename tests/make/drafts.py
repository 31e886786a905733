"""Builders of assessments for drafts and exports: a public body's system, with a publication file and a class."""

from __future__ import annotations

from typing import Any

from checks.ai_act.risk import Risk
from model_cards.dossier import Assessment
from tests.make.assessments import assessment, declaration, high_risk

HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(1)> =1+1 & \" ' ]]> --> \u202eexe.gnp \x07 \U0001f600"
"""A text that would act in a page, a spreadsheet, XML or a terminal."""


def of_class(risk_class: str, **more: Any) -> Risk:
    """Make the risk part of a dossier of another class."""
    return high_risk().model_copy(update={"risk_class": risk_class, "routes": (), "overlays": (), "duties": (), **more})


def of_public_body(
    *,
    risk: Risk | None = None,
    publication: dict[str, Any] | None = None,
    answers: dict[str, Any] | None = None,
    route: str = "model",
    **system: Any,
) -> Assessment:
    """Make an assessment for a municipality.

    Args:
        publication: what `publication.yaml` holds.
        answers: of the questionnaire.
    """
    given: dict[str, Any] = {"public_body": True, "roles": ["deployer"], **system}
    stated = declaration(route=route, provider="Gemeente Voorbeeld", answers=answers or {}, **given)
    stated = stated.model_copy(update={"publication": publication or {}})
    return assessment(route=route, stated=stated, risk=risk)
