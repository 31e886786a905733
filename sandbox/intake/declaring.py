"""Turns the files a person wrote into a `Declaration`, or into every problem there is, each with its field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from checks.declaration import Declaration, Inputs, Predictions
from sandbox.errors import Problem, Refused
from sandbox.intake import croissant
from sandbox.intake.problems import Gathered, listed, near, problem
from sandbox.intake.quarantine import MANIFEST
from sandbox.intake.strict_yaml import LARGEST_BYTES, read_yaml

_BY_FILE = {
    ("answers",): "answers",
    ("publication",): "publication",
    ("data", "datasheet"): "datasheet",
    ("model", "inputs"): "inputs",
}
"""Fields of `submission.yaml` that name a YAML file, and the field of the declaration that takes its content."""

_REMEMBERED_PATH = {("data", "datasheet"), ("model", "inputs")}


def declare(folder: Path, files: Mapping[str, str]) -> Declaration:
    """Read `submission.yaml` and the YAML files it names.

    Args:
        folder: the quarantine.
        files: what it holds, by path.

    Raises:
        Refused: with every independent problem: fields, files that are not there, limits that nothing measures.
    """
    if MANIFEST not in files:
        raise Refused(_no_manifest(files))
    written = read_yaml(_bytes(folder / MANIFEST), MANIFEST)
    if not isinstance(written.content, dict):
        raise Refused(problem(MANIFEST, "yaml.no_mapping", file=MANIFEST))
    gathered = Gathered()
    content = _with_files(written.content, folder, files, gathered)
    try:
        declaration = Declaration.model_validate(content)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            gathered.extend(_problems_of(error))
        # The files are looked for also where a field is wrong, so that one run tells both.
        _files_named(written.content, files, gathered)
        raise Refused(gathered.problems) from None
    for field, path in declaration.walk_files():
        _check_file(field, path, files, gathered)
    _check_limits(declaration, gathered)
    _check_answers(declaration, gathered)
    _check_hang_together(declaration, gathered)
    gathered.raise_if_any()
    return declaration


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_BYTES + 1)


def _no_manifest(files: Mapping[str, str]) -> Problem:
    candidates = [p for p in files if p.rpartition("/")[2].lower() in (MANIFEST, "submission.yml")]
    if candidates:
        return problem("", "submission.manifest_elsewhere", found=listed(sorted(candidates)))
    if not files:
        return problem("", "submission.empty")
    return problem("", "submission.manifest_absent")


def _with_files(content: dict[str, Any], folder: Path, files: Mapping[str, str], gathered: Gathered) -> dict[str, Any]:
    """Put what the named YAML files hold in the place of their names."""
    made = dict(content)
    for where, target in _BY_FILE.items():
        holder: Any = made
        for part in where[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        path = holder.get(where[-1]) if isinstance(holder, dict) else None
        if not isinstance(path, str):
            continue
        field = ".".join(where)
        read = _read_named(field, path, folder, files, gathered)
        if target == "answers" and read is not None and isinstance(read.get("answers"), dict):
            # A form as `aiact-sandbox questions` prints it; who the organisation is, the submission itself says.
            read = read["answers"]
        if target == "datasheet" and read is not None:
            read = _sheet(path, read, gathered)
            if isinstance(read.get("training"), str):
                of_training = _read_named(f"{field}.training", read["training"], folder, files, gathered)
                read["training"] = _sheet(read["training"], of_training or {}, gathered)
        if where not in _REMEMBERED_PATH:
            made.pop(target, None)
        if read is not None:
            made[target] = read
    return made


def _sheet(path: str, read: dict[str, Any], gathered: Gathered) -> dict[str, Any]:
    if not croissant.is_croissant(read):
        return read
    try:
        return dict(croissant.sheet(read, path))
    except Refused as refused:
        gathered.take(refused)
        return {}


def _read_named(
    field: str, path: str, folder: Path, files: Mapping[str, str], gathered: Gathered
) -> dict[str, Any] | None:
    if path not in files:
        _check_file(field, path, files, gathered)
        return None
    try:
        content = read_yaml(_bytes(folder / path), path).content
    except Refused as refused:
        gathered.take(refused)
        return None
    if content is None:
        return {}
    if not isinstance(content, dict):
        gathered.add(path, "yaml.no_mapping", file=path)
        return None
    return content


def _check_file(field: str, path: str, files: Mapping[str, str], gathered: Gathered) -> None:
    if path in files or (field == "model.file" and any(f.startswith(path + "/") for f in files)):
        return
    close = near(path, files)
    if close:
        gathered.add(field, "file.absent_near", path=path, near=close[0])
    else:
        gathered.add(field, "file.absent", path=path)


def _files_named(content: Mapping[str, Any], files: Mapping[str, str], gathered: Gathered) -> None:
    places = [("model", "file"), ("model", "requirements"), ("predictions", "file"), ("counts", "file")]
    places += [("data", name) for name in ("file", "training", "population")]
    for section, name in places:
        holder = content.get(section)
        path = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(path, str) and path.strip() and ".." not in path and not path.startswith("/"):
            _check_file(f"{section}.{name}", path.strip(), files, gathered)
    documents = content.get("documents")
    for i, path in enumerate(documents if isinstance(documents, list) else []):
        if isinstance(path, str) and ".." not in path and not path.startswith("/"):
            _check_file(f"documents.{i}", path.strip(), files, gathered)


# ---- what pydantic says, as problems


def _problems_of(error: ErrorDetails) -> list[Problem]:
    loc = _plain_location(error["loc"])
    field = ".".join(str(part) for part in loc)
    context = error.get("ctx", {})
    given = error.get("input")
    said = str(given) if isinstance(given, str | int | float) else ""
    if len(loc) > 1 and loc[0] == "answers" and error["type"].endswith("_type"):
        return [problem(".".join(str(part) for part in loc[:2]), "field.not_answer")]
    match error["type"]:
        case "missing":
            return [problem(field, "field.missing", field=field)]
        case "extra_forbidden":
            return [_unknown(loc)]
        case "value_error":
            return _own_words(field, str(context.get("error", error["msg"])))
        case "enum" | "literal_error":
            allowed = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
            close = near(said, allowed.split(", ")) if said else []
            if close:
                return [problem(field, "field.not_one_of_near", given=said, allowed=allowed, near=close[0])]
            return [problem(field, "field.not_one_of", given=said, allowed=allowed)]
        case "bool_parsing" | "bool_type":
            return [problem(field, "field.not_boolean", given=said)]
        case "int_parsing" | "int_type" | "int_from_float":
            return [problem(field, "field.not_whole", given=said)]
        case "float_parsing" | "float_type" | "finite_number":
            return [problem(field, "field.not_number", given=said)]
        case "string_too_short":
            return [problem(field, "field.too_short", least=int(context.get("min_length", 1)))]
        case "string_too_long":
            return [problem(field, "field.too_long", most=int(context.get("max_length", 0)))]
        case "string_pattern_mismatch":
            return [problem(field, "field.pattern", given=said, form=_form_of(str(context.get("pattern", ""))))]
        case "greater_than_equal" | "less_than_equal":
            bound = context.get("ge", context.get("le", ""))
            return [problem(field, "field.out_of_range", given=said, bound=str(bound))]
        case kind if kind.startswith("date"):
            return [problem(field, "field.not_date", given=said)]
        case "string_type":
            return [problem(field, "field.not_text", field=field)]
        case "tuple_type" | "list_type":
            return [problem(field, "field.not_list", field=field)]
        case "model_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            return [problem(field, "field.not_mapping", field=field)]
        case _:
            return [problem(field, "declaration.rule", text=str(error["msg"]))]


def _form_of(pattern: str) -> str:
    forms = {
        "^[A-Z]{2}$": "NL",
        "^[a-z]{2,3}$": "nl",
    }
    return forms.get(pattern, pattern)


_UNION_PARTS = re.compile(r"^(str|int|float|bool|tuple\[.*|constrained-str|function-.*|\[key\])$")


def _plain_location(location: Sequence[str | int]) -> tuple[str | int, ...]:
    """Leave out of a location what pydantic adds of its own, and give `default` the place where a person wrote it."""
    plain = tuple(part for part in location if not (isinstance(part, str) and _UNION_PARTS.match(part)))
    if plain == ("data", "default_role"):
        return ("data", "columns", "default")
    return plain


def _unknown(loc: tuple[str | int, ...]) -> Problem:
    field = ".".join(str(part) for part in loc)
    name = str(loc[-1])
    known = sorted(_fields_at(Declaration, loc[:-1]))
    if loc[:-1] == ("data",):
        known = [n for n in known if n != "default_role"]
    close = near(name, known)
    if close:
        return problem(field, "field.unknown_near", name=name, near=close[0])
    elsewhere = _found_elsewhere(name, loc[:-1])
    if elsewhere:
        return problem(field, "field.unknown_elsewhere", name=name, elsewhere=elsewhere)
    return problem(field, "field.unknown", name=name, known=", ".join(known))


def _found_elsewhere(name: str, here: tuple[str | int, ...]) -> str | None:
    for section in ("", "system", "model", "data", "predictions"):
        if (section,) != here and name in _fields_at(Declaration, (section,) if section else ()):
            return f"{section}.{name}" if section else name
    return None


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> set[str]:
    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            current = _inner(field.annotation) if field is not None else None
        elif get_origin(current) in (dict, tuple, list):
            current = _inner(next(a for a in reversed(get_args(current)) if a is not Ellipsis))
        else:
            return set()
    return set(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else set()


def _inner(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return _inner(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _inner(next(a for a in get_args(annotation) if a is not NoneType))
    return annotation


_OWN_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("declaration.score_of_missing", re.compile(r"^score_of: is required where output is (?P<output>\w+);")),
    ("declaration.predictions_unnamed", re.compile(r"^decision: name the column that holds the decisions")),
    ("declaration.predictions_score_of", re.compile(r"^score_of: is required with score;")),
    ("declaration.no_classes", re.compile(r"^classes: must be left out for a regression")),
    ("declaration.class_twice", re.compile(r"^classes: the same class is named twice")),
    ("declaration.two_classes", re.compile(r"^classes: name the two classes of a binary task; (?P<count>\d+) given")),
    ("declaration.three_classes", re.compile(r"^classes: name at least three classes .*; (?P<count>\d+) given")),
    (
        "declaration.not_a_class",
        re.compile(r"^(?:[\w.]+): (?P<given>.*) is not one of (?:the|data\.) ?classes (?P<known>.*)$"),
    ),
    ("declaration.one_label", re.compile(r"^columns: only one column can be the label; (?P<columns>.*) given")),
    ("declaration.one_weight", re.compile(r"^columns: only one column can be the weight; (?P<columns>.*) given")),
    ("declaration.no_bound", re.compile(r"^at_least: give at_least or at_most")),
    ("declaration.crossed_bounds", re.compile(r"^at_least: is larger than at_most")),
    ("declaration.one_route", re.compile(r"^\w+: give only one of model, predictions and counts; (?P<given>.*) given")),
    ("declaration.data_missing", re.compile(r"^data: is required with model, predictions or counts")),
    ("declaration.data_file_missing", re.compile(r"^data\.file: is required with a model")),
    ("declaration.value_and_regression", re.compile(r"^model\.output: value belongs to a regression")),
    ("declaration.limit_form", re.compile(r"^limits\.(?P<limit>.*): write family\.check\.measure")),
    ("declaration.outside", re.compile(r"^give a path inside the submission")),
)
"""The rules that the declaration itself states, so that they have words in every language."""

_NEXT_RULE = re.compile(r"; (?=[a-z_][\w.]*: )")
_RULE_FIELD = re.compile(r"^(?P<field>[a-z_][\w.<>= -]*?): ")


def _own_words(field: str, text: str) -> list[Problem]:
    """Split what a validator of the declaration says: it may hold several rules, each of a field of its own."""
    made = []
    for part in _NEXT_RULE.split(text):
        named = _RULE_FIELD.match(part)
        inner = named["field"] if named else ""
        where = f"{field}.{inner}" if field and inner else (inner or field)
        for code, pattern in _OWN_WORDS:
            found = pattern.search(part)
            if found:
                made.append(problem(where, code, **found.groupdict()))
                break
        else:
            words = part[named.end() :] if named else part
            made.append(problem(where, "declaration.rule", text=words))
    return made


# ---- what only shows when the fields are right


def _check_limits(declaration: Declaration, gathered: Gathered) -> None:
    if not declaration.limits:
        return
    from checks.registry import catalogue

    measures = {check.code: check.gives for check in catalogue()}
    known = [f"{code}.{measure}" for code, gives in measures.items() for measure in gives]
    for limit in declaration.limits:
        code, _, measure = limit.rpartition(".")
        if code in measures and measure in measures[code]:
            continue
        field = f"limits.{limit}"
        if code in measures:
            gives = ", ".join(measures[code])
            if gives:
                gathered.add(field, "limits.no_such_measure", check=code, measure=measure, gives=gives)
            else:
                gathered.add(field, "limits.measures_nothing", check=code)
            continue
        close = near(limit, known, most=3)
        if close:
            gathered.add(field, "limits.no_such_check_near", limit=limit, near=", ".join(close))
        else:
            gathered.add(field, "limits.no_such_check", limit=limit, known=listed(sorted(measures), most=40))


def _check_answers(declaration: Declaration, gathered: Gathered) -> None:
    if not declaration.answers:
        return
    from checks.ai_act import rules
    from checks.ai_act.answers import check_answers

    law = rules.load()
    questions = [question.id for question in law.questions]
    for found in check_answers(declaration.answers, law):
        field = f"answers.{found.question}"
        if found.code == "no_such_question":
            close = near(found.question, questions)
            if close:
                gathered.add(field, "answers.no_such_question_near", question=found.question, near=close[0])
            else:
                gathered.add(field, "answers.no_such_question", question=found.question)
        else:
            allowed = ", ".join(found.allowed)
            gathered.add(field, f"answers.{found.code}", answer=found.answer, allowed=allowed)


def _check_hang_together(declaration: Declaration, gathered: Gathered) -> None:
    data = declaration.data
    if data is None:
        return
    if not data.default_role.is_feature and data.default_role.value not in ("identifier", "ignore"):
        gathered.add("data.columns.default", "declaration.default_role", given=data.default_role.value)
    for column, bounds in data.bands.items():
        field = f"data.bands.{column}"
        if column not in data.attributes:
            gathered.add(field, "bands.no_group", column=column)
        if not bounds:
            gathered.add(field, "bands.empty", column=column)
        elif any(not float("-inf") < b < float("inf") for b in bounds):
            gathered.add(field, "bands.not_finite", column=column)
        elif any(a >= b for a, b in pairwise(bounds)):
            gathered.add(field, "bands.not_ascending", column=column)
    _check_predictions(declaration.predictions, declaration, gathered)
    _check_inputs(declaration.inputs, declaration, gathered)
    if declaration.counts is not None and data.task == "regression":
        gathered.add("counts", "counts.regression")


def _check_predictions(predictions: Predictions | None, declaration: Declaration, gathered: Gathered) -> None:
    data = declaration.data
    if predictions is None or data is None:
        return
    if data.task == "regression" and predictions.decision is None:
        gathered.add("predictions.decision", "predictions.value_missing")
    if predictions.decision is not None and predictions.decision == predictions.score:
        gathered.add("predictions.score", "predictions.same_column", column=predictions.decision)
    same_file = data.file is None or data.file == predictions.file
    for name in ("decision", "score"):
        column = getattr(predictions, name)
        if same_file and column is not None and column in data.columns:
            role = data.columns[column]
            if role.value not in ("ignore",):
                gathered.add(f"predictions.{name}", "predictions.has_role", column=column, role=role.value)


def _check_inputs(inputs: Inputs, declaration: Declaration, gathered: Gathered) -> None:
    data = declaration.data
    assert data is not None
    doubled = sorted({n for n in inputs.order if inputs.order.count(n) > 1})
    if doubled:
        gathered.add("inputs.order", "inputs.doubled", columns=", ".join(doubled))
    for column, values in inputs.categories.items():
        field = f"inputs.categories.{column}"
        if len(set(values)) != len(values):
            gathered.add(field, "inputs.category_twice", column=column)
        stated = inputs.types.get(column)
        if stated is not None and stated.value != "category":
            gathered.add(field, "inputs.category_type", column=column, type=stated.value)
    for part, named in (("order", inputs.order), ("types", inputs.types), ("categories", inputs.categories)):
        for column in named:
            if not data.role(column).is_feature:
                role = data.role(column).value
                gathered.add(f"inputs.{part}.{column}", "inputs.no_feature", column=column, role=role)
