"""What the API sends, as models: answers, the description and the client are made from these."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sandbox.records.tables import State


class Counts(BaseModel):
    """How many findings lie beyond, are undecided and lie within their limit."""

    model_config = ConfigDict(frozen=True)

    beyond: int
    undecided: int
    within: int


class SubmissionShown(BaseModel):
    """One submission as the API shows it.

    Args:
        stage, done, total: how far it is, while it runs.
        problems: what was wrong, each with `field`, `code`, `message` and `params`.
        counts, risk_class, dossier: None before it is done.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    digest: str
    bytes: int
    received: dt.datetime
    state: State
    stage: str = ""
    done: int = 0
    total: int = 0
    attempt: int = 0
    started: dt.datetime | None = None
    ended: dt.datetime | None = None
    problems: list[dict[str, Any]] = Field(default_factory=list)
    incident: str | None = None
    system: str | None = None
    version: str | None = None
    risk_class: str | None = None
    counts: Counts | None = None
    dossier: str | None = None
    dossier_digest: str | None = None


class SubmissionList(BaseModel):
    """Submissions, the newest first."""

    model_config = ConfigDict(frozen=True)

    submissions: list[SubmissionShown]


class ProblemDocument(BaseModel):
    """An error, by RFC 9457.

    Args:
        type: a name of this kind of error that stays the same.
        title, detail: in English.
        problems: what is wrong with a submission, each with `field`, `code`, `message` and `params`.
        incident: number by which the operator finds a fault of ours in the log.
    """

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    instance: str
    problems: list[dict[str, Any]] | None = None
    incident: str | None = None
