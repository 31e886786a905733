"""Writes the start of a submission: a commented `submission.yaml` with what can be guessed from a model and its data.

Every guess is marked GUESS and every line that a person must fill in is marked EDIT. Nothing of the law is answered for
them, but where they name a sector, answers that are likely there stand as lines marked EXAMPLE, to be looked at one by
one. A guess is never silent: what it was guessed from stands beside it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict

from checks.declaration import Answer, ProviderLimit
from sandbox.cell.frames import As, Type
from sandbox.errors import Refused
from sandbox.intake.bundle import TABLE_FORMATS
from sandbox.intake.columns import MOST_UNBANDED, propose_bands
from sandbox.intake.problems import problem, shown
from sandbox.intake.quarantine import MANIFEST
from sandbox.intake.reading import Column, Head, Reading, reading
from sandbox.settings import Settings

_LABELS = (
    r"^(label|target|y|class|klasse|outcome|uitkomst|decision|besluit|result|resultaat)$",
    r"(label|target|outcome|uitkomst|default|approved|granted|toegekend|income|churn|hired|class|true)$",
)
_GROUPS = re.compile(
    r"(^|[_\W])(sex|gender|geslacht|race|ethnic\w*|etnicit\w*|origin|herkomst|nationalit\w*|nationaliteit|age|leeftijd|"
    r"language|taal|moedertaal|marital\w*|burgerlijke\w*|pregnan\w*|religion|religie|geloof|disab\w*|handicap|"
    r"birth\w*|geboorte\w*|migration\w*|migratie\w*)($|[_\W])",
    re.IGNORECASE,
)
_WEIGHTS = re.compile(r"^(fnlwgt|weights?|sample_?weights?|gewicht|weegfactor)$", re.IGNORECASE)
_UNITS = re.compile(r"^(household|huishouden|person|persoon|client|customer)(_?(id|nr|number|nummer))?$", re.IGNORECASE)
_IDENTIFIERS = re.compile(
    r"^(id|.*_id|uuid|guid|bsn|ssn|name|naam|e?mail|email_address|phone|telefoon|address|adres|iban)$", re.IGNORECASE
)
_DECISIONS = re.compile(r"^(decision|besluit|advice|advies|prediction|predicted\w*|yhat|y_pred|voorspelling)$", re.I)
_SCORES = re.compile(r"^(score|prob(ability)?|proba|p|kans|risk_?score)$", re.IGNORECASE)
_GOOD = re.compile(r"^(yes|ja|true|1|good|goed|approved?|granted|toegekend|accept(ed)?|positive|pass(ed)?|>.*)$", re.I)
_MOST_CLASSES = 20
_SAMPLED = 200
_COMMENT_AT = 36


class Sector(BaseModel):
    """What is usual in a sector: examples to start from, never an answer of law.

    Args:
        name, purpose: an example of a system.
        country, size, roles, public_body: of the usual provider.
        task, classes, favourable, decision, columns, bands, sampling: what a table of answers usually holds; `columns`
            gives the role of each beside the decision. Without a decision there is no example of a table.
        groups: why it is compared by that column.
        limits: examples of limits of one's own, each with its reason.
        answers: likely answers of the questionnaire.
        hints: lines of comment.
        outline: headings of the documentation.
        steps: the next three.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "My system"
    purpose: str = "What the system is for, who uses it, and on whom it is used."
    country: str | None = None
    size: str | None = None
    roles: tuple[str, ...] = ("provider",)
    public_body: bool = False
    task: str = "binary"
    classes: tuple[str, ...] = ()
    favourable: str | None = None
    decision: str | None = None
    columns: dict[str, str] = {}
    bands: dict[str, str] = {}
    sampling: str = "all"
    groups: dict[str, str] = {}
    limits: dict[str, ProviderLimit] = {}
    answers: dict[str, Answer] = {}
    hints: tuple[str, ...] = ()
    outline: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


def _sectors() -> Mapping[str, Sector]:
    text = resources.files("sandbox").joinpath("sectors.yaml").read_text(encoding="utf-8")
    return {name: Sector.model_validate(given) for name, given in yaml.safe_load(text).items()}


SECTORS: Mapping[str, Sector] = _sectors()
TABLE = "predictions.csv"
DOCUMENTATION = "technical_documentation.md"
_GENERAL_QUESTIONS = (
    *("exclusion", "how_it_works", "gpai", "practices", "product_acts", "areas"),
    *("interacts", "generates", "personal_data", "persons_decision"),
)

_DATASHEET = """# Where the evaluation data come from. What you leave empty counts as not stated.
origin:            # who gathered them, as in: own records of loan requests
collection:        # how
purpose:           # what they were gathered for
period:            # from when to when
population:        # whom they describe, and who is missing
licence:
personal_data:     # yes, no, special
lawful_basis:      # of using them here
cleaning:          # what was changed or left out
known_gaps:        # who or what is missing, and why
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One column of the data, as far as guesses need it.

    Args:
        name: as in the file.
        type: how it would be read.
        values: its different values as text, at most 1,000; empty where there are more.
        many: whether there are more.
        missing: how many rows lack it.
        rows: n.
        sample: the first values that differ, as text, at most 200.
    """

    name: str
    type: Type
    values: tuple[str, ...]
    many: bool
    missing: int
    rows: int
    sample: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.type in (Type.NUMBER, Type.WHOLE)


WHY: Mapping[str, str] = {
    "type": "its type is not read",
    "name": "by its name",
    "group": "by its name; write feature+group if it is also an input of the model",
    "texts": "nearly every row has another text",
    "label": "by its name or place, and its few different values",
    "answer": "by its name: an answer is no input",
    "score": "by its name: a score is no feature",
}
"""What a role can be guessed from."""


@dataclass(slots=True)
class Guess:
    """What was guessed of the data.

    Args:
        label: the label column, if one stands out.
        task: binary, multiclass or regression.
        classes: of the label.
        favourable: one of them.
        roles: of the columns that are no plain features.
        bands: of numeric groups.
        why: what each role was guessed from, by column: a key of `WHY`.
        decision: the column with decisions, where one stands out beside the label.
        score: the column with scores.
    """

    label: str | None = None
    task: str = "binary"
    classes: tuple[str, ...] = ()
    favourable: str | None = None
    roles: dict[str, str] = field(default_factory=dict)
    bands: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    decision: str | None = None
    score: str | None = None


def start(
    folder: Path,
    *,
    sector: str | None = None,
    from_model: Path | None = None,
    from_data: Path | None = None,
    settings: Settings | None = None,
) -> str:
    """Write the start of a submission into a folder.

    Args:
        folder: made where it is not there; it must not hold a submission yet. Where it holds `predictions.csv` already
            and a sector is named, the parts on that table are written as usual there; else they stand as comments.
        sector: one of `SECTORS`, for words to start from.
        from_model: a model file or folder; it is copied in, and its format is looked at in a process of its own.
        from_data: a CSV or Parquet table; it is copied in, and read in a process of its own.
        settings: the operator's limits.

    Returns:
        The next three steps, as text.

    Raises:
        Refused: the folder holds a submission already, the sector is unknown, or the data cannot be read.
    """
    settings = settings or Settings()
    if (folder / MANIFEST).exists():
        raise Refused(problem("", "init.exists", path=str(folder / MANIFEST)))
    if sector is not None and sector not in SECTORS:
        raise Refused(problem("", "init.sector", given=sector, known=", ".join(SECTORS)))
    if from_data is not None and from_data.suffix.lower() not in TABLE_FORMATS:
        raise Refused(problem("data.file", "table.kind", path=from_data.name, known=", ".join(TABLE_FORMATS)))
    words = SECTORS[sector] if sector is not None else Sector()
    seen = _look_at_data(from_data, settings) if from_data is not None else ()
    format_ = _look_at_model(from_model, settings) if from_model is not None else None
    folder.mkdir(parents=True, exist_ok=True)
    for path in (from_model, from_data):
        if path is not None:
            _copy_in(path, folder)
    guess = guess_roles(seen)
    files = {
        MANIFEST: _submission(
            words, sector, from_model, format_, from_data, seen, guess, is_table_there=(folder / TABLE).is_file()
        ),
        "answers.yaml": _answers(words),
        "datasheet.yaml": _DATASHEET,
    }
    if words.outline:
        files[DOCUMENTATION] = _outline(words)
    if from_model is not None and seen:
        files["inputs.yaml"] = _inputs(seen, guess)
    for name, text in files.items():
        if not (folder / name).exists():
            (folder / name).write_text(text, encoding="utf-8")
    return _next_steps(folder, words)


def _copy_in(path: Path, folder: Path) -> None:
    target = folder / path.name
    if target.exists() and target.samefile(path):
        return
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(path, target)


def _look_at_model(path: Path, settings: Settings) -> str:
    with reading(
        path.resolve(), field="model.file", isolation=None, budget_bytes=settings.unpacked_bytes, is_model=True
    ) as opened:
        return opened.scan(allow_code=False)[0]


def _look_at_data(path: Path, settings: Settings) -> tuple[Seen, ...]:
    with reading(path.resolve(), field="data.file", isolation=None, budget_bytes=settings.unpacked_bytes) as opened:
        head = opened.open_table(
            format_=TABLE_FORMATS[path.suffix.lower()], delimiter=None, missing=("", "NA", "NaN", "nan", "null", "?")
        )
        return columns_seen(head, opened)


def columns_seen(head: Head, opened: Reading) -> tuple[Seen, ...]:
    """See each column of an open table as far as guesses need it.

    Args:
        head: what the table is.
        opened: the table, on the other side.
    """
    seen = []
    for i, name in enumerate(head.names):
        if not name:
            continue
        as_read, as_text = opened.column(i, As.AUTOMATIC), opened.column(i, As.TEXT)
        if not isinstance(as_text, Column):
            seen.append(Seen(name=name, type=Type.REFUSED, values=(), many=True, missing=0, rows=head.rows))
            continue
        many = not pa.types.is_dictionary(as_text.values.type)
        values = () if many else tuple(as_text.values.dictionary.to_pylist())
        first = as_text.values[:_SAMPLED].drop_null().to_pylist() if many else values
        seen.append(
            Seen(
                name=name,
                type=as_read.type if isinstance(as_read, Column) else as_text.type,
                values=values,
                many=many,
                missing=as_text.values.null_count,
                rows=head.rows,
                sample=tuple(dict.fromkeys(first))[:_SAMPLED],
            )
        )
    return tuple(seen)


def guess_roles(seen: Sequence[Seen]) -> Guess:
    """Guess which column is the label, which are groups, weights, units and identifiers.

    Args:
        seen: the columns, in the order of the file.
    """
    guess = Guess()
    label = _guess_label(seen)
    for column in seen:
        name = column.name
        if label is not None and name == label.name:
            continue
        if _DECISIONS.match(name) and label is not None and set(column.values) <= set(label.values):
            guess.decision = name
            continue
        if _SCORES.match(name) and column.is_number:
            guess.score = name
            continue
        if column.type is Type.REFUSED:
            role, why = "ignore", "type"
        elif _WEIGHTS.match(name):
            role, why = "weight", "name"
        elif _UNITS.match(name):
            role, why = "unit", "name"
        elif _IDENTIFIERS.match(name):
            role, why = "identifier", "name"
        elif _GROUPS.search(name):
            role, why = "group", "group"
            if column.is_number and (column.many or len(column.values) > MOST_UNBANDED):
                guess.bands[name] = propose_bands(column.values or ("0", "1"), name)
        elif column.many and column.type is Type.TEXT:
            role, why = "identifier", "texts"
        else:
            continue
        guess.roles[name], guess.why[name] = role, why
    if label is not None:
        guess.label = label.name
        guess.roles[label.name], guess.why[label.name] = "label", "label"
        _guess_task(label, guess)
    return guess


def _guess_label(seen: Sequence[Seen]) -> Seen | None:
    named = [c for c in seen if not _DECISIONS.match(c.name)]
    if len(named) < len(seen) and (other := _guess_label(named)) is not None:
        return other
    usable = [c for c in seen if c.type is not Type.REFUSED and (c.is_number or 2 <= len(c.values) <= _MOST_CLASSES)]
    for pattern in _LABELS:
        for column in reversed(usable):
            if re.search(pattern, column.name, re.IGNORECASE):
                return column
    few = [c for c in usable if 2 <= len(c.values) <= _MOST_CLASSES and not _GROUPS.search(c.name)]
    return few[-1] if few and few[-1] is seen[-1] else None


def _guess_task(label: Seen, guess: Guess) -> None:
    if label.is_number and (label.many or len(label.values) > _MOST_CLASSES):
        guess.task = "regression"
        return
    guess.classes = label.values
    guess.task = "binary" if len(label.values) == 2 else "multiclass"
    guess.favourable = next((v for v in label.values if _GOOD.match(v)), label.values[-1])


# ---- the files


def _quoted(text: str) -> str:
    return yaml.dump(text, default_style='"', allow_unicode=True, width=10**9).strip()


def _plain(text: str) -> str:
    """Write a key as plainly as it can be read back."""
    return text if re.fullmatch(r"[A-Za-z_][\w-]*", text) else _quoted(text)


def _submission(
    words: Sector,
    sector: str | None,
    model: Path | None,
    format_: str | None,
    data: Path | None,
    seen: Sequence[Seen],
    guess: Guess,
    *,
    is_table_there: bool,
) -> str:
    as_example = is_table_there and model is None and data is None and words.decision is not None
    hidden = "" if as_example else "# "
    lines = [
        "# A submission to the AI Act sandbox. Lines marked EDIT are for you to fill in; those marked GUESS were",
        "# guessed from your files: look at each. Everything is read as text first: `NO` is Norway, dates stay dates.",
        "# All fields: docs/reference/submission.md",
        *(f"# {hint}" for hint in words.hints),
        "format: 1",
        "system:",
        f"  name: {_quoted(words.name)}\t# EDIT",
        '  version: "0.1"\t# EDIT',
        "  provider:",
        '    name: "My organisation"\t# EDIT',
        "    # contact: ai@example.org",
        f"    {hidden}country: {words.country or 'NL'}\t# two letters",
        f"    {hidden}size: {words.size or 'small'}\t# micro small medium small_mid_cap large",
        f"  roles: [{', '.join(words.roles)}]\t# deployer importer distributor authorised_representative ...",
        f"  public_body: {'true ' if words.public_body else 'false'}\t# EDIT",
        f"  intended_purpose: {_quoted(words.purpose)}\t# EDIT",
    ]
    has_data = data is not None and bool(seen)
    if model is not None:
        for name in (guess.decision, guess.score):
            if name is not None:
                guess.roles[name], guess.why[name] = "ignore", "answer"
        lines += _model_lines(model, format_, guess, known=has_data)
    if has_data and data is not None:
        with_predictions = model is None and guess.decision is not None
        if model is None:
            lines += _prediction_lines(data, guess)
        lines += _data_lines(data, seen, guess, active=model is not None or with_predictions)
    elif model is not None:
        lines += ["", "# EDIT: name your evaluation data and their columns.", *_example_data("", guess.task)]
    elif as_example:
        lines += ["", *sector_table(words)]
    else:
        lines += _example_sections(words)
    lines += [
        "",
        "answers: answers.yaml\t# the AI Act questionnaire; EDIT that file",
        f"documents: [{DOCUMENTATION}]\t# EDIT: its headings are an outline"
        if words.outline
        else f"# documents: [{DOCUMENTATION}, instructions_for_use.md]",
        "# publication: publication.yaml\t# what an algorithm register asks",
        "# claims: {accuracy: 0.87}\t# what you say the system reaches; compared with what is measured",
        f"{hidden}limits:\t# your own, each with a reason; record them before you look",
        *(f"{hidden}  {line}" for line in _limits(words)),
    ]
    if sector is not None:
        lines.insert(3, f"# Started for the sector: {sector}.")
    return _aligned(lines)


def _aligned(lines: Sequence[str]) -> str:
    """Put the comments after values (they stand after a tab, which no quoted value holds) under one another."""
    made = []
    for line in lines:
        value, tab, comment = line.partition("\t")
        made.append(f"{value:<{_COMMENT_AT}} {comment}" if tab else line)
    return "\n".join(made) + "\n"


def _model_lines(model: Path, format_: str | None, guess: Guess, *, known: bool) -> list[str]:
    output = "value" if guess.task == "regression" else "probability"
    lines = [
        "",
        "model:",
        f"  file: {_quoted(model.name)}\t# read as: {format_}",
        f"  output: {output}\t# GUESS, by the label: decision probability score value label",
    ]
    if output == "probability":
        of = _quoted(guess.favourable) if guess.favourable is not None else "yes"
        lines.append(f"  score_of: {of}\t# {'GUESS' if guess.favourable else 'EDIT'}: whose probability")
    if known:
        lines.append("  inputs: inputs.yaml\t# order and types of the inputs: GUESS, as in the file")
    if format_ == "pickle":
        lines.append("  allow_code: false\t# EDIT: loading it runs code of whoever made it; true agrees")
    return lines


def _prediction_lines(data: Path, guess: Guess) -> list[str]:
    if guess.decision is None:
        return [
            "",
            "# No model is uploaded: name the columns that hold its decisions or scores.",
            "# predictions:",
            f"#   file: {_quoted(data.name)}",
            "#   decision: my_decision_column\t# EDIT",
        ]
    lines = ["", "predictions:\t# no model is uploaded", f"  file: {_quoted(data.name)}"]
    lines.append(f"  decision: {_quoted(guess.decision)}\t# GUESS, by its name")
    if guess.score is not None and guess.favourable is not None and guess.task == "binary":
        lines.append(f"  score: {_quoted(guess.score)}\t# GUESS, by its name")
        lines.append(f"  score_of: {_quoted(guess.favourable)}\t# GUESS: whose score it is")
    elif guess.score is not None:
        guess.roles[guess.score], guess.why[guess.score] = "ignore", "score"
    return lines


def _data_lines(data: Path, seen: Sequence[Seen], guess: Guess, *, active: bool) -> list[str]:
    lines = [
        "data:",
        f"  file: {_quoted(data.name)}\t# {seen[0].rows} rows, {len(seen)} columns",
        f"  task: {guess.task}\t# {'GUESS' if guess.label else 'EDIT'}: binary multiclass regression",
    ]
    if guess.task != "regression":
        classes = guess.classes or ("no", "yes")
        mark = "GUESS: the values of the label" if guess.classes else "EDIT: the values of the label"
        lines.append(f"  classes: [{', '.join(_quoted(c) for c in classes)}]\t# {mark}")
        favourable = guess.favourable or "yes"
        lines.append(f"  favourable: {_quoted(favourable)}\t# GUESS: the good outcome for the person")
    if guess.task == "binary":
        lines.append("  threshold: 0.5\t# GUESS: from which score the system decides for score_of")
    lines += [
        "  sampling: all\t# whom labels exist for: all accepted_only flagged_only other",
        "  datasheet: datasheet.yaml\t# EDIT that file",
        "  columns:",
        "    default: feature\t# every column that is not named here is shown to the model",
    ]
    lines += [f"    {_plain(n)}: {role}\t# GUESS, {WHY[guess.why[n]]}" for n, role in guess.roles.items()]
    if guess.label is None:
        lines.append("    # my_label_column: label\t# EDIT: no column stood out as the label")
    if guess.bands:
        lines.append("  bands:                             # GUESS: lower bounds; [25, 40] gives <25, 25-39, >=40")
        lines += [f"    {_plain(n)}: {bands}" for n, bands in guess.bands.items()]
    apart = (guess.decision, guess.score)
    features = [c.name for c in seen if c.name not in guess.roles and c.name not in apart]
    lines.append(f"  # features, by default: {', '.join(shown(n) for n in features[:40])}")
    return ["", *(lines if active else [f"# {line}" for line in lines])]


def _example_sections(words: Sector) -> list[str]:
    intro = "# Take the `#` away where you have a model or predictions, and data; documents alone are assessed too."
    if words.decision is not None:
        return ["", intro, *(f"# {line}" for line in sector_table(words))]
    model = [
        "model:",
        "  file: model.skops\t# .skops .onnx .ubj .json .txt .pkl, or an MLflow folder",
        "  output: probability\t# decision probability score value label",
        '  score_of: "yes"\t# whose probability it is',
    ]
    return ["", intro, *(f"# {line}" for line in model), *_example_data("# ", "binary")]


def sector_table(words: Sector) -> list[str]:
    """Write the parts of a submission on predictions and data as they usually are in a sector.

    Args:
        words: a sector with a decision.

    Returns:
        Lines; comments stand after a tab.
    """
    lines = [
        "predictions:\t# instead of model: nothing of it is uploaded",
        f"  file: {TABLE}\t# one row per case",
        f"  decision: {words.decision}\t# the column with what the system said",
        "data:",
        f"  task: {words.task}\t# binary multiclass regression",
    ]
    if words.classes:
        lines.append(f"  classes: [{', '.join(_quoted(c) for c in words.classes)}]\t# EDIT: as they stand in the file")
    if words.favourable is not None:
        lines.append(f"  favourable: {_quoted(words.favourable)}\t# EDIT: the good outcome for the person")
    lines += [
        f"  sampling: {words.sampling}\t# whom labels exist for: all accepted_only flagged_only other",
        "  datasheet: datasheet.yaml",
        "  columns:",
    ]
    for name, role in words.columns.items():
        why = words.groups.get(name)
        lines.append(f"    {_plain(name)}: {role}" + (f"\t# {why}" if why else ""))
    if words.bands:
        lines += ["  bands:", *(f"    {_plain(name)}: {bands}" for name, bands in words.bands.items())]
    return lines


def _limits(words: Sector) -> list[str]:
    if not words.limits:
        return ["fairness.selection_rate.ratio: {at_least: 0.8, reason: why this limit fits this system}"]
    made = []
    for code, limit in words.limits.items():
        bounds = [f"{n}: {v:g}" for n in ("at_least", "at_most") if (v := getattr(limit, n)) is not None]
        made.append(f"{code}: {{{', '.join(bounds)}, reason: {_quoted(limit.reason)}}}")
    return made


def _outline(words: Sector) -> str:
    sections = "\n".join(f"## {heading}\n\nTo be completed.\n" for heading in words.outline)
    return f"# Technical documentation: {words.name}\n\n{sections}"


def _example_data(before: str, task: str) -> list[str]:
    lines = [
        "data:",
        "  file: test.csv\t# csv or parquet, UTF-8, with a header line   EDIT",
        f"  task: {task}\t# binary multiclass regression",
        '  classes: ["no", "yes"]\t# EDIT',
        '  favourable: "yes"\t# EDIT: the good outcome for the person',
        "  datasheet: datasheet.yaml",
        "  columns:",
        "    default: feature",
        "    sex: group\t# EDIT: people are compared by it; it is not shown to the model",
        "    outcome: label\t# EDIT",
    ]
    return [before + line for line in lines]


def _answers(words: Sector) -> str:
    from checks.ai_act import rules
    from checks.ai_act.answers import Profile, facts

    law = rules.load()
    questions = law.questions
    likely = facts(words.answers, Profile(), law)
    known = {q.id for q in questions}
    asked = {*_GENERAL_QUESTIONS, *words.answers}
    lines = [
        "# The AI Act questionnaire. `aiact-sandbox questions` prints all questions with their words.",
        "# What you leave at unknown stays undecided, and is never counted as no.",
    ]
    if words.answers:
        lines.append(
            "# Lines marked EXAMPLE hold what is likely in this sector, not what is so of your system: look at each."
        )
    for question in questions:
        options = [o.id for o in question.options if likely.offers(question.id, o.id).truth is not False]
        if question.id not in asked or "unknown" not in options:
            continue
        several = question.kind == "multi"
        how = "several of" if several else "one of"
        given = words.answers.get(question.id, ("unknown",) if several else "unknown")
        written = f"[{', '.join(given)}]" if not isinstance(given, str) else _answer(given)
        mark = "EXAMPLE, " if question.id in words.answers else ""
        lines.append(f"{question.id}: {written}\t# {mark}{how}: {', '.join(options)}")
    assert asked <= known
    return _aligned(lines)


def _answer(given: str) -> str:
    """Write an answer so that a reader of YAML does not take it for a truth value."""
    return _quoted(given) if given in ("yes", "no") else given


def _inputs(seen: Sequence[Seen], guess: Guess) -> str:
    names = {
        Type.NUMBER: "number",
        Type.WHOLE: "number",
        Type.BOOLEAN: "boolean",
        Type.CODES: "category",
        Type.TEXT: "text",
    }
    features = [c for c in seen if c.name not in guess.roles]
    lines = [
        "# What the model expects of its inputs. GUESS: all columns without another role, in the order of the file.",
        "order:",
        *(f"  - {_quoted(c.name)}" for c in features),
        "types:",
        *(f"  {_plain(c.name)}: {names.get(c.type, 'text')}" for c in features),
        "# categories: {town: [Assen, Breda]}\t# where the codes of a category matter: its values in order",
    ]
    return "\n".join(lines) + "\n"


def _next_steps(folder: Path, words: Sector) -> str:
    if words.steps:
        of_sector = "\n".join(f"{n}. {step}" for n, step in enumerate(words.steps, 1))
        return (
            f"{of_sector}\nThen fill in {folder / MANIFEST} and {folder / 'answers.yaml'} (lines marked EDIT, GUESS "
            f"and EXAMPLE), and run: aiact-sandbox assess {folder} --out {folder}-dossier"
        )
    return (
        f"1. Open {folder / MANIFEST}: fill in the lines marked EDIT, and look at those marked GUESS.\n"
        f"2. Answer {folder / 'answers.yaml'} as far as you can (`aiact-sandbox questions` has them all in words).\n"
        f"3. Run: aiact-sandbox assess {folder} --out {folder}-dossier"
    )
