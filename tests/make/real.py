"""Submissions on real data: UCI Adult, German credit and the Dutch student-grant records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

ADULT_COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
ADULT_GROUPS = ("sex", "race")
ADULT_FEATURES = tuple(c for c in ADULT_COLUMNS if c not in (*ADULT_GROUPS, "fnlwgt", "income"))

GOOD = 0
"""The class of a good credit in the German predictions; 1 is a bad one."""

PURPOSE = "Estimates whether a household's income is above 50,000 dollars, for a test of this software."


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A submission, and what an independent computation of its figures needs.

    Args:
        folder: the submission.
        rows: the evaluation rows as pandas reads them.
        decision: (n,) what the system decides, computed without this software.
        score: (n,) its score, where there is one.
    """

    folder: Path
    rows: pd.DataFrame
    decision: np.ndarray
    score: np.ndarray | None = None


def read_adult(path: Path) -> pd.DataFrame:
    """Read a part of Adult; the labels of the test part lose their full stop here, as a person would do it."""
    table = pd.read_csv(path, names=ADULT_COLUMNS, skipinitialspace=True, na_values=["?"], keep_default_na=False)
    table["income"] = table["income"].str.rstrip(".")
    return table


def system(name: str, **more: Any) -> dict[str, Any]:
    """Describe a system for a test."""
    return {
        "name": name,
        "version": "1.0",
        "provider": {"name": "Example BV", "contact": "ai@example.org", "country": "NL", "size": "small"},
        "roles": ["provider"],
        "intended_purpose": PURPOSE,
        **more,
    }


def write_submission(folder: Path, content: dict[str, Any]) -> None:
    """Write submission.yaml."""
    (folder / "submission.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def adult(folder: Path, source: Path, *, weighted: bool = False, also: tuple[str, ...] = ()) -> Made:
    """Train on the train part of Adult and submit the model with the 16,281 test rows.

    Args:
        folder: of the submission.
        source: of the real data.
        weighted: whether `fnlwgt` is the weight of a row.
        also: groups that are inputs as well.
    """
    import skops.io
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    train, test = read_adult(source / "adult" / "adult.data"), read_adult(source / "adult" / "adult.test")
    features = [*ADULT_FEATURES, *also]
    text = [c for c in features if train[c].dtype.kind not in "if"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = make_column_transformer((encoder, text), remainder="passthrough", verbose_feature_names_out=False)
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=80, random_state=0))
    model.fit(train[features], train["income"])
    folder.mkdir(parents=True)
    skops.io.dump(model, folder / "model.skops")
    test.to_csv(folder / "test.csv", index=False, na_rep="?")
    write_submission(
        folder,
        {
            "format": 1,
            "system": system("Income estimate"),
            "model": {"file": "model.skops", "output": "probability", "score_of": ">50K"},
            "data": {
                "file": "test.csv",
                "task": "binary",
                "classes": ["<=50K", ">50K"],
                "favourable": ">50K",
                "threshold": 0.5,
                "columns": {
                    **{name: "feature+group" if name in also else "group" for name in ADULT_GROUPS},
                    "income": "label",
                    "fnlwgt": "weight" if weighted else "ignore",
                },
            },
            "claims": {"accuracy": 0.87},
        },
    )
    score = model.predict_proba(test[features])[:, list(model.classes_).index(">50K")]
    return Made(folder=folder, rows=test, decision=np.where(score >= 0.5, ">50K", "<=50K"), score=score)


def german(folder: Path, source: Path) -> Made:
    """Submit the 300 German credit rows with another model's predictions; age from 25 is the group."""
    given = pd.read_csv(source / "german" / "pred_XGBoost.csv")
    table = pd.DataFrame(
        {
            "age": given["age"].round().astype(int),
            "credit_amount": given["credit_amount"],
            "label": np.where(given["true_class"] == GOOD, "good", "bad"),
            "decision": np.where(given["predicted_class"] == GOOD, "good", "bad"),
        }
    )
    folder.mkdir(parents=True)
    table.to_csv(folder / "predictions.csv", index=False)
    write_submission(
        folder,
        {
            "format": 1,
            "system": system("Credit decision"),
            "predictions": {"file": "predictions.csv", "decision": "decision"},
            "data": {
                "task": "binary",
                "classes": ["bad", "good"],
                "favourable": "good",
                "columns": {"age": "group", "label": "label", "credit_amount": "feature"},
                "bands": {"age": [25]},
            },
        },
    )
    return Made(folder=folder, rows=table, decision=table["decision"].to_numpy())


def student_grant(folder: Path, source: Path) -> Made:
    """Submit the student-grant records by predictions: risk category 5 or 6 is flagged, education is the group."""
    given = pd.read_csv(source / "student_grant" / "Table1_SD_20k.csv")
    flagged = given["Risk category"].astype(int) >= 5
    outcome = given["Outcome house visit"]
    table = pd.DataFrame(
        {
            "education": given["Education"],
            "age_band": given["Age"],
            "distance": given["Distance"],
            "decision": np.where(flagged, "visit", "no visit"),
            "label": np.select(
                [outcome == "Unduly", outcome == "Duly"],
                ["visit", "no visit"],
                default="",
            ),
        }
    )
    folder.mkdir(parents=True)
    table.to_csv(folder / "records.csv", index=False)
    write_submission(
        folder,
        {
            "format": 1,
            "system": system("Student grant check", public_body=True, roles=["provider", "deployer"]),
            "predictions": {"file": "records.csv", "decision": "decision"},
            "data": {
                "task": "binary",
                "classes": ["no visit", "visit"],
                "favourable": "no visit",
                "sampling": "flagged_only",
                "columns": {"education": "group", "label": "label"},
            },
        },
    )
    return Made(folder=folder, rows=table, decision=table["decision"].to_numpy())
