"""What a check is, and the list of all of them: a file in a family folder is a check, its name is its identity."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from types import ModuleType
from typing import Any

from checks.declaration import Route, Task
from checks.errors import CatalogueBroken
from checks.finding import Rejudge

FAMILIES = (
    "fairness",
    "explainability",
    "documentation",
    "accuracy",
    "robustness",
    "data_governance",
    "privacy",
    "cybersecurity",
)
"""The families, in the order in which findings are shown."""


class Scope(StrEnum):
    """How often a check runs: once for the system, for each attribute people are compared by, or for each crossing."""

    SYSTEM = "system"
    ATTRIBUTE = "attribute"
    CROSSING = "crossing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check and all that the judge must know of it.

    Args:
        code: `family.name`, from its place; never written by hand.
        run: `run(evidence, terms)` or, for an attribute or several crossed, `run(evidence, attribute, terms)`; gives
            a `Result`. The name of a crossing is that of `Data.crossings`.
        gives: names of the headline measures it can give; a limit can be set on these alone.
        needs: facts without which it cannot run: absent means `not_gathered`.
        may_read: facts that it uses where they are there.
        scope: system, attribute or crossing.
        tasks: tasks that it fits; others get `not_applicable`. Empty: all, also a submission without data.
        routes: routes that it fits; others get `not_applicable`.
        law: provisions that its finding is evidence for, as in `AIA 10(2)(f)`.
        rejudge: from what it can be judged again.
        version: raised when the same evidence gives other figures.
        public: whether its finding may stand in a document for the public.
        first: whether its finding is told before others of the same outcome, for it says what theirs are worth.
    """

    code: str = ""
    run: Callable[..., Any]
    gives: tuple[str, ...]
    needs: tuple[str, ...]
    may_read: tuple[str, ...] = ()
    scope: Scope = Scope.SYSTEM
    tasks: tuple[Task, ...] = ()
    routes: tuple[Route, ...] = tuple(Route)
    law: tuple[str, ...] = ()
    rejudge: Rejudge = Rejudge.EVIDENCE
    version: int = 1
    public: bool = True
    first: bool = False


def check(
    *,
    gives: Sequence[str],
    needs: Sequence[str],
    may_read: Sequence[str] = (),
    scope: Scope = Scope.SYSTEM,
    tasks: Sequence[Task] = (),
    routes: Sequence[Route] = tuple(Route),
    law: Sequence[str] = (),
    rejudge: Rejudge = Rejudge.EVIDENCE,
    version: int = 1,
    public: bool = True,
    first: bool = False,
) -> Callable[[Callable[..., Any]], Check]:
    """Make a function the check of its file. The arguments are those of `Check`."""

    def mark(run: Callable[..., Any]) -> Check:
        return Check(
            run=run,
            gives=tuple(gives),
            needs=tuple(str(n) for n in needs),
            may_read=tuple(str(n) for n in may_read),
            scope=scope,
            tasks=tuple(tasks),
            routes=tuple(routes),
            law=tuple(law),
            rejudge=rejudge,
            version=version,
            public=public,
            first=first,
        )

    return mark


@cache
def catalogue() -> tuple[Check, ...]:
    """List every check, in the order of families and file names.

    Raises:
        CatalogueBroken: a file in a family folder defines no check, or two, or does not import.
    """
    found: list[Check] = []
    for family in FAMILIES:
        try:
            package = importlib.import_module(f"checks.{family}")
        except ModuleNotFoundError as missing:
            raise CatalogueBroken(f"the family folder checks/{family} is missing or does not import") from missing
        found += [only_one(module, family) for module in modules_of(package)]
    return tuple(found)


def modules_of(package: ModuleType) -> list[ModuleType]:
    """Import every module of a package, sorted by name; names that begin with `_` are left out.

    Raises:
        CatalogueBroken: a module does not import.
    """
    modules = []
    for entry in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        if entry.name.startswith("_"):
            continue
        name = f"{package.__name__}.{entry.name}"
        try:
            modules.append(importlib.import_module(name))
        except (ImportError, SyntaxError, NameError, TypeError, ValueError) as broken:
            raise CatalogueBroken(f"{name} does not import: {broken}") from broken
    return modules


def only_one(module: ModuleType, family: str) -> Check:
    """Give the one check of a module, named after its file.

    Raises:
        CatalogueBroken: it defines none, or several, or one that is not named like its file.
    """
    name = module.__name__.rpartition(".")[2]
    here = [(n, v) for n, v in vars(module).items() if isinstance(v, Check)]
    if len(here) != 1:
        raise CatalogueBroken(f"{module.__name__} must define exactly one check; it defines {len(here)}")
    defined, marked = here[0]
    if defined != name:
        raise CatalogueBroken(f"{module.__name__} must name its check {name}; it is named {defined}")
    return replace(marked, code=f"{family}.{name}")
