"""Read what was filled in on a page of the wizard: as it was typed, cut to a length, judged elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from checks.declaration import ColumnRole, Output, ProviderLimit, Role, Route, Sampling, Size, Task
from sandbox.drafting import optional
from sandbox.drafting.writing import TERMS_VERSION
from sandbox.sealing_limits import Seal, sealed
from sandbox.web.words import visible

Form = MultiDict[str, str]

SHORT, LONG = 200, 20_000
BASES: Final = ("consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests")
"""The lawful bases of Art 6(1)(a) to (f) of the GDPR, in its order."""

BASIS_TEXT: Final[Mapping[str, str]] = {
    name: f"GDPR Art 6(1)({letter}): {name.replace('_', ' ')}" for name, letter in zip(BASES, "abcdef", strict=True)
}
"""How the data sheet of the submission says it."""

PERSONAL: Final = ("no", "yes", "special")
NEW_LIMITS: Final = 3
"""Empty lines for limits beyond those that are there."""


def text(form: Form, name: str, longest: int = SHORT) -> str:
    """Give one line or text of a form as a reader will see it: without blanks around it, and nothing hidden in it."""
    lines = form.get(name, "").strip()[:longest].replace("\t", " ").splitlines()
    return "\n".join(visible(line, longest) for line in lines)


def label(form: Form, name: str) -> str:
    """Give a label or the name of a column as the table has it, letter by letter."""
    return form.get(name, "").strip()[:SHORT]


def as_typed(form: Form, name: str) -> str:
    """Give lines that name columns and groups as the table has them, letter by letter."""
    return "\n".join(optional.lines(form.get(name, "")[:LONG]))


def one_of(form: Form, name: str, allowed: Sequence[str]) -> str:
    """Give one of the values that are offered, or an empty text."""
    given = form.get(name, "")
    return given if given in allowed else ""


def system(form: Form) -> dict[str, Any]:
    """Read the page on the system."""
    return {
        "name": text(form, "name"),
        "version": text(form, "version"),
        "intended_purpose": text(form, "intended_purpose", LONG),
        "description": text(form, "description", LONG),
        "licence": text(form, "licence"),
        "languages": [part.lower() for part in text(form, "languages").replace(",", " ").replace(";", " ").split()],
        "provider_name": text(form, "provider_name"),
        "provider_contact": text(form, "provider_contact"),
        "provider_country": text(form, "provider_country", 20).upper(),
        "provider_size": one_of(form, "provider_size", list(Size)),
        "roles": [role.value for role in Role if role.value in form.getlist("roles")],
        "public_body": one_of(form, "public_body", ("no", "yes")) or "no",
        "route": one_of(form, "route", list(Route)) or Route.DOCUMENTS.value,
    }


def terms(form: Form, before: Mapping[str, Any], who: str, most_days: int) -> dict[str, Any]:
    """Read the page on terms.

    Args:
        before: what was kept of it; who accepted the same terms before stays who accepted them.
        who: who accepts them now.
        most_days: how long the operator keeps data at most.
    """
    basis = one_of(form, "basis", BASES)
    days = text(form, "retention_days", 6)
    made: dict[str, Any] = {
        "personal_data": one_of(form, "personal_data", PERSONAL),
        "basis": basis,
        "lawful_basis": BASIS_TEXT.get(basis, ""),
        "special_ground": text(form, "special_ground", 2_000),
        "retention_days": min(max(int(days), 1), most_days) if days.isdecimal() else most_days,
        "until_review": form.get("until_review") == "yes",
        "knows_special": form.get("knows_special") == "yes",
    }
    made |= {name: text(form, name, 2_000) for name in optional.SHEET}
    made |= {(name := optional.OF_TRAINING + about): text(form, name, 2_000) for about in optional.SHEET}
    if form.get("accept") == TERMS_VERSION:
        is_same = before.get("accepted") == TERMS_VERSION and "accepted_by" in before
        made["accepted"] = TERMS_VERSION
        made["accepted_by"] = before["accepted_by"] if is_same else who
        made["accepted_at"] = before["accepted_at"] if is_same else dt.datetime.now(dt.UTC).isoformat("T", "seconds")
    return made


def lacking_terms(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List what of the terms must still be filled in before anything is uploaded: field and code of the words."""
    found = []
    if not given.get("personal_data"):
        found.append(("personal_data", "personal_data"))
    if given.get("personal_data") in ("yes", "special") and not given.get("basis"):
        found.append(("basis", "basis"))
    if given.get("personal_data") == "special":
        if not given.get("special_ground"):
            found.append(("special_ground", "special_ground"))
        if not given.get("knows_special"):
            found.append(("knows_special", "knows_special"))
    if given.get("accepted") != TERMS_VERSION:
        found.append(("accept", "accept"))
    return found


def files(form: Form) -> dict[str, Any]:
    """Read how the tables are written: nothing for what is found without being said."""
    delimiter = form.get("delimiter", "")[:10]
    made: dict[str, Any] = {"delimiter": "\t" if delimiter.strip().lower() == "tab" else delimiter.strip()}
    missing = [line[:SHORT] for line in optional.lines(form.get("missing"))[:100]]
    # An empty cell is missing whatever else is.
    made["missing"] = ["", *missing] if missing else []
    return {name: value for name, value in made.items() if value}


def columns(form: Form, names: Sequence[str], route: str) -> dict[str, Any]:
    """Read the page on columns.

    Args:
        names: of the columns, in the order in which the page showed them.
        route: one of `Route`.
    """
    roles, bands = {}, {}
    for place, name in enumerate(names):
        role = one_of(form, f"role-{place}", list(ColumnRole))
        if role:
            roles[name] = role
        bounds = text(form, f"bands-{place}")
        # Bands that were guessed for a group mean nothing once its column is none.
        if bounds and not (role and not ColumnRole(role).is_group):
            bands[name] = [part.strip() for part in bounds.replace(";", ",").split(",") if part.strip()]
    made: dict[str, Any] = {
        "task": one_of(form, "task", list(Task)),
        "classes": [line.strip()[:SHORT] for line in form.get("classes", "").splitlines()[:100] if line.strip()],
        "favourable": label(form, "favourable"),
        "threshold": text(form, "threshold", 30).replace(",", "."),
        "sampling": one_of(form, "sampling", list(Sampling)),
        "score_of": label(form, "score_of"),
        "roles": roles,
        "bands": bands,
        "population": as_typed(form, "population"),
    }
    if route == Route.MODEL:
        made |= {"output": one_of(form, "output", list(Output)), "allow_code": form.get("allow_code") == "yes"}
        made |= {name: as_typed(form, name) for part in ("order", *optional.NAMED) if (name := f"inputs_{part}")}
        made |= {name: text(form, name) for about in optional.TRAINING if (name := f"trained_{about}")}
    if route == Route.PREDICTIONS:
        made |= {"decision": label(form, "decision"), "score": label(form, "score")}
    return made


def limits(
    form: Form, before: Mapping[str, Any], claimable: Sequence[str], attributes: Sequence[str]
) -> dict[str, Any]:
    """Read the page on limits, and seal them with digest and time where each can be read as one.

    Args:
        before: what was kept of it; its seals stay.
        claimable: measures that can be claimed.
        attributes: that people are compared by, in the order in which the page showed them.
    """
    rows = []
    for place in range(100):
        code = text(form, f"code-{place}")
        if code:
            row = {n: text(form, f"{n}-{place}", 30).replace(",", ".") for n in ("at_least", "at_most")}
            row["reason"] = text(form, f"reason-{place}", 2_000)
            rows.append({"code": code, **{k: v for k, v in row.items() if v}})
    seals = [Seal.model_validate(seal) for seal in before.get("seals") or ()]
    try:
        stated = {row["code"]: ProviderLimit.model_validate({k: row[k] for k in row if k != "code"}) for row in rows}
    except ValidationError:
        stated = {}
    if stated and len(stated) == len(rows):
        made, is_new = sealed(stated, seals, dt.datetime.now(dt.UTC))
        seals += [made] if is_new else []
    made_of = {"rows": rows, "seals": [seal.model_dump(mode="json") for seal in seals], "seen": True}
    claims = {name: text(form, f"claim-{name}", 30).replace(",", ".") for name in claimable}
    differences = {
        attribute: {asked: text(form, f"{asked}-{place}", 2_000) for asked in optional.ANSWERS}
        for place, attribute in enumerate(attributes)
    }
    return made_of | {
        "claims": {name: value for name, value in claims.items() if value},
        "differences": {name: answers for name, answers in differences.items() if any(answers.values())},
    }


def publication(form: Form, before: Mapping[str, Any]) -> dict[str, Any]:
    """Read the page on what a register of algorithms and a fundamental rights impact assessment ask.

    Args:
        before: what was kept of it; what no page asks stays.
    """
    from model_cards.exports.algorithm_register import FIELDS
    from model_cards.exports.fria import POINTS

    fields: dict[str, Any] = {}
    for field in FIELDS:
        if field.kind == "choices":
            fields[field.key] = [choice for choice in field.choices if choice in form.getlist(field.key)]
        elif field.kind == "choice":
            fields[field.key] = one_of(form, field.key, field.choices)
        else:
            fields[field.key] = text(form, field.key, LONG)
    fria = {key: text(form, f"fria-{key}", LONG) for keys in POINTS.values() for key in keys}
    return {
        "fields": {key: value for key, value in fields.items() if value},
        "fria": {key: value for key, value in fria.items() if value},
        "further": before.get("further") or {},
        "seen": True,
    }
