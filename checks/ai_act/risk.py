"""What a classification says: the `risk` part of a dossier, as data."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from checks.ai_act.rules import Confidence, RiskClass

Basis = Literal["text", "guidance", "draft", "contested"]
"""What a route rests on: the legal text; final but non-binding guidance or other sources; draft, non-binding
guidelines; or a disputed reading."""

DutyStatus = Literal["evidence_found", "partial", "none", "not_yet_due", "not_applicable"]
"""How far a dossier holds evidence for a duty. None of them says that the duty is met."""


_CLASS = AliasChoices("class", "risk_class")
"""`class` is a keyword of the language: in Python the field is `risk_class`, in a dossier `class`."""


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Route(_Said):
    """One way by which the system comes into a class.

    `counts` is false where the provision does not apply yet on `as_of` and therefore does not give the class yet.
    """

    rule: str
    risk_class: RiskClass = Field(validation_alias=_CLASS, serialization_alias="class")
    provision: str
    applies_from: dt.date | None
    applies_from_original: dt.date | None
    contested: bool
    basis: Basis
    counts: bool


class PathStep(_Said):
    """One answer on the way to the class."""

    question: str
    answer: str
    provision: str
    confidence: Confidence


class Contradiction(_Said):
    """An answer that does not go with something else in the submission: both sides, left to a person.

    `code` names the kind; `question` and `answer` are one side; `observed` quotes the other.
    """

    code: str
    question: str
    answer: str
    observed: str


class OtherLaw(_Said):
    """Law beside the Act that a person should check; never classified here."""

    id: str
    provision: str
    applies_from: dt.date | None
    confidence: Confidence
    verified_on: dt.date
    source_url: str


class Duty(_Said):
    """A duty that follows, with its date and the evidence that the dossier holds.

    `applies_from_other_reading` is given where the date is contested. `evidence` holds finding codes. `notes` are ids
    of remarks, `depends_on_unanswered` among them where an open question decides whether the duty exists.
    """

    id: str
    provision: str
    role: str
    applies_from: dt.date | None
    applies_from_original: dt.date | None
    contested: bool
    applies_from_other_reading: dt.date | None = None
    evidence: tuple[str, ...] = ()
    status: DutyStatus
    notes: tuple[str, ...] = ()


class Risk(_Said):
    """The indicated class, based on the provider's answers, and what follows from it.

    `possible` and `undecided_by` are filled only where the class is `undetermined`.
    """

    risk_class: RiskClass = Field(validation_alias=_CLASS, serialization_alias="class")
    routes: tuple[Route, ...]
    overlays: tuple[str, ...]
    possible: tuple[RiskClass, ...]
    undecided_by: tuple[str, ...]
    path: tuple[PathStep, ...]
    contradictions: tuple[Contradiction, ...] = ()
    other_law: tuple[OtherLaw, ...]
    duties: tuple[Duty, ...]
    rules_version: str
    as_of: dt.date
