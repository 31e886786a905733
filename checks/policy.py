"""Limits as data: each with its source and its reason. A limit is policy, not law."""

from __future__ import annotations

import datetime as dt
from functools import cache

from pydantic import Field

from checks import resources
from checks.declaration import Declaration
from checks.finding import Fact


class Limit(Fact):
    """The bound that a measure is judged by.

    Args:
        at_least, at_most: in the unit of the measure.
        source: where the number comes from.
        why: why this policy uses it.
    """

    at_least: float | None = None
    at_most: float | None = None
    source: str
    why: str


class Terms(Fact):
    """How checks measure under a policy.

    Args:
        confidence: of every interval, as in 0.95.
        minimum_rows: fewest (effective) rows of a group from which something is said.
        suppress_below: fewest rows of a group that may leave in a public package.
        short_words: fewest words of a passage that is not called short.
        families: how comparisons are adjusted: `per_attribute` adjusts over the groups of one attribute within one
            measure, so that another attribute never changes its outcome. Attributes crossed are a family of their own.
        pairs, triples: up to how many crossings of two and of three attributes are compared, in the order of
            `Data.crossings`, so those of the attributes declared first; 0 leaves them out.
        few_unlabelled: share of rows without a label up to which a label-based figure may still be called within its
            limit.
        as_accurate: share of right decisions that another threshold, the same for everyone, may lose and still be named
            as a remedy.
        as_many: where no labels are known: share by which more or fewer people may get the favourable decision then.
        told_apart: area under the ROC curve of mixed rows against real ones above which an explanation settles nothing.
        together: absolute rank correlation (or Cramer's V) from which inputs are explained as one as well.
    """

    confidence: float = Field(gt=0.5, lt=1.0)
    minimum_rows: int = Field(ge=1)
    suppress_below: int = Field(ge=1)
    short_words: int = Field(ge=1)
    families: str
    pairs: int = Field(default=28, ge=0)
    triples: int = Field(default=4, ge=0)
    few_unlabelled: float = Field(default=0.05, ge=0.0, le=1.0)
    as_accurate: float = Field(default=0.01, ge=0.0, le=1.0)
    as_many: float = Field(default=0.05, ge=0.0, le=1.0)
    told_apart: float = Field(default=0.85, ge=0.5, le=1.0)
    together: float = Field(default=0.7, gt=0.0, le=1.0)


class Grounds(Fact):
    """Where a number of the terms comes from, and why this policy uses it."""

    source: str
    why: str


class Policy(Fact):
    """A named set of limits and terms.

    Args:
        name: the file's name.
        version: raised with each change.
        recorded: when this version was written down.
        about: what the policy is, for the reader (English key of words: `policy.<name>`).
        grounds: of each of the terms, by its name.
        limits: by measure code, `family.check.measure`.
    """

    name: str
    version: str
    recorded: dt.date
    about: str
    terms: Terms
    grounds: dict[str, Grounds] = Field(default_factory=dict)
    limits: dict[str, Limit]

    def limit_for(self, code: str, declaration: Declaration) -> tuple[Limit, str] | None:
        """Give the limit of a measure and its origin: the provider's own goes first.

        Args:
            code: `family.check.measure`.
        """
        own = declaration.limits.get(code)
        if own is not None:
            given = Limit(at_least=own.at_least, at_most=own.at_most, source="provider", why=own.reason)
            return given, "provider"
        limit = self.limits.get(code)
        return (limit, "policy") if limit is not None else None


@cache
def load(name: str) -> Policy:
    """Read a policy of this package.

    Args:
        name: file name in `checks/policies`, without `.yaml`.

    Raises:
        FileNotFoundError: there is no such policy; the message lists those there are.
        pydantic.ValidationError: the file is not a policy.
    """
    known = resources.names("policies")
    if name not in known:
        raise FileNotFoundError(f"no policy {name!r}; there are: {', '.join(known)}")
    return Policy.model_validate({"name": name, **resources.read(f"policies/{name}.yaml")})
