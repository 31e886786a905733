"""A demonstration beyond its limits, on real data: a discount on health insurance that a physical limitation costs.

The records are those of the RAND Health Insurance Experiment (public domain), as they ship with statsmodels: 20,190
person-years with the number of visits to a doctor and whether the person has a physical limitation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sandbox.demo import files

ABOUT = "gives a discount to people who will seldom see a doctor; real records, and people with a limitation lose."
BEYOND: frozenset[tuple[str, str | None]] = frozenset(
    {
        ("fairness.selection_rate", "limitation"),
        ("fairness.equal_opportunity", "limitation"),
        ("fairness.equalised_odds", "limitation"),
        ("fairness.false_positive_rate", "limitation"),
        ("fairness.protected_input", "limitation"),
        ("privacy.special_categories", None),
    }
)
CLASSES = ("no discount", "discount")


def table() -> pd.DataFrame:
    """Read the records that ship with statsmodels and name what they hold."""
    import statsmodels.api as sm

    given = sm.datasets.randhie.load_pandas().data
    health = np.select(
        [given["hlthp"] > 0, given["hlthf"] > 0, given["hlthg"] > 0], ["poor", "fair", "good"], default="excellent"
    )
    return pd.DataFrame(
        {
            "coinsurance": given["lncoins"],
            "individual_deductible": given["idp"].astype(int),
            "participation_incentive": given["lpi"],
            "expenditure_cap": given["fmde"],
            "chronic_conditions": given["disea"],
            "own_view_of_health": health,
            "limitation": np.where(given["physlm"] > 0, "yes", "no"),
            "outcome": np.where(given["mdvis"] <= 1, "discount", "no discount"),
        }
    )


def build(folder: Path) -> None:
    """Write the submission: boosted trees in a skops file, trained on 60 % of the records, assessed on the rest."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    records = table().sample(frac=1.0, random_state=7).reset_index(drop=True)
    cut = int(0.6 * len(records))
    train, test = records.iloc[:cut], records.iloc[cut:]
    features = [c for c in records.columns if c != "outcome"]
    columns = make_column_transformer(
        (OrdinalEncoder(), ["own_view_of_health", "limitation"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=60, random_state=0))
    model.fit(train[features], train["outcome"])
    folder.mkdir(parents=True)
    files.save_skops(model, folder / "model.skops")
    test.to_csv(folder / "records.csv", index=False)
    files.write(
        folder,
        submission={
            "format": 1,
            "system": {
                "name": "Premium discount (demonstration)",
                "version": "0.3",
                "provider": {
                    "name": "Example Insurance",
                    "contact": "models@example.org",
                    "country": "NL",
                    "size": "medium",
                },
                "roles": ["provider", "deployer"],
                "public_body": False,
                "intended_purpose": "Prices a supplementary health insurance: people who are expected to see a doctor "
                "at most once a year get a discount on the premium.",
            },
            "model": {"file": "model.skops", "output": "probability", "score_of": "discount"},
            "data": {
                "file": "records.csv",
                "task": "binary",
                "classes": list(CLASSES),
                "favourable": "discount",
                "threshold": 0.5,
                "columns": {"limitation": "feature+group", "outcome": "label"},
                "datasheet": "datasheet.yaml",
            },
            "answers": "answers.yaml",
            "documents": ["technical_documentation.md"],
            "claims": {"accuracy": 0.6},
        },
        answers=files.DISCOUNT,
        datasheet={
            "origin": "RAND Health Insurance Experiment, public domain, as shipped with statsmodels.",
            "purpose": "A study of how cost sharing changes the use of care; reused here for a demonstration.",
            "period": "1974 to 1982",
            "population": "Households at six places in the United States.",
            "personal_data": "no longer linked to persons",
        },
        documents={"technical_documentation.md": files.DOCUMENTATION},
    )
