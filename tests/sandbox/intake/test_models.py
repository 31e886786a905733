"""Model files of every format are recognised and scanned, as a file or as a folder, behind a wall and without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.intake import accept
from sandbox.intake.reading import known_formats
from sandbox.isolation.interface import Isolation
from sandbox.settings import Settings
from tests.make import submissions

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]] * 10)
Y = np.array([0, 1, 1, 0] * 10)


def _fitted() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(X, Y)


def save_skops(folder: Path) -> str:
    import skops.io

    skops.io.dump(_fitted(), folder / "model.skops")
    return "model.skops"


def save_pickle(folder: Path) -> str:
    import joblib

    joblib.dump(_fitted(), folder / "model.joblib")
    return "model.joblib"


def save_onnx(folder: Path) -> str:
    from skl2onnx import to_onnx

    (folder / "model.onnx").write_bytes(to_onnx(_fitted(), X[:1].astype(np.float32)).SerializeToString())
    return "model.onnx"


def save_xgboost(folder: Path) -> str:
    import xgboost

    xgboost.XGBClassifier(n_estimators=2).fit(X, Y).save_model(folder / "model.json")
    return "model.json"


def save_lightgbm(folder: Path) -> str:
    import lightgbm

    lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(X, Y).booster_.save_model(folder / "model.txt")
    return "model.txt"


def save_mlflow(folder: Path) -> str:
    import xgboost

    (folder / "model").mkdir()
    xgboost.XGBClassifier(n_estimators=2).fit(X, Y).save_model(folder / "model" / "model.ubj")
    (folder / "model" / "MLmodel").write_text("flavors:\n  xgboost:\n    data: model.ubj\n    model_format: ubj\n")
    return "model"


SAVED: dict[str, Callable[[Path], str]] = {
    "skops": save_skops,
    "pickle": save_pickle,
    "onnx": save_onnx,
    "xgboost": save_xgboost,
    "lightgbm": save_lightgbm,
    "mlflow": save_mlflow,
}


def submission(folder: Path, format_: str) -> Path:
    """A submission with a model of a format."""
    folder.mkdir()
    name = SAVED[format_](folder)
    stated = {"allow_code": "true"} if format_ in ("pickle", "mlflow") else {}
    submissions.with_model(folder, b"", name="unused.bin", stated={"file": name, **stated})
    (folder / "unused.bin").unlink()
    return folder


def test_every_format_has_its_case_here() -> None:
    # The others need packages of their own, or are never run: `tests/sandbox/environments`.
    assert set(SAVED) | {"catboost", "torch", "safetensors"} == set(known_formats())


@pytest.mark.parametrize("format_", SAVED)
def test_each_format_is_recognised_and_scanned(take, tmp_path: Path, format_: str) -> None:
    bundle = take(submission(tmp_path / "s", format_))
    assert bundle.model_format == format_
    assert bundle.scan["verdict"] == "scanned"
    assert bundle.scan["loading"] in ("data_only", "can_execute_code")
    assert bundle.declaration.model is not None
    assert (bundle.folder / bundle.declaration.model.file).exists()


def test_a_model_folder_in_a_zip_is_taken_in_whole(take, tmp_path: Path) -> None:
    folder = submission(tmp_path / "s", "mlflow")
    plain = take(folder)
    packed = take(submissions.zipped(folder, tmp_path / "s.zip", inside="s/"))
    assert packed.digest == plain.digest
    assert packed.scan == plain.scan
    assert {"model/MLmodel", "model/model.ubj"} <= set(packed.files)


@pytest.mark.parametrize("format_", SAVED)
def test_a_cell_scans_the_same_as_a_limited_process(
    take, wall: Isolation, settings: Settings, quarantine: Path, tmp_path: Path, format_: str
) -> None:
    folder = submission(tmp_path / "s", format_)
    plain = take(folder)
    with accept(folder, settings, isolation=wall, quarantine=quarantine) as walled:
        assert (walled.model_format, walled.scan) == (plain.model_format, plain.scan)
        assert walled.table is not None
        assert walled.table.features.equals(plain.table.features)
