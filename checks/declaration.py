"""What the provider states about a system and its data: the one schema of submission file, API and dossier.

Every field may arrive as a string (the submission file is read with strings as the default); pydantic turns it into
the type stated here or names the field and what would be right. Nothing here reads a file.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import combinations, permutations
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator


class Stated(BaseModel):
    """Base of all that a provider states: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path or str(pure) in ("", "."):
        raise ValueError("give a path inside the submission, without `..` and not absolute")
    return str(pure)


Inside = Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(_inside)]
"""A relative path that stays inside the submission."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Route(StrEnum):
    """How a system is assessed; the order says how much can be measured."""

    MODEL = "model"
    PREDICTIONS = "predictions"
    COUNTS = "counts"
    DOCUMENTS = "documents"


class Size(StrEnum):
    """Size of an organisation, by Recommendations 2003/361/EC and (EU) 2025/1099."""

    MICRO = "micro"
    SMALL = "small"
    MEDIUM = "medium"
    SMALL_MID_CAP = "small_mid_cap"
    LARGE = "large"


class Role(StrEnum):
    """Roles of the Act, Art 3(3) to 3(8) and 25(3)."""

    PROVIDER = "provider"
    DEPLOYER = "deployer"
    IMPORTER = "importer"
    DISTRIBUTOR = "distributor"
    AUTHORISED_REPRESENTATIVE = "authorised_representative"
    PRODUCT_MANUFACTURER = "product_manufacturer"


class Task(StrEnum):
    """What a system predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Output(StrEnum):
    """What one answer of the model is.

    `label` and `decision`: one of the classes. `probability`: the probability of `score_of` (binary) or of every class
    in the declared order (multiclass). `score`: any number that grows with the chance of `score_of`. `value`: a number
    in the unit of the label (regression).
    """

    DECISION = "decision"
    PROBABILITY = "probability"
    SCORE = "score"
    VALUE = "value"
    LABEL = "label"


class ColumnRole(StrEnum):
    """What a column of the data is used for."""

    FEATURE = "feature"
    GROUP = "group"
    FEATURE_GROUP = "feature+group"
    LABEL = "label"
    WEIGHT = "weight"
    UNIT = "unit"
    IDENTIFIER = "identifier"
    IGNORE = "ignore"

    @property
    def is_feature(self) -> bool:
        """Whether the column is shown to the model."""
        return self in (ColumnRole.FEATURE, ColumnRole.FEATURE_GROUP)

    @property
    def is_group(self) -> bool:
        """Whether people are compared by this column."""
        return self in (ColumnRole.GROUP, ColumnRole.FEATURE_GROUP)


class Sampling(StrEnum):
    """For whom labels exist."""

    ALL = "all"
    ACCEPTED_ONLY = "accepted_only"
    FLAGGED_ONLY = "flagged_only"
    OTHER = "other"


class Provider(Stated):
    """Who provides the system."""

    name: Name
    contact: Name | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    size: Size | None = None


class System(Stated):
    """The system under assessment, in the provider's words."""

    name: Name
    version: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    provider: Provider
    roles: tuple[Role, ...] = (Role.PROVIDER,)
    public_body: bool = False
    intended_purpose: Text
    description: Text | None = None
    licence: Name | None = None
    languages: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")], ...] = ()


class Training(Stated):
    """Where the model came from, as far as the provider says."""

    commit: Name | None = None
    data_digest: Name | None = None
    date: dt.date | None = None
    mlflow_run: Name | None = None


class Model(Stated):
    """The model file and what its answers are."""

    file: Inside
    output: Output
    score_of: Name | None = None
    inputs: Inside | None = None
    training: Training = Training()
    requirements: Inside | None = None
    allow_code: bool = False

    @model_validator(mode="after")
    def _score_says_whose(self) -> Model:
        if self.output in (Output.PROBABILITY, Output.SCORE) and self.score_of is None:
            raise ValueError(
                f"score_of: is required where output is {self.output.value}; name the class whose probability or "
                "score the model gives"
            )
        return self


class Predictions(Stated):
    """A file of predictions instead of a model; row by row with the data, or the data itself with extra columns."""

    file: Inside
    decision: Name | None = None
    score: Name | None = None
    score_of: Name | None = None

    @model_validator(mode="after")
    def _something_is_named(self) -> Predictions:
        if self.decision is None and self.score is None:
            raise ValueError("decision: name the column that holds the decisions (or score: the column with scores)")
        if self.score is not None and self.score_of is None:
            raise ValueError("score_of: is required with score; name the class whose score the column holds")
        return self


class Counts(Stated):
    """A file of counts instead of model and data: one row per group, label and decision.

    The columns are the attributes by name, `label` (may be empty where unknown), `decision` and `rows`;
    optionally `weight` (sum of weights) and `weight_squared` (sum of squared weights).
    """

    file: Inside


TIMES = " × "
"""Stands between the names of attributes that are crossed."""

CROSSED = (2, 3)
"""How many attributes are crossed at once."""

_ROLE_NAMES = ", ".join(r.value for r in ColumnRole)


class Data(Stated):
    """The evaluation data: what it holds and what each column is used for."""

    file: Inside | None = None
    training: Inside | None = None
    population: Inside | None = None
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1, strip_whitespace=False)] | None = None
    missing: tuple[str, ...] = ("", "NA", "NaN", "nan", "null", "?")
    task: Task
    classes: tuple[Name, ...] = ()
    favourable: Name | None = None
    threshold: float | None = None
    sampling: Sampling = Sampling.ALL
    columns: dict[Name, ColumnRole] = Field(default_factory=dict)
    default_role: ColumnRole = ColumnRole.FEATURE
    bands: dict[Name, tuple[float, ...]] = Field(default_factory=dict)
    """Lower bounds of the bands of a numeric group column: `age: [25, 40]` gives <25, 25 to <40, >=40."""
    datasheet: Inside | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_stands_among_columns(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and isinstance(given.get("columns"), Mapping) and "default" in given["columns"]:
            columns = dict(given["columns"])
            given = {**given, "default_role": columns.pop("default"), "columns": columns}
        return given

    @model_validator(mode="after")
    def _classes_hang_together(self) -> Data:
        problems = []
        if self.task is Task.REGRESSION:
            if self.classes:
                problems.append("classes: must be left out for a regression task")
        else:
            if len(set(self.classes)) != len(self.classes):
                problems.append("classes: the same class is named twice")
            if self.task is Task.BINARY and len(self.classes) != 2:
                problems.append(f"classes: name the two classes of a binary task; {len(self.classes)} given")
            if self.task is Task.MULTICLASS and len(self.classes) < 3:
                problems.append(f"classes: name at least three classes of a multiclass task; {len(self.classes)} given")
            if self.favourable is not None and self.classes and self.favourable not in self.classes:
                problems.append(f"favourable: {self.favourable!r} is not one of the classes {', '.join(self.classes)}")
        labels = [n for n, role in self.columns.items() if role is ColumnRole.LABEL]
        if len(labels) > 1:
            problems.append(f"columns: only one column can be the label; {', '.join(labels)} given")
        weights = [n for n, role in self.columns.items() if role is ColumnRole.WEIGHT]
        if len(weights) > 1:
            problems.append(f"columns: only one column can be the weight; {', '.join(weights)} given")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def role(self, column: str) -> ColumnRole:
        """Tell the role of a column, named or by default."""
        return self.columns.get(column, self.default_role)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns by which people are compared, in the declared order."""
        return tuple(n for n, role in self.columns.items() if role.is_group)

    def crossings(self, size: int) -> dict[str, tuple[str, ...]]:
        """Give the attributes taken `size` at a time by the name of the crossing, as in `sex × race`.

        Those of earlier attributes come first: a further attribute only adds crossings at the end, so it never takes
        away one that was there.
        """
        named = self.attributes
        places = sorted(combinations(range(len(named)), size), key=lambda chosen: chosen[::-1])
        made = [tuple(named[i] for i in chosen) for chosen in places]
        return {name: parts for parts in made if (name := TIMES.join(parts)) not in self.columns}

    def crossing(self, name: str) -> tuple[str, ...] | None:
        """Tell which attributes a name is the crossing of, in the order of the name; None where it is none.

        A stored dossier keeps the columns sorted, so the order in which they were declared is not known again.
        """
        if name in self.columns:
            return None
        found = (p for size in CROSSED for p in permutations(self.attributes, size) if TIMES.join(p) == name)
        return next(found, None)

    @property
    def label(self) -> str | None:
        """The label column, or None where there is none."""
        return next((n for n, role in self.columns.items() if role is ColumnRole.LABEL), None)


class ProviderLimit(Stated):
    """A limit of the provider's own, with its reason."""

    at_least: float | None = None
    at_most: float | None = None
    reason: Text

    @model_validator(mode="after")
    def _one_bound(self) -> ProviderLimit:
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least: give at_least or at_most (or both)")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least: is larger than at_most")
        return self


class ColumnType(StrEnum):
    """How a column enters the cell."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    TEXT = "text"


class Inputs(Stated):
    """What the model expects of its inputs, where the data alone do not say it: `inputs.yaml`.

    `order`: the columns in the order of the model's input. `types`: per column. `categories`: the values of a category
    column in the order of their codes (the first is code 0). `dummies`: which 0/1 columns of the data belong to one
    category (`status: ["status=A11", "status=A12"]`): they are explained and nudged together.
    """

    order: tuple[Name, ...] = ()
    types: dict[Name, ColumnType] = Field(default_factory=dict)
    categories: dict[Name, tuple[str, ...]] = Field(default_factory=dict)
    dummies: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)


Answer = str | tuple[str, ...]
"""One answer of the questionnaire: an option id, or several where the question allows it."""

MEASURE_CODE = re.compile(r"^[a-z_]+\.[a-z0-9_]+\.[a-z0-9_]+$")


class Declaration(Stated):
    """A whole submission as stated: what `submission.yaml` holds, with the files it names already read in.

    `answers` is the questionnaire by stable question ids; `datasheet`, `publication` and `inputs` hold what the files
    of those names say (empty where not given).
    """

    format: Annotated[int, Field(ge=1, le=1)] = 1
    system: System
    model: Model | None = None
    predictions: Predictions | None = None
    counts: Counts | None = None
    data: Data | None = None
    answers: dict[str, Answer] = Field(default_factory=dict)
    documents: tuple[Inside, ...] = ()
    datasheet: dict[str, Any] = Field(default_factory=dict)
    publication: dict[str, Any] = Field(default_factory=dict)
    inputs: Inputs = Inputs()
    claims: dict[Name, float] = Field(default_factory=dict)
    limits: dict[str, ProviderLimit] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_route(self) -> Declaration:
        problems = []
        given = [n for n in ("model", "predictions", "counts") if getattr(self, n) is not None]
        if len(given) > 1:
            problems.append(f"{given[1]}: give only one of model, predictions and counts; {', '.join(given)} given")
        if given and self.data is None:
            problems.append("data: is required with model, predictions or counts (task, classes, columns)")
        if self.data is not None:
            needs_file = self.model is not None
            if needs_file and self.data.file is None:
                problems.append("data.file: is required with a model; name the table with the evaluation data")
            for where, name in (
                ("model.score_of", self.model.score_of if self.model else None),
                ("predictions.score_of", self.predictions.score_of if self.predictions else None),
            ):
                if name is not None and self.data.classes and name not in self.data.classes:
                    problems.append(f"{where}: {name!r} is not one of data.classes {', '.join(self.data.classes)}")
            if self.model is not None and (self.data.task is Task.REGRESSION) != (self.model.output is Output.VALUE):
                problems.append("model.output: value belongs to a regression task, and a regression task to value")
        for code in self.limits:
            if not MEASURE_CODE.match(code):
                problems.append(f"limits.{code}: write family.check.measure, as in fairness.selection_rate.ratio")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def route(self) -> Route:
        """Which of the four routes this submission takes."""
        if self.model is not None:
            return Route.MODEL
        if self.predictions is not None:
            return Route.PREDICTIONS
        if self.counts is not None:
            return Route.COUNTS
        return Route.DOCUMENTS

    @property
    def score_of(self) -> str | None:
        """Whose score the answers hold, or None where they are decisions or values."""
        stated = self.model or self.predictions
        return stated.score_of if stated is not None else None

    @property
    def adverse(self) -> str | None:
        """The class that is the bad outcome for the person, where the task is binary and the good one is named."""
        if self.data is None or self.data.task is not Task.BINARY or self.data.favourable is None:
            return None
        return next(c for c in self.data.classes if c != self.data.favourable)

    def walk_files(self) -> Iterator[tuple[str, str]]:
        """Yield (field, path) for every file the submission names."""
        if self.model is not None:
            yield "model.file", self.model.file
            if self.model.inputs:
                yield "model.inputs", self.model.inputs
            if self.model.requirements:
                yield "model.requirements", self.model.requirements
        if self.predictions is not None:
            yield "predictions.file", self.predictions.file
        if self.counts is not None:
            yield "counts.file", self.counts.file
        if self.data is not None:
            for name in ("file", "training", "population", "datasheet"):
                path = getattr(self.data, name)
                if path:
                    yield f"data.{name}", path
        for i, path in enumerate(self.documents):
            yield f"documents.{i}", path
