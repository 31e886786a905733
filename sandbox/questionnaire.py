"""The AI Act questionnaire outside a submission: as a form to fill in, and what follows from one."""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from checks.ai_act import rules as law
from checks.ai_act.answers import check_answers
from checks.ai_act.classify import classify as classify_declaration
from checks.ai_act.classify import questionnaire
from checks.ai_act.logic import UNKNOWN
from checks.ai_act.risk import Risk
from checks.declaration import Declaration
from model_cards.words import Words
from sandbox.errors import Problem, Refused
from sandbox.intake.problems import problem
from sandbox.intake.quarantine import MANIFEST
from sandbox.intake.strict_yaml import read_yaml

LARGEST_BYTES = 1024**2
READ = "primary"
"""How a rule was checked whose text was read in the law itself: of every other one a reader is told."""
ORGANISATION = {"roles": ["provider"], "public_body": "no", "size": "small", "country": "NL"}
"""What the form says of the organisation until a person changes it."""


def form(lang: str) -> str:
    """Write the questionnaire as YAML with a comment above each question.

    Args:
        lang: language of the comments; ids are the same in every language.

    Returns:
        A form in which every answer is `unknown`: it can be classified as it stands.
    """
    words = Words(lang)
    lines = [f"# {line}" for line in words.many("terminal").get("form", ())]
    lines += ["", f"# {words('terminal.form_organisation')}", "organisation:"]
    for name, value in ORGANISATION.items():
        lines.append(f"  {name}: {'[' + ', '.join(value) + ']' if isinstance(value, list) else value}")
    lines += ["", "answers:"]
    for question in questionnaire(law.load()):
        lines += ["", *_commented(words.question(question.id), "  # ")]
        lines.append(f"  # ({question.provision})")
        stated = words.many(f"questions.questions.{question.id}")
        if stated.get("explanation"):
            lines += _commented(str(stated["explanation"]), "  #   ")
        for example in stated.get("examples", ()):
            lines += _commented(f"{words('terminal.form_examples')}: {example}", "  #   - ")
        if question.asked_when is not None:
            lines.append(f"  #   ({words('terminal.form_asked')})")
        if question.kind == "multi":
            lines.append(f"  #   ({words('terminal.form_several')})")
        for option in question.options:
            given = option.offered_when if isinstance(option.offered_when, str) else None
            only = f" ({words('terminal.form_offered', answers=given)})" if given is not None else ""
            lines += _commented(f"{option.id}: {words.answer(question.id, option.id)}{only}", "  #     ")
        lines.append(f"  {question.id}: unknown")
    return "\n".join(lines) + "\n"


def _commented(text: str, mark: str) -> list[str]:
    later = mark.replace("-", " ")
    return textwrap.wrap(" ".join(text.split()), width=110, initial_indent=mark, subsequent_indent=later)


def classify(path: Path | str, *, as_of: dt.date | None = None) -> Risk:
    """Classify from a form, from a file of answers, or from a submission. No model is needed.

    Args:
        path: a form as printed, a file with answers by question id, or a folder with `submission.yaml`. In a
            submission the organisation is what `submission.yaml` says; else what the form says, or `ORGANISATION`.
        as_of: the date that law is applied at; today where not given.

    Returns:
        The indicated class, based on the answers, with routes, path, duties and what would decide.

    Raises:
        Refused: a file is missing or is not YAML, a question or an answer is not one; all problems at once.
    """
    declaration = _declared(*_stated(Path(path)))
    rules = law.load()
    wrong = [
        problem(
            f"answers.{p.question}",
            f"answers.{p.code}",
            question=p.question,
            answer=p.answer,
            allowed=", ".join(p.allowed),
        )
        for p in check_answers(declaration.answers, rules)
    ]
    if wrong:
        raise Refused(wrong)
    return classify_declaration(declaration, rules, as_of=as_of or dt.date.today())


def _stated(path: Path) -> tuple[Mapping[str, Any], Any]:
    """Read the answers, and what is said of the organisation: by the submission that names them, else by the form."""
    folder, name = (path, None) if path.is_dir() else (path.parent, path.name)
    stated = _read(folder / MANIFEST) if name is None or (folder / MANIFEST).is_file() else {}
    named = stated.get("answers")
    if name is None and not isinstance(named, str):
        raise Refused(Problem(field="answers", code="answers.absent", message="the submission names no answers file"))
    content = _read(folder / (name or str(named)))
    answers = content.get("answers")
    if name is None or name == named:
        system = stated.get("system")
        system = system if isinstance(system, Mapping) else {}
        provider = system.get("provider")
        given = {**system, **(provider if isinstance(provider, Mapping) else {})}
        organisation = {n: given[n] for n in ORGANISATION if n in given}
    else:
        organisation = content.get("organisation", ORGANISATION) if isinstance(answers, Mapping) else ORGANISATION
    return (answers if isinstance(answers, Mapping) else content), organisation


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
    except OSError as gone:
        message = f"{path} cannot be read: {gone.strerror}"
        raise Refused(Problem(field=path.name, code="file.unreadable", message=message)) from gone
    content = read_yaml(text, path.name).content
    if not isinstance(content, dict):
        message = "must hold one answer per line, as in `gpai: no`"
        raise Refused(Problem(field=path.name, code="yaml.no_mapping", message=message))
    return content


def _declared(answers: Mapping[str, Any], organisation: Any) -> Declaration:
    """Put answers and organisation into a declaration that says nothing else."""
    given = organisation if isinstance(organisation, Mapping) else {}
    provider = {"name": "-"} | {n: given[n] for n in ("size", "country") if n in given}
    system = {"name": "-", "version": "-", "intended_purpose": "-", "provider": provider}
    system |= {n: given[n] for n in ("roles", "public_body") if n in given}
    try:
        return Declaration.model_validate({"system": system, "answers": dict(answers)})
    except ValidationError as invalid:
        raise Refused(
            [
                Problem(
                    field=".".join(str(part) for part in error["loc"]).replace("system.", "organisation."),
                    code="field.invalid",
                    message=error["msg"],
                )
                for error in invalid.errors(include_url=False)
            ]
        ) from None


def told(risk: Risk, lang: str) -> str:
    """Say a classification in words.

    Args:
        risk: from `classify`.
        lang: language of the words.
    """
    return "\n".join(_told(risk, Words(lang)))


def _told(risk: Risk, words: Words) -> Iterator[str]:
    yield f"{words('terminal.class')}: {words.class_name(risk.risk_class)}"
    if risk.possible:
        yield f"{words('terminal.possible')}: {words.joined([words.class_name(c) for c in risk.possible])}"
    if risk.undecided_by:
        yield f"{words('terminal.decide')}:"
        yield from (f"  - {words.question(q)}" for q in risk.undecided_by)
    if risk.routes:
        yield f"{words('terminal.routes')}:"
        for route in risk.routes:
            since = _since(route.applies_from, risk.as_of, words)
            contested = f" ({words('terminal.contested')})" if route.contested else ""
            yield f"  - {words.class_name(route.risk_class)}: {route.provision}, {since}{contested}"
            if route.basis != "text":
                yield f"    {words(f'law.basis.{route.basis}')}."
    if risk.overlays:
        yield f"{words('terminal.overlays')}: {words.joined([words.overlay(o) for o in risk.overlays])}"
    if answered := [step for step in risk.path if step.answer != UNKNOWN]:
        yield f"{words('terminal.path')}:"
        for step in answered:
            yield f"  - {words.question(step.question)} {words.answer(step.question, step.answer)} ({step.provision})"
            if step.confidence != READ:
                yield f"    {words(f'law.confidence.{step.confidence}')}."
    if risk.duties:
        yield f"{words('terminal.duties')}:"
        for duty in risk.duties:
            since = _since(duty.applies_from, risk.as_of, words)
            contested = f" ({words('terminal.contested')})" if duty.contested else ""
            role = words.role(duty.role)
            when = f"{since}{contested}" if duty.status != "not_applicable" else words(f"law.statuses.{duty.status}")
            yield f"  - {role}: {words.duty(duty.id)} ({duty.provision}), {when}"
            yield from (f"    {words.duty_note(note)}" for note in duty.notes)
            if other := duty.applies_from_other_reading:
                dates = {"other_reading": words.date(other), "applies_from": words.date(duty.applies_from)}
                yield f"    {words('law.contested', **dates)}"
    if risk.other_law:
        yield f"{words('law.other_law_heading')}:"
        for other_law in risk.other_law:
            yield f"  - {words.other_law(other_law.id)} ({other_law.provision})"
            if other_law.confidence != READ:
                yield f"    {words(f'law.confidence.{other_law.confidence}')}."
    yield words("terminal.as_of", date=words.date(risk.as_of), version=risk.rules_version)
    yield words("card.statement.text")


def _since(applies_from: dt.date | None, as_of: dt.date, words: Words) -> str:
    key = "terminal.since" if applies_from is not None and applies_from <= as_of else "terminal.from"
    return words(key, date=words.date(applies_from))
