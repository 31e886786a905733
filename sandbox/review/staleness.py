"""Tell whether a signature still speaks of what there is now: a newer version, policy or law makes it stale.

Assumes of its caller: the dossier is the one whose digest was signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from checks import policy as policies
from checks.ai_act import rules as law
from checks.ai_act.classify import classify
from checks.ai_act.coverage import cover
from checks.finding import AppliedLimit, Finding
from checks.policy import Policy
from model_cards.dossier import Dossier
from sandbox.records.database import Session
from sandbox.records.tables import ReviewEntry, State, Submission

if TYPE_CHECKING:
    from sandbox.comparing import Comparison

VERSION: Final = "version"
POLICY: Final = "policy"
RULES: Final = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What is not any more as it was signed.

    Args:
        newer: the newest finished submission of the same system, where it came after the signed one.
        policy, rules: what applies now, where it is another one than was signed under.
    """

    newer: Submission | None
    policy: str | None
    rules: str | None

    @property
    def why(self) -> tuple[str, ...]:
        """Name what moved; empty while the signature still speaks of what there is."""
        given = ((VERSION, self.newer), (POLICY, self.policy), (RULES, self.rules))
        return tuple(name for name, value in given if value is not None)


@cache
def _now(policy: str) -> tuple[str, str]:
    chosen = policies.load(policy)
    return f"{chosen.name} {chosen.version}"[:100], law.load().version


def moved(session: Session, submission: Submission, signed: ReviewEntry, policy: str) -> Moved:
    """Say what moved since a signature.

    Args:
        policy: name of the policy that the service judges by now.
    """
    newest = session.scalars(
        select(Submission)
        .where(
            Submission.organisation == submission.organisation,
            Submission.system == submission.system,
            Submission.state == State.DONE,
            Submission.holdout_of.is_(None),
            Submission.received > submission.received,
        )
        .order_by(Submission.received.desc())
        .limit(1)
    ).first()
    policy_now, rules_now = _now(policy)
    return Moved(
        newer=newest,
        policy=None if signed.policy == policy_now else policy_now,
        rules=None if signed.rules == rules_now else rules_now,
    )


def under_what_applies_now(dossier: Dossier, policy: str) -> Comparison:
    """Lay a dossier beside itself under the policy and the law of now, on the date that it was made for.

    The figures stay; what is compared is the limits they are held to, the class and the duties. Whether a finding's
    outcome changes is for judging it again to say.
    """
    from sandbox.comparing import compare

    chosen, rules = policies.load(policy), law.load()
    risk = classify(dossier.declaration, rules, as_of=dossier.risk.as_of)
    findings = tuple(f.model_copy(update={"limit": _limits(f, chosen, dossier)}) for f in dossier.findings)
    facts = dossier.policy.model_copy(
        update={
            "name": chosen.name,
            "version": chosen.version,
            "recorded": chosen.recorded,
            "confidence": chosen.terms.confidence,
            "minimum_rows": chosen.terms.minimum_rows,
            "suppress_below": chosen.terms.suppress_below,
        }
    )
    now = dossier.model_copy(update={"findings": findings, "risk": cover(risk, dossier.findings), "policy": facts})
    return compare(dossier, now)


def _limits(finding: Finding, chosen: Policy, dossier: Dossier) -> dict[str, AppliedLimit]:
    held = {}
    for measure in finding.measures:
        given = chosen.limit_for(f"{finding.check}.{measure.name}", dossier.declaration)
        if given is not None:
            limit, origin = given
            held[measure.name] = AppliedLimit(
                at_least=limit.at_least,
                at_most=limit.at_most,
                origin=origin,
                source=limit.source,
                why=limit.why,
                outcome=finding.limit[measure.name].outcome if measure.name in finding.limit else finding.outcome,
            )
    return held
