"""Write the pages that follow from the rules: `docs/law.md` and `docs/reference/rules.schema.json`.

Run `python -m tests.checks.ai_act.reference_pages` from the root of the checkout after changing a rule.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from checks.ai_act import rules as law
from checks.ai_act.logic import Condition
from checks.ai_act.rules import Cited, Rules

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "law.md"
SCHEMA = ROOT / "docs" / "reference" / "rules.schema.json"

_INTRO = """\
# The law in this product

*This is an isolated test environment. It is not a regulatory sandbox under Article 57 of Regulation (EU) 2024/1689,
not a conformity assessment and not legal advice.*

This page is made from the rule files in `checks/ai_act/rules/`; it says which rule stands for which provision. Do not
edit it by hand: change the rules and run `python -m tests.checks.ai_act.reference_pages`.

Rules of version `{version}`. The text they follow is Regulation (EU) 2024/1689 as amended by Regulation (EU) 2026/1744
(in force since 27 July 2026), consolidated as CELEX {text}. A consolidation has no legal force; the Official Journal
does. The amended text was read in public verbatim copies, not on EUR-Lex itself: before a release, a person compares
the rules with EUR-Lex. The rules of the text of 2024 can be loaded as `{original}`.

## How a class is found

Each question has options; each option speaks to a provision. A route is a condition on answers that brings a system
into a class. The classes are tested in the order of the table below, and the heaviest that holds is the class; all
routes that hold are listed. An answer that is missing counts as not known, never as no: as long as it could change the
class, the class is `undetermined`, with what is still possible and the questions that would decide. A route that does
not apply yet on the day asked about is listed with `counts: false` if only its date keeps it from giving the class: so
with the two practices that are prohibited from 2 December 2026. High-risk routes give the class before their date;
their duties say `not_yet_due`.

The system is classified as it is meant to be used. That it is being tested here changes nothing (Article 2(8) is a
note).

## What the dates mean

`Applies from` is the date by the text as it stands and the one that is computed with; `text of 2024` is the date before
the change of July 2026 (`-`: the text of 2024 did not have the rule). For Articles 43, 47 to 49, 72, 73 and 86 the date
is **contested**: by the letter they apply since 2 August 2026, but they attach to a classification that applies only
from 2 December 2027 (Annex III) or 2 August 2028 (Annex I). Both readings are shown wherever such a duty is; the later
is computed with. Confirm with the authority.

## When the law moves

The rules of each state of the law can be loaded by version, and `aiact-sandbox judge DOSSIER --rules VERSION`
classifies a stored dossier under another one; `aiact-sandbox compare BEFORE AFTER` says what came, went and moved.
The change of July 2026 is the worked example, held by a test: under `{original}` (the text of 2024) a dossier has the
dates of the last column and knows neither of the practices of Article 5(1)(ba) and (bb); under `{version}` the
high-risk duties of Annex III move from 2 August 2026 to 2 December 2027 and those of Annex I from 2 August 2027 to 2
August 2028, machinery moves from Section A to Section B, and the two practices are prohibited from 2 December 2026.
Why, per rule, stands in the column `Changed by`. A change is made by adding rules and dates, never by editing what an
old dossier was judged by.

## How far a rule was checked

| Word | Meaning |
| --- | --- |
{confidence}

What rests on draft guidelines says `draft`: in the path, on the option, and on the route as its basis. Options without
a row of their own have the confidence of their question.
"""


def law_page(rules: Rules) -> str:
    """Make the page that maps provisions to rules, from the rules and their English words."""
    words = _words("law")
    asked = _words("questions")
    parts = [
        _INTRO.format(
            version=rules.version,
            text=rules.questions[0].text_version,
            original=law.versions()[1].version,
            confidence="\n".join(f"| {k} | {v} |" for k, v in words["confidence"].items()),
        ),
        "## Classes, in the order of testing\n\n| Class | Routes |\n| --- | --- |\n"
        + "\n".join(
            f"| `{s.risk_class}` | {', '.join(f'`{r}`' for r in (*s.routes, *s.beside))} |" for s in rules.order
        ),
        _section("Routes into a class", rules.routes, lambda r: words["routes"][r.id]),
        _section("Overlays", rules.overlays, lambda r: words["overlays"][r.id]),
        _section("Duties", rules.duties, lambda r: f"{words['roles'][r.role]}: {words['duties'][r.id]['name']}"),
        _section("Roles", rules.roles, lambda r: words["roles"][r.id]),
        _section("Questions", rules.questions, lambda r: asked["questions"][r.id]["text"]),
        _options(rules, asked),
        _section("Notions that conditions are made of", rules.definitions, lambda r: _condition(r.when)),
        _section("Provisions that change no class and make no duty here", rules.notes, lambda r: words["notes"][r.id]),
        _section("Timetable", rules.timetable, lambda r: words["timetable"][r.id]),
        _section("Other law to check (never classified)", rules.other_law, lambda r: words["other_law"][r.id]),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def schema_text() -> str:
    """Make the JSON Schema of the rules as text."""
    return json.dumps(law.schema(), indent=2, sort_keys=True) + "\n"


def provisions(rules: Rules) -> Iterator[str]:
    """Walk all provisions that some rule, option or duty speaks for."""
    for _, rule in law.rule_ids(rules):
        yield rule.provision
    for duty in rules.duties:
        yield from duty.covers
    for question in rules.questions:
        yield from (o.provision for o in question.options if o.provision)


def _words(name: str) -> dict[str, Any]:
    path = ROOT / "model_cards" / "locale" / "en" / f"{name}.yaml"
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _section(title: str, rules: tuple[Cited, ...], words: Any) -> str:
    rows = [
        f"| {_provision(r)} | `{r.id}` | {words(r)} | {_date(r)} | {r.applies_from_original or '-'} "
        f"| {r.changed_by or '-'} | {r.confidence} |"
        for r in rules
    ]
    head = "| Provision | Rule | What | Applies from | Text of 2024 | Changed by | Confidence |"
    return f"## {title}\n\n{head}\n|{' --- |' * 7}\n" + "\n".join(rows)


def _provision(rule: Cited) -> str:
    also = getattr(rule, "covers", ())
    return ", ".join((f"[{rule.provision}]({rule.source_url})", *also))


def _date(rule: Cited) -> str:
    text = str(rule.applies_from or "-")
    for variant in getattr(rule, "variants", ()):
        text += f"; {variant.applies_from} where `{variant.when}`"
    other = getattr(rule, "applies_from_other_reading", None)
    return f"{text}; **contested**: {other} by the letter" if other else text


def _condition(condition: Condition) -> str:
    if isinstance(condition, str):
        return f"`{condition}`"
    for word, parts in (("all of", condition.all), ("any of", condition.any), ("none of", condition.none)):
        if parts is not None:
            return f"{word} ({', '.join(_condition(p) for p in parts)})"
    return ""


def _options(rules: Rules, asked: dict[str, Any]) -> str:
    rows = []
    for question in rules.questions:
        own = asked["questions"][question.id].get("options", {})
        rows += [
            f"| {o.provision or question.provision} | `{question.id}={o.id}` "
            f"| {own.get(o.id, asked['common'].get(o.id))} | {o.confidence or question.confidence} |"
            for o in question.options
            if o.provision or o.confidence
        ]
    head = "| Provision | Option | What | Confidence |\n| --- | --- | --- | --- |\n"
    return "## Options that speak to a provision of their own\n\n" + head + "\n".join(rows)


if __name__ == "__main__":
    PAGE.write_text(law_page(law.load()), encoding="utf-8")
    SCHEMA.parent.mkdir(parents=True, exist_ok=True)
    SCHEMA.write_text(schema_text(), encoding="utf-8")
