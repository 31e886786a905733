"""What the API takes and sends, as models: answers, the description and the client are made from these."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sandbox.records.tables import State

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
MOST = 100


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


class SubmissionQuery(BaseModel):
    """Which submissions to list."""

    model_config = ConfigDict(frozen=True)

    state: State | None = Field(default=None, description="only those in this state")
    q: str = Field(
        default="",
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="only those whose name or system has this text in it",
    )
    limit: int = Field(default=MOST, ge=1, le=MOST, description="how many at most")
    after: Id | None = Field(default=None, description="`next` of the page before")


class SubmitQuery(BaseModel):
    """What is said beside a submission that is handed in."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(default="submission.zip", description="the file name it is shown under")
    organisation: str = Field(
        default="", description="id of the organisation it is for; needed only where there are several"
    )
    retention_days: int | None = Field(
        le=36_500,
        default=None,
        ge=1,
        description="days that upload and evidence may be kept; never longer than the service does",
    )
    until_review: bool = Field(
        default=False, description="erase the upload as soon as its review is signed, if that is sooner"
    )


class SubmissionList(BaseModel):
    """Submissions, the newest first.

    Args:
        next: what to give as `after` for the next page; None on the last.
    """

    model_config = ConfigDict(frozen=True)

    submissions: list[SubmissionShown]
    next: str | None = None


class FileShown(BaseModel):
    """One file of a dossier.

    Args:
        name: its path within the dossier, as in `exports/sarif.json`.
        address: where it is fetched.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    bytes: int
    address: str


class FileList(BaseModel):
    """The files of a dossier: its documents, exports, figures and plots, by name."""

    model_config = ConfigDict(frozen=True)

    files: list[FileShown]


class Judgement(BaseModel):
    """What a reviewer says of one open finding."""

    model_config = ConfigDict(frozen=True)

    finding: str
    text: str
    by: str
    at: dt.datetime


class ReviewShown(BaseModel):
    """Where the review of a dossier stands.

    Args:
        status: `none` before it began, then the newest decision.
        dossier_digest: what the decision binds to.
        statement: what was signed, word for word; empty where nothing is.
        judgements: the newest on each open finding of this dossier.
        is_current: whether the decision is about the dossier that the submission has now.
    """

    model_config = ConfigDict(frozen=True)

    status: str
    by: str | None = None
    at: dt.datetime | None = None
    text: str = ""
    statement: str = ""
    dossier_digest: str | None = None
    is_current: bool = False
    judgements: list[Judgement] = Field(default_factory=list)


class WebhookGiven(BaseModel):
    """An address that is to be told of what happens to the submissions of an organisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(
        min_length=1,
        max_length=500,
        description="an https address out on the internet, without user and fragment",
        examples=["https://hooks.example.org/assessments"],
    )


class WebhookShown(BaseModel):
    """One webhook.

    Args:
        status: of the last answer; 0 where there was none, None before the first.
        tried: when something was last sent.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    address: str
    made: dt.datetime
    status: int | None = None
    tried: dt.datetime | None = None


class WebhookMade(WebhookShown):
    """A webhook that was just added.

    Args:
        secret: by which what it is sent is signed; shown this once.
    """

    secret: str


class WebhookList(BaseModel):
    """The webhooks of the organisation that the token is for, the oldest first."""

    model_config = ConfigDict(frozen=True)

    webhooks: list[WebhookShown]


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
