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
            took = timed(lambda n: _mlflow_evaluate(model, made, base / f"mlflow-{n}"), runs=1)
            print(f"mlflow.models.evaluate with SHAP, same rows {statistics.median(took):8.2f} s")


def _mlflow_evaluate(model: object, made: real.Made, folder: Path) -> None:
    import logging

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    folder.mkdir()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    data = made.rows[list(real.ADULT_FEATURES)].assign(income=(made.rows["income"] == ">50K").astype(int))
    text = [c for c in data.columns if data[c].dtype.kind not in "if"]
    for column in text:
        data[column] = data[column].astype("category").cat.codes

    class Coded:
        """The same model behind the numbers that MLflow's explainer needs."""

        def __init__(self) -> None:
            self.names = {c: made.rows[c].astype("category").cat.categories for c in text}

        def predict(self, table):  # type: ignore[no-untyped-def]
            """Predict the label."""
            table = table.copy()
            for column in text:
                codes = table[column].round().astype(int)
                table[column] = [self.names[column][i] if i >= 0 else None for i in codes]
            return (model.predict_proba(table)[:, 1] >= 0.5).astype(int)  # type: ignore[attr-defined]

    coded = Coded()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.set_experiment("bench")
        with mlflow.start_run():
            mlflow.models.evaluate(
                coded.predict,
                data,
                targets="income",
                model_type="classifier",
                evaluators=["default", "shap"],
                evaluator_config={"shap": {"log_explainer": False, "max_error_examples": 0}},
            )
