"""A whole assessment of UCI Adult, in each backend, beside the bare predict and MLflow's own evaluation with SHAP."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.errors import CellUnavailable
from sandbox.settings import Settings
from tests.make import real

REAL_DATA = Path(
    os.environ.get("AIACT_SANDBOX_REAL_DATA", Path(__file__).resolve().parents[1].parent / "shared" / "data")
)
RUNS = 3


def timed(run: Callable[[int], object], runs: int = RUNS) -> list[float]:
    """Time a callable after one run that is not counted; seconds, sorted."""
    run(0)
    seconds = []
    for number in range(1, runs + 1):
        begun = time.perf_counter()
        run(number)
        seconds.append(time.perf_counter() - begun)
    return sorted(seconds)


def main(options: list[str]) -> None:
    """Print seconds and ratios."""
    import skops.io

    from sandbox.assess import assess

    if not (REAL_DATA / "adult" / "adult.data").is_file():
        print(f"Adult is not at {REAL_DATA}; set AIACT_SANDBOX_REAL_DATA")
        return
    with tempfile.TemporaryDirectory() as base_name:
        base = Path(base_name)
        made = real.adult(base / "submission", REAL_DATA)
        model = skops.io.load(
            made.folder / "model.skops", trusted=skops.io.get_untrusted_types(file=made.folder / "model.skops")
        )
        rows = made.rows[list(real.ADULT_FEATURES)]
        bare = timed(lambda _: model.predict_proba(rows))
        print(f"bare predict of 16,281 rows in process      {statistics.median(bare):8.2f} s")
        settings = replace(Settings.from_environment(), state=base / "state")
        for backend in ("bubblewrap", "docker"):
            try:
                took = timed(
                    lambda n, backend=backend: assess(
                        made.folder, out=base / f"{backend}-{n}", settings=settings, isolation=backend, seed=1
                    )
                )
            except CellUnavailable as none:
                print(f"{backend}: {none}")
                continue
            middle = statistics.median(took)
            print(
                f"whole assessment behind {backend:<11}         {middle:8.2f} s   "
                f"{middle / statistics.median(bare):6.1f} x bare predict   (min {took[0]:.2f}, max {took[-1]:.2f})"
            )
        if "--quick" not in options:
            begun = time.perf_counter()
            _mlflow_evaluate(model, made, base / "mlflow")
            print(
                f"mlflow.models.evaluate with SHAP, same rows, 200 explained {time.perf_counter() - begun:8.2f} s, once"
            )


def _mlflow_evaluate(model: Any, made: real.Made, folder: Path) -> None:
    """Let MLflow evaluate the same trees on the same rows, coded beforehand because its explainer needs numbers."""
    import logging

    import mlflow
    import pandas as pd

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    folder.mkdir()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    coder, trees = model[0], model[-1]
    data = pd.DataFrame(coder.transform(made.rows[list(real.ADULT_FEATURES)]), columns=coder.get_feature_names_out())
    data["income"] = (made.rows["income"] == ">50K").astype(int)

    def predict(rows: pd.DataFrame) -> Any:
        return (trees.predict_proba(rows.to_numpy())[:, 1] >= 0.5).astype(int)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.set_experiment("bench")
        with mlflow.start_run():
            mlflow.models.evaluate(
                predict,
                data,
                targets="income",
                model_type="classifier",
                evaluators="default",
                evaluator_config={
                    "log_model_explainability": True,
                    "log_explainer": False,
                    "explainability_nsamples": 200,
                },
            )
