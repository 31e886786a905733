"""Write the public package of a dossier, and remember what was decided about its data, so that two never differ unseen.

What leaves is decided by `model_cards.suppression`, once per data and attribute: the decision is kept in the state
folder under the digest of the data file and under the counts of the groups themselves, so that a copy of the data in
another format, another version of the system, another policy or another export meets the same decision. A later package
about the same data never shows more of a group than an earlier one allowed, and takes what the earlier one showed as
known. The same attribute cut into other groups, about the same data, is kept in whole. With epsilon given, noise is
drawn over what that decision lets leave (`sandbox.noise`).

Assumes of its caller: one state folder for all packages about the same data. Decisions made on another machine are not
known here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks import policy as policies
from checks.finding import Figure
from checks.judge import judge
from checks.registry import catalogue
from checks.resources import names as named_policies
from model_cards import documents, public
from model_cards.dossier import Assessment, Dossier, canonical, evidence_in
from model_cards.suppression import Counts, Depth, Known, decide
from sandbox import noise, statement
from sandbox.delivery import deliver
from sandbox.errors import Problem, Refused
from sandbox.exporting import read_assessment
from sandbox.judge_again import read_dossier
from sandbox.records import evidence_store
from sandbox.records.database import locked, private_folder
from sandbox.settings import Settings
from sandbox.whole import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What was decided and shown of one attribute of one set of data.

    Args:
        allowed: the least that was ever decided, by group.
        shown: the most that ever left, by group.
    """

    allowed: Mapping[str | None, Depth]
    shown: Mapping[str | None, Depth]


def publish(assessment: Assessment, settings: Settings, epsilon: float | None = None) -> Assessment:
    """Leave out of an assessment what may not be public. What was decided is recorded before anything is returned.

    Args:
        assessment: the whole one; its figures may be fewer than its dossier names.
        settings: state folder, and the budget of noise.
        epsilon: of the noise that is added to all counts together, above 0, smaller hides more; None for no noise.

    Returns:
        An assessment from which any document or export can be made for the public.

    Raises:
        Refused: it is public already; or noise cannot be added, is beyond the budget, or was added before and is not
            asked for now.
    """
    return _reduced(assessment, settings, epsilon).assessment


def publish_to(
    dossier: Path,
    out: Path,
    settings: Settings | None = None,
    languages: Sequence[str] = ("en", "nl"),
    epsilon: float | None = None,
) -> Path:
    """Write the public package of a dossier: its documents, figures and data without rows and without small counts.

    Args:
        dossier: folder of the whole dossier.
        out: folder of the package; must not exist yet or be empty.
        settings: state folder, where decisions and sealed evidence are kept.
        languages: of the documents.
        epsilon: as for `publish`.

    Returns:
        The folder. It is a dossier of its own, unsigned, with a digest of its own and `publication.json`, which says
        what was left out.

    Raises:
        Refused: the folder holds no dossier, or its two files do not belong together; and as for `publish`.
        FileExistsError: `out` holds something already.
    """
    settings = settings or Settings.from_environment()
    whole, run = read_dossier(dossier)
    if hashlib.sha256((dossier / "dossier.json").read_bytes()).hexdigest() != run.dossier_digest:
        message = "run.json belongs to another dossier.json than the one that is there; nothing is published of it"
        raise Refused(Problem(field="run.json", code="run.other_dossier", message=message))
    stored, complete = read_assessment(dossier)
    figures = stored.figures if complete else figures_of(whole, settings)
    reduced = _reduced(Assessment(dossier=whole, run=run, figures=figures), settings, epsilon)
    left = reduced.assessment
    assert left.run is not None
    with deliver(out) as delivery:
        draft = delivery.draft
        (draft / "dossier.json").write_bytes(left.dossier.to_json())
        (draft / "run.json").write_bytes(left.run.to_json())
        documents.write(left, draft, languages)
        said = public.summary(reduced, _minimum(whole, settings), _commitment(run.dossier_digest, settings))
        (draft / "publication.json").write_bytes(canonical(said))
        (draft / statement.SUMS).write_bytes(statement.sums_of(draft))
    return out


def figures_of(dossier: Dossier, settings: Settings) -> tuple[Figure, ...]:
    """Make the figures of a stored dossier again: from its counts, and from its sealed evidence where that is kept.

    Returns:
        Those of the figures the dossier names that can still be made; none where its policy is not known here as it
        was then.
    """
    if dossier.policy.name not in named_policies("policies"):
        return ()
    policy = policies.load(dossier.policy.name)
    if policy.version != dossier.policy.version:
        return ()
    sealed = evidence_store.load(dossier.submission.evidence_digest, settings)
    evidence = sealed if sealed is not None else evidence_in(dossier)
    wanted = {figure: finding.check for finding in dossier.findings for figure in finding.figures}
    made = {
        figure.name: figure
        for check in catalogue()
        if check.code in wanted.values()
        for judged in judge(check, evidence, policy)
        for figure in judged.figures
    }
    return tuple(made[name] for name in dossier.figures if name in made)


def _reduced(assessment: Assessment, settings: Settings, epsilon: float | None) -> public.Reduced:
    dossier = assessment.dossier
    if dossier.publication is not None:
        message = "this is a public package already; export from it without --public, or name the whole dossier"
        raise Refused(Problem(field="dossier.json", code="export.public_already", message=message))
    minimum = _minimum(dossier, settings)
    with locked(_folder(settings) / "leaving.lock"):
        ledger = _ledger(dossier, settings)
        if epsilon is None:
            noise.leave_exactly(ledger)
            return public.reduce(assessment, _decided(dossier, minimum, settings), minimum)
        depths = _decided(dossier, minimum, settings)
        leaving = [t for t in dossier.counts if not t.attribute or any(depths.get(t.attribute, {}).values())]
        draw = noise.drawn(dossier, leaving, epsilon, settings.noise_budget, ledger)
    return public.reduce(noise.apply(assessment, draw), depths, minimum, draw.noise)


def _ledger(dossier: Dossier, settings: Settings) -> tuple[Path, ...]:
    """Name the records of what left of the data, whatever system, policy or attribute: by digest and by counts."""
    tables = public.tables(dossier).values()
    names = [*(_by_counts(counts) for counts in tables), *(_named(["data", digest]) for digest in _digests(dossier))]
    return tuple(_folder(settings) / f"left-{name}" for name in sorted(set(names)))


def _minimum(dossier: Dossier, settings: Settings) -> int:
    """Give the fewest people a count may stand for: the operator's policy can raise what the dossier's policy asks."""
    own = policies.load(settings.policy).terms.suppress_below
    return max(own, dossier.policy.suppress_below)


def _folder(settings: Settings) -> Path:
    private_folder(settings.state)
    return private_folder(settings.state / "publication")


def _decided(dossier: Dossier, minimum: int, settings: Settings) -> dict[str, dict[str | None, Depth]]:
    """Decide what leaves of every group, in the light of what left before, and record it."""
    folder = _folder(settings)
    tables = public.tables(dossier)
    with locked(folder / "lock"):
        decided: dict[str, dict[str | None, Depth]] = {}
        records: dict[str, list[_Record]] = {}
        other_groups = set()
        for name, counts in tables.items():
            records[name] = [r for r in (_read(folder / f) for f in _files(dossier, name, counts)) if r is not None]
            if any(set(r.allowed) != set(counts.groups) for r in records[name]):
                other_groups.add(name)
                decided[name] = dict.fromkeys(counts.groups, Depth.NOTHING)
                continue
            decided[name] = decide(counts, minimum, at_most=_least(records[name]), known=_known(records[name]))
        settled = public.settle_pairs(decided, public.pairs(dossier))
        for name, counts in tables.items():
            if name not in other_groups:
                record = _with(records[name], settled[name])
                for file in _files(dossier, name, counts):
                    _write(folder / file, record)
    return settled


def _least(records: Sequence[_Record]) -> dict[str | None, Depth]:
    return {g: min(r.allowed[g] for r in records) for g in (records[0].allowed if records else ())}


def _known(records: Sequence[_Record]) -> Known:
    return Known(
        rows=frozenset(g for r in records for g, d in r.shown.items() if d >= Depth.ROWS),
        labels=frozenset(g for r in records for g, d in r.shown.items() if d is Depth.EVERYTHING),
    )


def _with(records: Sequence[_Record], depths: Mapping[str | None, Depth]) -> _Record:
    return _Record(
        allowed={g: min([d, *(r.allowed[g] for r in records)]) for g, d in depths.items()},
        shown={g: max([d, *(r.shown[g] for r in records)]) for g, d in depths.items()},
    )


def _files(dossier: Dossier, attribute: str, counts: Counts) -> tuple[str, ...]:
    """Name the records of an attribute: by the digest of its data, and by its groups' counts of rows and labels."""
    return (_by_counts(counts), *(_named(["data", digest, attribute]) for digest in _digests(dossier)))


def _by_counts(counts: Counts) -> str:
    groups = [
        [group, counts.rows(group), sorted((str(label), n) for label, n in counts.by_label(group).items())]
        for group in counts.groups
    ]
    return _named(["counts", groups])


def _named(key: list[Any]) -> str:
    return f"{hashlib.sha256(canonical(key)).hexdigest()}.json"


def _digests(dossier: Dossier) -> tuple[str, ...]:
    """Give the digests of the files that the evaluation data or the counts are read from."""
    stated = dossier.declaration
    sources = {stated.data.file if stated.data else None, stated.counts.file if stated.counts else None}
    sources.add(stated.predictions.file if stated.predictions else None)
    return tuple(digest for file, digest in sorted(dossier.submission.files.items()) if file in sources)


def _read(file: Path) -> _Record | None:
    try:
        given: dict[str, Any] = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    return _Record(
        allowed={g: Depth(a) for g, a, _ in given["groups"]}, shown={g: Depth(s) for g, _, s in given["groups"]}
    )


def _write(file: Path, record: _Record) -> None:
    groups = [[g, int(record.allowed[g]), int(record.shown[g])] for g in record.allowed]
    replace(file, canonical({"format": "1", "groups": groups}), mode=0o600)


def _commitment(digest: str, settings: Settings) -> str:
    """Bind the package to the whole dossier by a keyed hash, which nobody without the key can try out."""
    folder = _folder(settings)
    file = folder / "key"
    with locked(folder / "lock"):
        if not file.exists():
            replace(file, secrets.token_bytes(32), mode=0o600)
        key = file.read_bytes()
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()
