"""Record a submission's own limits before a run, and say afterwards whether they were there before.

The time is that of the clock of the machine that sealed, and nothing proves it: whoever can write the file can write
any time into it. It shows what the provider states, as the rest of a submission does.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from checks.declaration import Declaration, ProviderLimit, Stated
from model_cards.dossier import LimitsRecorded, canonical, limits_digest
from sandbox.errors import Problem, Refused
from sandbox.whole import replace

FILE = "limits.seal.json"
"""Name of the seal, beside `submission.yaml`."""

_LARGEST = 4 * 1024 * 1024


class Seal(Stated):
    """Limits as they were at one time.

    Args:
        digest: SHA-256 of them, as `model_cards.dossier.limits_digest` gives it.
        sealed_at: when, by the clock of the machine that sealed.
        limits: for people; the digest is what counts.
        data, model: SHA-256 of the evaluation data and of the model that were there; empty where none was.
    """

    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    sealed_at: AwareDatetime
    limits: dict[str, ProviderLimit]
    data: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    model: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""


class Seals(Stated):
    """All seals of one submission, the oldest first: nothing is ever taken out."""

    format: Literal[1] = 1
    seals: tuple[Seal, ...] = Field(min_length=1)


def seal_limits(submission: Path, *, now: dt.datetime | None = None) -> tuple[Seal, bool]:
    """Write the limits of a submission, with digest and time, into its folder.

    Args:
        submission: folder with `submission.yaml`.
        now: the time; that of this machine where not given.

    Returns:
        The seal of these limits, and whether it is new: limits that were sealed before keep their first time.

    Raises:
        Refused: it is no folder with a submission, it states no limits, or the seal there is not a seal.
    """
    # Opening a submission loads the whole of intake, which nothing else here needs.
    from sandbox.intake.declaring import declare

    if not submission.is_dir():
        message = f"{submission} is no folder; name the folder with submission.yaml (unpack a zip first)"
        raise Refused(Problem(field="", code="seal.no_folder", message=message))
    files = {p.relative_to(submission).as_posix(): "" for p in sorted(submission.rglob("*")) if p.is_file()}
    declaration = declare(submission, files)
    digest = limits_digest(declaration)
    if digest is None:
        message = "there are no limits to record; state them under limits, each with a reason"
        raise Refused(Problem(field="limits", code="seal.no_limits", message=message))
    seals = read_seals(submission)
    hashed = {name: _hash(submission / name) for name in files}
    made, is_new = sealed(
        declaration.limits,
        seals,
        now or dt.datetime.now(dt.UTC),
        data=_data_digest(declaration, hashed),
        model=_model_digest(declaration, hashed),
    )
    if not is_new:
        return made, False
    replace(submission / FILE, to_file((*seals, made)))
    return made, True


def sealed(
    limits: Mapping[str, ProviderLimit], seals: Sequence[Seal], now: dt.datetime, *, data: str = "", model: str = ""
) -> tuple[Seal, bool]:
    """Give the seal of some limits, and whether it is new: what was sealed before keeps its first time.

    Args:
        limits: at least one.
        seals: those there are.
        now: the time.
        data, model: see `Seal`.
    """
    digest = _digest_of(limits)
    found = next((seal for seal in seals if (seal.digest, seal.data, seal.model) == (digest, data, model)), None)
    if found is not None:
        return found, False
    moment = now.astimezone(dt.UTC).replace(microsecond=0)
    return Seal(digest=digest, sealed_at=moment, limits=dict(limits), data=data, model=model), True


def to_file(seals: Sequence[Seal]) -> bytes:
    """Write the file of seals, the oldest first."""
    return canonical(Seals(seals=tuple(seals)).model_dump(mode="json"))


def read_seals(folder: Path) -> tuple[Seal, ...]:
    """Read the seals of a submission; none where there is no file.

    Args:
        folder: of the submission, or its copy in the quarantine.

    Raises:
        Refused: the file is there and is not one of seals, or a digest does not fit its limits.
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        seals = Seals.model_validate(json.loads(path.read_bytes())).seals
    except (ValueError, RecursionError, ValidationError) as wrong:
        raise Refused(_broken("cannot be read as one; remove it and seal again")) from wrong
    for seal in seals:
        if _digest_of(seal.limits) != seal.digest:
            raise Refused(_broken("has a digest that is not that of the limits beside it; remove it and seal again"))
    return seals


def limits_recorded(declaration: Declaration, folder: Path, *, started: dt.datetime) -> LimitsRecorded:
    """Say when a submission's limits were first recorded.

    Args:
        declaration: with its limits.
        folder: with the seal, where there is one; a submission's copy in the quarantine.
        started: when the run began; a seal that is dated later says nothing of what was there before it.

    Returns:
        `sealed_before` with its time where these very limits were sealed before the run; else `with_submission`.

    Raises:
        Refused: as `read_seals`.
    """
    digest = limits_digest(declaration)
    same = [seal.sealed_at for seal in read_seals(folder) if digest is not None and seal.digest == digest]
    same = [moment for moment in same if moment <= started]
    if not same:
        return LimitsRecorded(digest=digest)
    return LimitsRecorded(digest=digest, when="sealed_before", sealed_at=min(same).astimezone(dt.UTC).isoformat())


def _digest_of(limits: Mapping[str, ProviderLimit]) -> str:
    stated = {code: limit.model_dump(mode="json") for code, limit in limits.items()}
    return hashlib.sha256(canonical(stated)).hexdigest()


def _broken(why: str) -> Problem:
    return Problem(field=FILE, code="seal.broken", message=f"{FILE} is there and {why}")


def data_committed(
    declaration: Declaration, folder: Path, files: Mapping[str, str], *, started: dt.datetime
) -> dt.datetime | None:
    """Say when these evaluation data were recorded, if that was before this model was there.

    Args:
        declaration: names data and model.
        folder: with the seal, where there is one.
        files: SHA-256 by name of the submission's files.
        started: when the run began.

    Returns:
        The time of the first seal that has these data and not this model; None where there is none, or no model.

    Raises:
        Refused: as `read_seals`.
    """
    data, model = _data_digest(declaration, files), _model_digest(declaration, files)
    if not data or not model:
        return None
    before = [s.sealed_at for s in read_seals(folder) if s.data == data and s.model != model and s.sealed_at <= started]
    return min(before).astimezone(dt.UTC) if before else None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _data_digest(declaration: Declaration, files: Mapping[str, str]) -> str:
    return files.get(declaration.data.file or "", "") if declaration.data is not None else ""


def _model_digest(declaration: Declaration, files: Mapping[str, str]) -> str:
    """Hash the names and hashes of the model's file, or of the files of its folder; empty where there is no model."""
    name = declaration.model.file if declaration.model is not None else ""
    inside = {n: digest for n, digest in files.items() if name and (n == name or n.startswith(f"{name}/"))}
    return hashlib.sha256(canonical(inside)).hexdigest() if inside else ""
