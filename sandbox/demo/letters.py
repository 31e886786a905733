"""A demonstration within its limits: letters sorted by urgency, equally well whatever language they are in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sandbox.demo import files

ABOUT = "sorts letters by urgency; made so that the sender's language makes no difference."
BEYOND: frozenset[tuple[str, str | None]] = frozenset()
ROWS = 24_000
CLASSES = ("can wait", "urgent")


def table(rows: int, seed: int) -> pd.DataFrame:
    """Draw letters. Urgency depends on what the letter is about, never on the language, which is drawn apart.

    Args:
        rows: how many.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    words = rng.gamma(4.0, 60.0, rows).round()
    deadline = rng.integers(0, 43, rows)
    names_amount = rng.random(rows) < 0.35
    channel = rng.choice(["post", "e-mail", "web form"], rows, p=[0.4, 0.35, 0.25])
    pull = 2.2 - 0.11 * deadline + 0.9 * names_amount + 0.35 * (channel == "web form") + rng.normal(0, 0.8, rows)
    return pd.DataFrame(
        {
            "words": words,
            "days_to_deadline": deadline,
            "names_an_amount": names_amount.astype(int),
            "channel": channel,
            "language": rng.choice(["Dutch", "other"], rows, p=[0.6, 0.4]),
            "urgency": np.where(pull > 0, "urgent", "can wait"),
        }
    )


def build(folder: Path) -> None:
    """Write the submission: a skops pipeline trained on one draw, assessed on another."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    features = ["words", "days_to_deadline", "names_an_amount", "channel"]
    numbers = features[:3]
    train, test = table(6_000, 11), table(ROWS, 12)
    columns = ColumnTransformer([("numbers", StandardScaler(), numbers), ("channel", OneHotEncoder(), ["channel"])])
    model = make_pipeline(columns, LogisticRegression()).fit(train[features], train["urgency"])
    folder.mkdir(parents=True)
    files.save_skops(model, folder / "model.skops")
    test.to_csv(folder / "letters.csv", index=False)
    files.write(
        folder,
        submission={
            "format": 1,
            "system": {
                "name": "Letter sorting (demonstration)",
                "version": "1.0",
                "provider": {
                    "name": "Example Municipality",
                    "contact": "algorithms@example.org",
                    "country": "NL",
                    "size": "large",
                },
                "roles": ["provider", "deployer"],
                "public_body": True,
                "intended_purpose": "Puts incoming letters that name a near deadline on top of the pile for the desk "
                "that answers them. Every letter is answered by a person; the order is all that the system decides.",
            },
            "model": {"file": "model.skops", "output": "probability", "score_of": "urgent"},
            "data": {
                "file": "letters.csv",
                "task": "binary",
                "classes": list(CLASSES),
                "favourable": "urgent",
                "threshold": 0.5,
                "columns": {"language": "group", "urgency": "label"},
                "datasheet": "datasheet.yaml",
            },
            "answers": "answers.yaml",
            "documents": ["technical_documentation.md"],
            "claims": {"accuracy": 0.8},
            "limits": {
                "fairness.selection_rate.ratio": {
                    "at_least": 0.9,
                    "reason": "A letter's language must not decide how soon it is read; less than one in ten of "
                    "difference is what the desk evens out within a day.",
                }
            },
        },
        answers=files.LETTERS,
        datasheet={
            "origin": "Drawn by the demonstration itself from a stated rule; no letter of a real person is in it.",
            "purpose": "To show an assessment whose answer is known.",
            "period": "none",
            "personal_data": "no",
        },
        documents={"technical_documentation.md": files.DOCUMENTATION},
    )
