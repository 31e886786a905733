"""Read the rules of the law: typed, dated and cited; a rule that lacks one of these is refused.

The files under `rules/` are the law as data; nothing in this package's code names an article. A rule file may hold
`defaults` for its rules, and a rule may take its dates by name (`dates: chapter_iii`) from `dates.yaml`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from checks import resources
from checks.ai_act.logic import PROFILE, UNKNOWN, Asked, Combination, Condition, atoms
from checks.errors import ChecksError

FOLDER = "ai_act/rules"

Confidence = Literal["primary", "secondary", "background", "draft", "contested", "unverified"]
"""How a rule was checked: `primary` read in the legal text; `secondary` in other sources; `background` general
knowledge, not read again; `draft` rests on draft, non-binding guidelines; `contested` the reading is disputed;
`unverified` not checked."""

RiskClass = Literal[
    "out_of_scope",
    "not_ai_system",
    "prohibited",
    "prohibited_unless_exception_proven",
    "high_risk_annex_i_a",
    "high_risk_annex_i_b",
    "high_risk_annex_iii",
    "annex_iii_derogated",
    "transparency",
    "minimal",
    "undetermined",
]

Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Provision = Annotated[str, StringConstraints(min_length=3, max_length=120)]

CITATION = (
    "provision",
    "text_version",
    "applies_from",
    "applies_from_original",
    "changed_by",
    "confidence",
    "verified_on",
    "source_url",
)
"""What every rule carries. `applies_from_original` is null where the text of 2024 did not have the rule;
`changed_by` is null where nothing changed it."""


class UnknownRules(ChecksError):
    """There are no rules of the version asked for."""


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cited(_Rule):
    """A rule with its source and its dates."""

    id: Id
    provision: Provision
    text_version: Annotated[str, StringConstraints(min_length=4)]
    applies_from: dt.date | None
    applies_from_original: dt.date | None
    changed_by: str | None
    confidence: Confidence
    verified_on: dt.date
    source_url: Annotated[str, StringConstraints(pattern=r"^https://")]
    only_in: tuple[str, ...] = ()
    """Keys of the versions that have this rule; empty: all."""


class Option(_Rule):
    """One possible answer; provision and confidence are the question's unless it has its own."""

    id: Id
    provision: Provision | None = None
    confidence: Confidence | None = None
    offered_when: Condition | None = None
    """Where this does not hold, the option is not offered and means nothing."""
    formerly: Id | None = None
    """What this option was called in an earlier form, where one option said what several say now."""
    only_in: tuple[str, ...] = ()


class Question(Cited):
    """One question of the questionnaire; its words are in the locale files under the same ids."""

    block: Id
    kind: Literal["single", "multi"] = "single"
    options: tuple[Option, ...]
    asked_when: Condition | None = None
    fork: tuple[Id, ...] = ()
    """Options that stand for all others where the answer is not known: each is followed to its end on its own, because
    later questions are asked or not by this one."""

    def option(self, option_id: str) -> Option | None:
        """Find an option by id, or None."""
        return next((o for o in self.options if o.id == option_id), None)


class Former(_Rule):
    """A question of an earlier form, and the question that asks the same now.

    `options`: what its options are called now, null for one that says nothing any more; others keep their id.
    `asked_when`: answers, any of which made it matter; where one was given and this question not answered, what asks
    the same now is open.
    """

    question: Id
    now: Id
    options: dict[str, str | None] = {}
    asked_when: tuple[str, ...] = ()


class Definition(Cited):
    """A named condition: one legal notion put together from answers."""

    when: Condition


class DateVariant(_Rule):
    """Other dates of a rule for some systems."""

    when: Condition
    applies_from: dt.date | None
    applies_from_original: dt.date | None
    changed_by: str | None = None


class RouteRule(Cited):
    """A way by which a system comes into a class."""

    risk_class: RiskClass = Field(alias="class")
    when: Condition
    counts_from_date: bool = False
    """Whether it counts for the class only from `applies_from` on."""
    residual: bool = False
    """Whether the class is what remains when no heavier one holds."""
    contested: bool = False
    variants: tuple[DateVariant, ...] = ()


class Step(_Rule):
    """One step of the order in which classes are tested; the first that holds gives the class."""

    risk_class: RiskClass = Field(alias="class")
    routes: tuple[Id, ...]
    beside: tuple[Id, ...] = ()
    """Routes that never hold without a heavier one: shown, but no ground for the class."""
    ends_when: Condition | None = None
    """Lighter classes are ruled out also where this holds, while it is open which of two heavier ones it is."""


class OverlayRule(Cited):
    """What comes on top of a class."""

    when: Condition


class DutyNote(_Rule):
    """A remark on a duty for some systems."""

    id: Id
    when: Condition | None = None


class DutyRule(Cited):
    """A duty, whose it is, and when it exists."""

    role: Id
    when: Condition
    contested: bool = False
    applies_from_other_reading: dt.date | None = None
    """The date by the other reading, where the date is contested."""
    variants: tuple[DateVariant, ...] = ()
    lifted_when: Condition | None = None
    """Where this holds, the duty does not apply to the system as it stands."""
    classes: tuple[RiskClass, ...] = ()
    """Classes that bring the duty about; empty: not tied to a class."""
    covers: tuple[Provision, ...] = ()
    """Further provisions that this duty speaks for."""
    notes: tuple[DutyNote, ...] = ()


class RoleRule(Cited):
    """When an organisation has the duties of a role."""

    when: Condition
    ends_when: Condition | None = None
    """Where this is certain, another has the role for this system; while it is open, who has it keeps it."""


class OtherLawRule(Cited):
    """Law that this product points at and never classifies."""

    when: Condition | None = None
    note: Id | None = None


class NoteRule(Cited):
    """A provision that changes no class and makes no duty here, but that a reader must be able to find."""

    when: Condition | None = None


class DateRule(Cited):
    """A date of the timetable that is nobody's duty here."""


class AspectRule(_Rule):
    """One thing that a duty asks, and which findings are evidence of it."""

    id: Id
    findings: tuple[str, ...]
    """Finding codes; `fairness.*` stands for the family."""
    documents: bool = False
    """Whether the findings read documents: then only a pass is full evidence."""
    whole: tuple[str, ...] = ()
    """Findings about a larger document of which this aspect is a part: evidence only where all of it was found."""


class CoverageRule(_Rule):
    """Which findings are evidence for a duty."""

    duty: Id
    aspects: tuple[AspectRule, ...]


class Version(_Rule):
    """A state of the law."""

    key: Id
    version: str
    text_version: str
    as_amended: bool
    """Whether rules carry the dates as amended, or those of the text of 2024."""


class Rules(_Rule):
    """The law of one version."""

    version: str
    questions: tuple[Question, ...]
    definitions: tuple[Definition, ...]
    routes: tuple[RouteRule, ...]
    order: tuple[Step, ...]
    overlays: tuple[OverlayRule, ...]
    roles: tuple[RoleRule, ...]
    duties: tuple[DutyRule, ...]
    other_law: tuple[OtherLawRule, ...]
    notes: tuple[NoteRule, ...]
    timetable: tuple[DateRule, ...]
    coverage: tuple[CoverageRule, ...]

    def question(self, question_id: str) -> Question:
        """Find a question by id.

        Raises:
            KeyError: there is none.
        """
        return self._by_id[question_id]

    @cached_property
    def asked(self) -> Mapping[str, Asked]:
        """Per question, what evaluation must know of it."""
        return {
            q.id: Asked(
                asked_when=q.asked_when,
                options=frozenset(o.id for o in q.options) | {UNKNOWN},
                offered={o.id: o.offered_when for o in q.options if o.offered_when is not None},
                is_multi=q.kind == "multi",
            )
            for q in self.questions
        }

    @cached_property
    def named(self) -> Mapping[str, Condition]:
        """The definitions by name."""
        return {d.id: d.when for d in self.definitions}

    @cached_property
    def _by_id(self) -> Mapping[str, Question]:
        return {q.id: q for q in self.questions}


_CITED: dict[str, type[Cited]] = {
    "definitions": Definition,
    "routes": RouteRule,
    "overlays": OverlayRule,
    "roles": RoleRule,
    "duties": DutyRule,
    "other_law": OtherLawRule,
    "notes": NoteRule,
    "timetable": DateRule,
}
_PLAIN: dict[str, type[_Rule]] = {"order": Step, "coverage": CoverageRule}
_STRUCTURAL = {"defaults", "regimes", "versions", "blocks", "union", "not_decided", "formerly"}


def load(version: str | None = None) -> Rules:
    """Read the rules of one version of the law; read once per process.

    Args:
        version: as in `Rules.version`; None for the law as it stands.

    Raises:
        UnknownRules: there are no rules of that version.
        pydantic.ValidationError: a rule file is wrong (a fault of ours; `problems` names each).
    """
    return _load(version)


@cache
def _load(version: str | None) -> Rules:
    known = versions()
    wanted = known[0] if version is None else next((v for v in known if v.version == version), None)
    if wanted is None:
        raise UnknownRules(f"there are no rules {version}; known: {', '.join(v.version for v in known)}")
    raw: dict[str, list[Any]] = {"questions": []}
    for name in (*_CITED, *_PLAIN):
        raw[name] = []
    for kind, _, rule in _raw_rules():
        if (kept := _in_version(rule, wanted)) is not None:
            raw[kind].append(kept)
    return Rules.model_validate({"version": wanted.version, **raw})


@cache
def former_questions() -> tuple[Former, ...]:
    """List the questions of earlier forms that are put in other words now."""
    return tuple(Former.model_validate(f) for f in resources.read(f"{FOLDER}/questions.yaml")["formerly"])


@cache
def versions() -> tuple[Version, ...]:
    """List the versions of the law that there are rules for, the one in force first."""
    return tuple(Version.model_validate(v) for v in resources.read(f"{FOLDER}/versions.yaml")["versions"])


def rule_ids(rules: Rules) -> Iterator[tuple[str, Cited]]:
    """Walk all cited rules with their kind, in the order of the files."""
    for kind in ("questions", *_CITED):
        for rule in getattr(rules, kind):
            yield kind, rule


def _in_version(rule: Any, wanted: Version) -> Any:
    if not isinstance(rule, Mapping):
        return rule
    only_in = rule.get("only_in") or ()
    if only_in and wanted.key not in only_in:
        return None
    kept = dict(rule)
    if "options" in kept:
        kept["options"] = [o for o in kept["options"] if not o.get("only_in") or wanted.key in o["only_in"]]
    if wanted.as_amended or "provision" not in kept:
        return kept
    was_added = kept.get("changed_by") is not None and kept.get("applies_from_original") is None
    if was_added and not only_in:
        return None
    if kept.get("applies_from_original") is not None:
        kept["applies_from"] = kept["applies_from_original"]
    if str(kept.get("text_version", "")).startswith("02024R1689"):
        kept["text_version"] = wanted.text_version
        kept["source_url"] = kept["source_url"].replace("CELEX:02024R1689-20260727", f"CELEX:{wanted.text_version}")
        kept["changed_by"] = None
    if "variants" in kept:
        kept["variants"] = [{**v, "applies_from": v["applies_from_original"]} for v in kept["variants"]]
    if "contested" in kept and kept.get("applies_from_other_reading") is not None:
        kept["contested"], kept["applies_from_other_reading"] = False, None
    return kept


def _raw_rules() -> Iterator[tuple[str, str, Any]]:
    """Walk (kind, where, rule) over all files, with defaults and named dates filled in."""
    regimes = resources.read(f"{FOLDER}/dates.yaml")["regimes"]
    for name in resources.names(FOLDER):
        content = resources.read(f"{FOLDER}/{name}.yaml")
        defaults = content.get("defaults", {})
        for block in content.get("blocks", ()):
            for question in block["questions"]:
                filled = _filled(question, {**defaults, **block.get("defaults", {})}, regimes)
                filled["block"] = block["id"]
                gates = [g for g in (block.get("asked_when"), question.get("asked_when")) if g is not None]
                if gates:
                    filled["asked_when"] = gates[0] if len(gates) == 1 else {"all": gates}
                filled["options"] = [{"id": o} if isinstance(o, str) else o for o in filled.get("options", ())]
                yield "questions", f"{name}.yaml: {question.get('id')}", filled
        for kind, rules in content.items():
            if kind in _STRUCTURAL:
                continue
            for rule in rules:
                filled = _filled(rule, defaults, regimes) if kind in _CITED else rule
                yield kind, f"{name}.yaml: {rule.get('id') or rule.get('duty') or rule.get('class')}", filled


def _filled(rule: Mapping[str, Any], defaults: Mapping[str, Any], regimes: Mapping[str, Any]) -> dict[str, Any]:
    dates = rule.get("dates", None if "applies_from" in rule else defaults.get("dates"))
    filled = {
        **{k: v for k, v in defaults.items() if k != "dates"},
        **(regimes[dates] if dates is not None else {}),
        **{k: v for k, v in rule.items() if k != "dates"},
    }
    if "source_url" in filled and "source_url" not in rule and "provision" in filled:
        filled["source_url"] = filled["source_url"] + _anchor(str(filled["provision"]))
    return filled


def _anchor(provision: str) -> str:
    """Point into the consolidated text: `#art_5`, `#anx_III`."""
    words = provision.split()
    if len(words) < 2 or words[0] != "AIA":
        return ""
    if words[1] == "Annex":
        return f"#anx_{words[2]}"
    return f"#art_{words[1].split('(')[0].split('-')[0].rstrip(',;')}"


def problems() -> list[str]:
    """Name everything that is wrong with the rule files; empty when they are in order.

    Looks at: a missing citation field, an unknown field or value, an EUR-Lex link where European law is cited, an id
    used twice, a condition on something that does not exist, a question asked on the ground of a later one, a
    question without `unknown`, a class or route without a place in the order, and coverage of a duty that is not there.
    """
    found: list[str] = []
    found_rules = list(_raw_rules())
    for kind, where, rule in found_rules:
        if kind not in ("questions", *_CITED, *_PLAIN):
            found.append(f"{where}: `{kind}` is not a kind of rule")
            continue
        if kind == "questions" or kind in _CITED:
            found += [f"{where}: `{field}` is missing" for field in CITATION if field not in rule]
            url = str(rule.get("source_url", ""))
            european = str(rule.get("provision", "")).split(" ")[0] in ("AIA", "GDPR", "Directive", "Regulation")
            if european and not url.startswith("https://eur-lex.europa.eu/"):
                found.append(f"{where}: source_url must be an EUR-Lex link")
        model = Question if kind == "questions" else {**_CITED, **_PLAIN}[kind]
        try:
            model.model_validate(rule)
        except ValidationError as error:
            found += [f"{where}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    if found:
        return found
    for version in versions():
        found += [f"{version.key}: {problem}" for problem in _incoherent(load(version.version))]
    return found


def _incoherent(rules: Rules) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for kind, rule in rule_ids(rules):
        if (kind, rule.id) in seen:
            yield f"{kind} {rule.id}: the id is used twice"
        seen.add((kind, rule.id))
    everything = _union_of_atoms()
    position = {q.id: i for i, q in enumerate(rules.questions)}
    for where, named in _conditions(rules):
        for atom in atoms(named):
            if atom not in everything and not atom.startswith(PROFILE):
                yield f"{where}: `{atom}` does not exist"
    for question in rules.questions:
        if not any(o.id == UNKNOWN for o in question.options):
            yield f"questions {question.id}: `{UNKNOWN}` is not among the options"
        options = {o.id for o in question.options}
        if not set(question.fork) <= options:
            yield f"questions {question.id}: `fork` names an option that does not exist"
        for condition in (question.asked_when, *(o.offered_when for o in question.options)):
            for needed in _needed(condition, rules):
                if position.get(needed, -1) >= position[question.id]:
                    yield f"questions {question.id}: is asked on the ground of `{needed}`, which comes no earlier"
    placed = [r for step in rules.order for r in (*step.routes, *step.beside)]
    for route in rules.routes:
        if placed.count(route.id) != 1:
            yield f"routes {route.id}: must stand in the order once"
    names = {r.id for r in rules.routes}
    yield from (f"order: route `{r}` does not exist" for r in placed if r not in names and r not in _all_ids("routes"))
    roles = {r.id for r in rules.roles}
    yield from (f"duties {d.id}: role `{d.role}` does not exist" for d in rules.duties if d.role not in roles)
    for former in former_questions():
        if former.now not in rules.asked:
            continue
        lost = {new for new in former.options.values() if new is not None} - rules.asked[former.now].options
        yield from (f"formerly {former.question}: `{former.now}={option}` does not exist" for option in sorted(lost))
    duties = _all_ids("duties")
    yield from (f"coverage: duty `{c.duty}` does not exist" for c in rules.coverage if c.duty not in duties)


def _all_ids(kind: str) -> set[str]:
    return {str(rule["id"]) for found, _, rule in _raw_rules() if found == kind}


def _union_of_atoms() -> set[str]:
    """All that a condition may name in any version: a rule of one version may speak of an option of another."""
    known = {f"@{name}" for name in _all_ids("definitions")}
    for kind, _, rule in _raw_rules():
        if kind == "questions":
            known |= {f"{rule['id']}={option['id']}" for option in rule["options"]}
    return known


def _conditions(rules: Rules) -> Iterator[tuple[str, Condition]]:
    for kind, rule in rule_ids(rules):
        for field in ("when", "asked_when", "lifted_when", "ends_when"):
            condition = getattr(rule, field, None)
            if isinstance(condition, str | Combination):
                yield f"{kind} {rule.id}.{field}", condition
        for option in getattr(rule, "options", ()):
            if option.offered_when is not None:
                yield f"{kind} {rule.id}.{option.id}", option.offered_when
        for extra in (*getattr(rule, "variants", ()), *getattr(rule, "notes", ())):
            if extra.when is not None:
                yield f"{kind} {rule.id}", extra.when
    for step in rules.order:
        if step.ends_when is not None:
            yield f"order {step.risk_class}", step.ends_when


def _needed(condition: Condition | None, rules: Rules) -> set[str]:
    """Find the questions that a condition rests on, through definitions."""
    if condition is None:
        return set()
    needed: set[str] = set()
    for atom in atoms(condition):
        if atom.startswith("@"):
            needed |= _needed(rules.named.get(atom[1:]), rules)
        elif not atom.startswith(PROFILE):
            needed.add(atom.partition("=")[0])
    return needed


def schema() -> dict[str, Any]:
    """Describe the rules of one version as JSON Schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of the AI Act, one version",
        **Rules.model_json_schema(by_alias=True),
    }
