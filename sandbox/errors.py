"""The errors of the service; whose fault it is comes first.

SandboxError
├── Refused            the submission: 413 or 422; holds every problem found, each with field and remedy
│   └── OverBudget     the organisation's budget: 413 or 429; nothing was put into the queue
├── ModelFault         the model crashed, timed out, ran out of memory or broke the protocol: a finding, never HTTP
├── NotAllowed         the person: 403 or 404
├── CellUnavailable    the wall is not there or not proved: the run is void
├── NotSigned          the operator's key or time-stamping authority cannot be reached: the dossier is not handed over
└── Broken             ours: 500 with an incident id and no detail
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class SandboxError(Exception):
    """Base of all errors that the service raises on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a submission.

    Args:
        field: where, as in `data.columns.sex` or `model.file`; empty for the submission as a whole.
        code: stable identity of the message, for example `table.column_missing`; the key of its words per language.
        params: what the words need (numbers, names); shown as text, never interpreted.
        message: the whole sentence in English: what is wrong and what would be right.
    """

    field: str
    code: str
    message: str
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Refused(SandboxError):
    """The submission cannot be assessed as it is. Holds all independent problems at once.

    Args:
        problems: at least one.
    """

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.message}" if p.field else p.message for p in self.problems))


class OverBudget(Refused):
    """The organisation has used what it may.

    Args:
        problems: at least one.
        status: 413 where less has to be stored, 429 where time helps.
    """

    def __init__(self, problems: Sequence[Problem], *, status: int) -> None:
        super().__init__(problems)
        self.status = status


class ModelFault(SandboxError):
    """The model could not answer. Becomes a finding; the rest of the assessment goes on.

    Args:
        code: one of `crashed`, `timed_out`, `out_of_memory`, `cpu_limit`, `output_limit`, `protocol`, `load_failed`,
            `environment_failed`, `not_finite`, `wrong_shape`, `undeclared_label`.
        message: what happened, in English, in words about the model.
        params: figures for the words.
    """

    def __init__(self, code: str, message: str, **params: Any) -> None:
        super().__init__(message)
        self.code = code
        self.params = params


class NotAllowed(SandboxError):
    """This person may not do or see this; `hidden` says that its existence is not shown either (404)."""

    def __init__(self, message: str, *, hidden: bool = True) -> None:
        super().__init__(message)
        self.hidden = hidden


class CellUnavailable(SandboxError):
    """No wall can be built here, or one of its probes did not hold. No model is run.

    Args:
        message: which wall, what was seen, and what to install or mend.
        probes: names of the probes that did not hold (empty when the wall could not be built at all).
    """

    def __init__(self, message: str, *, probes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.probes = tuple(probes)


class CannotStart(SandboxError, ValueError):
    """The service is set up in a way in which it must not start; the message says what to set or to install."""


class NotSigned(SandboxError):
    """A dossier that must be signed cannot be: the key or the authority for the time is not there."""


class Broken(SandboxError):
    """A fault of ours. Shows an incident id and nothing else; the detail is in the log."""

    def __init__(self, incident: str) -> None:
        super().__init__(f"This is our fault, not yours. Incident {incident}.")
        self.incident = incident
