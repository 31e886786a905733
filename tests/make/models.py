"""Small models of every format, fitted and saved when a test asks for them, with what they answer in process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from checks.declaration import Declaration
from sandbox.cell.wire import Setup
from sandbox.isolation.conversation import setup_for

LOW, HIGH = "<=50K", ">50K"
REGIONS = ("north", "south", "wést")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One saved model, the rows to ask it, and its own answers to them.

    Args:
        format: what `formats.sniff` must say.
        path: the file or folder.
        declaration: what its provider states.
        table: its inputs as Arrow columns, n rows.
        categories: by column, in the order of the codes.
        expected: shape (n, k), as the model answers in this process.
        exact: whether the answers through the wire must be the same bits.
    """

    format: str
    path: Path
    declaration: Declaration
    table: pa.Table
    categories: dict[str, tuple[str, ...]]
    expected: np.ndarray
    exact: bool = True

    def setup(self, inside: str | None = None) -> Setup:
        """What a cell is told, with the path as the cell sees it."""
        return setup_for(self.declaration, self.table.schema, self.categories, self.format, inside or str(self.path))


def people(rows: int = 240, seed: int = 7) -> pd.DataFrame:
    """People as pandas would have read them: whole, decimal with gaps, boolean, category with gaps, text."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, rows)
    income = rng.normal(40, 12, rows).round(2)
    income[rng.random(rows) < 0.1] = np.nan
    region = rng.choice(np.array(REGIONS, dtype=object), rows)
    region[rng.random(rows) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "age": age,
            "income": income,
            "is member": rng.random(rows) < 0.4,
            "region": pd.Series(region, dtype=object),
            "note": pd.Series([f"é{i % 5}" if i % 3 else "" for i in range(rows)], dtype=object),
        }
    )


def outcome(frame: pd.DataFrame) -> np.ndarray:
    """A label that depends on age and income, shape (n,), 0 or 1."""
    return np.asarray((frame["age"] + frame["income"].fillna(40) + 8 * frame["is member"]) > 92).astype(int)


def table(frame: pd.DataFrame) -> pa.Table:
    """The same people as the columns that intake gives."""
    columns: dict[str, pa.Array] = {}
    for name in frame.columns:
        values = frame[name]
        if name == "region":
            codes = [REGIONS.index(v) if isinstance(v, str) else None for v in values]
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(REGIONS, pa.string()))
        elif name == "note":
            columns[name] = pa.array([v if isinstance(v, str) else None for v in values], pa.string())
        else:
            columns[name] = pa.array(values.to_numpy(), from_pandas=True)
    return pa.table(columns)


def declaration(
    output: str,
    *,
    task: str = "binary",
    classes: tuple[str, ...] = (LOW, HIGH),
    score_of: str | None = None,
    allow_code: bool = False,
    inputs: dict[str, Any] | None = None,
) -> Declaration:
    """A small declaration around a model."""
    return Declaration.model_validate(
        {
            "system": {
                "name": "Small",
                "version": "1",
                "provider": {"name": "Example BV"},
                "intended_purpose": "To be asked by tests.",
            },
            "model": {"file": "model", "output": output, "score_of": score_of, "allow_code": allow_code},
            "data": {"file": "data.csv", "task": task, "classes": list(classes)},
            "inputs": inputs or {},
        }
    )


def _built(name: str, path: Path, stated: Declaration, frame: pd.DataFrame, expected: Any, **more: Any) -> Built:
    answers = np.asarray(expected, dtype=np.float64)
    return Built(
        format=name,
        path=path,
        declaration=stated,
        table=table(frame),
        categories={"region": REGIONS},
        expected=answers.reshape(len(frame), -1),
        **more,
    )


def _names(y: np.ndarray) -> np.ndarray:
    return np.where(y == 1, HIGH, LOW)


def _numbers(rows: int = 240) -> tuple[pd.DataFrame, np.ndarray]:
    frame = people(rows)[["age", "income", "is member"]].fillna({"income": 40.0})
    return frame, outcome(frame)


def pipeline() -> Any:
    """A scikit-learn pipeline over every type of column."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
            ("names", OneHotEncoder(handle_unknown="ignore"), ["region", "note"]),
        ],
        remainder="passthrough",
    )
    return make_pipeline(columns, LogisticRegression())


def skops_pipeline(folder: Path) -> Built:
    """A pipeline over all types, asked for a probability of the second class."""
    import skops.io

    frame = people()
    fitted = pipeline().fit(frame, _names(outcome(frame)))
    path = folder / "model.skops"
    skops.io.dump(fitted, path)
    return _built("skops", path, declaration("probability", score_of=HIGH), frame, fitted.predict_proba(frame)[:, 1])


def skops_first_class(folder: Path) -> Built:
    """The same pipeline, asked for a probability of the first class."""
    built = skops_pipeline(folder)
    return Built(
        format="skops",
        path=built.path,
        declaration=declaration("probability", score_of=LOW),
        table=built.table,
        categories=built.categories,
        expected=1.0 - built.expected,
        exact=False,
    )


def skops_labels_by_place(folder: Path) -> Built:
    """Boosted trees fitted on 0 and 1 without column names, asked for labels that are declared by name."""
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame, y = _numbers()
    fitted = HistGradientBoostingClassifier(max_iter=8, random_state=0).fit(frame.to_numpy(np.float64), y)
    path = folder / "model.skops"
    skops.io.dump(fitted, path)
    return _built("skops", path, declaration("label"), frame, fitted.predict(frame.to_numpy(np.float64)))


def skops_multiclass(folder: Path) -> Built:
    """Three classes whose declared order is not the model's."""
    import skops.io
    from sklearn.ensemble import RandomForestClassifier

    frame, _ = _numbers()
    names = np.array(["a", "b", "c"])[np.digitize(frame["age"], [35, 55])]
    fitted = RandomForestClassifier(6, random_state=0).fit(frame, names)
    path = folder / "model.skops"
    skops.io.dump(fitted, path)
    stated = declaration("probability", task="multiclass", classes=("c", "a", "b"), score_of="a")
    return _built("skops", path, stated, frame, fitted.predict_proba(frame)[:, [2, 0, 1]])


def skops_score(folder: Path) -> Built:
    """A support vector machine asked for the score of the first class."""
    import skops.io
    from sklearn.svm import SVC

    frame, y = _numbers(120)
    fitted = SVC().fit(frame, _names(y))
    path = folder / "model.skops"
    skops.io.dump(fitted, path)
    return _built("skops", path, declaration("score", score_of=LOW), frame, -fitted.decision_function(frame))


def pickle_plain(folder: Path) -> Built:
    """A pickled pipeline, with consent."""
    import pickle

    frame = people()
    fitted = pipeline().fit(frame, _names(outcome(frame)))
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps(fitted))
    stated = declaration("decision", allow_code=True)
    return _built("pickle", path, stated, frame, fitted.predict(frame) == HIGH)


def pickle_joblib(folder: Path, compress: int | tuple[str, int] = 0) -> Built:
    """A forest in joblib's mixed stream."""
    import joblib
    from sklearn.ensemble import RandomForestClassifier

    frame, y = _numbers()
    fitted = RandomForestClassifier(5, random_state=0).fit(frame, y)
    path = folder / "model.joblib"
    joblib.dump(fitted, path, compress=compress)
    stated = declaration("probability", classes=("0", "1"), score_of="1", allow_code=True)
    return _built("pickle", path, stated, frame, fitted.predict_proba(frame)[:, 1])


def pickle_joblib_compressed(folder: Path) -> Built:
    """The same, compressed."""
    return pickle_joblib(folder, 3)


def pickle_joblib_of_objects(folder: Path) -> Built:
    """A joblib file whose arrays hold objects: streams inside the stream."""
    import joblib

    frame = people()
    fitted = pipeline().fit(frame, _names(outcome(frame)).astype(object))
    path = folder / "model.joblib"
    joblib.dump(fitted, path)
    stated = declaration("probability", score_of=HIGH, allow_code=True)
    return _built("pickle", path, stated, frame, fitted.predict_proba(frame)[:, 1])


def onnx_one_tensor(folder: Path) -> Built:
    """A graph over one float tensor, with a map per row that names the classes."""
    from onnxruntime import InferenceSession
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    frame, y = _numbers()
    given = frame.to_numpy(np.float32)
    fitted = LogisticRegression(max_iter=500).fit(given, _names(1 - y))
    path = folder / "model.onnx"
    path.write_bytes(to_onnx(fitted, given[:1]).SerializeToString())
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    rows = session.run(None, {session.get_inputs()[0].name: given})[1]
    expected = [row[HIGH] for row in rows]
    return _built("onnx", path, declaration("probability", score_of=HIGH), frame, expected)


def onnx_named_classes(folder: Path) -> Built:
    """A graph whose columns of probabilities are in another order than the declared classes."""
    from onnxruntime import InferenceSession
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    frame, y = _numbers()
    given = frame.to_numpy(np.float32)
    fitted = LogisticRegression(max_iter=500).fit(given, np.where(y == 1, "accept", "refuse"))
    path = folder / "model.onnx"
    path.write_bytes(to_onnx(fitted, given[:1], options={"zipmap": False}).SerializeToString())
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: given})[1][:, 0]
    stated = declaration("probability", classes=("refuse", "accept"), score_of="accept")
    return _built("onnx", path, stated, frame, expected)


def onnx_one_input_per_column(folder: Path) -> Built:
    """A pipeline as a graph with one input per column, numbers and strings."""
    from onnxruntime import InferenceSession
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = people()[["age", "income", "region"]].fillna({"income": 40.0, "region": "north"})
    fitted = make_pipeline(
        ColumnTransformer([("n", StandardScaler(), ["age", "income"]), ("c", OneHotEncoder(), ["region"])]),
        LogisticRegression(),
    ).fit(frame, outcome(people()))
    kinds = [
        ("age", FloatTensorType([None, 1])),
        ("income", FloatTensorType([None, 1])),
        ("region", StringTensorType([None, 1])),
    ]
    path = folder / "model.onnx"
    path.write_bytes(to_onnx(fitted, initial_types=kinds).SerializeToString())
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {n: frame[[n]].to_numpy(np.float32) for n in ("age", "income")}
    labels = session.run(None, {**feed, "region": frame[["region"]].to_numpy(object)})[0]
    return _built("onnx", path, declaration("label"), frame, labels)


def xgboost_json(folder: Path, name: str = "model.json") -> Built:
    """XGBoost's own file of a classifier over numbers."""
    from xgboost import XGBClassifier

    frame, y = _numbers()
    fitted = XGBClassifier(n_estimators=6, n_jobs=1).fit(frame, y)
    path = folder / name
    fitted.save_model(path)
    expected = fitted.predict_proba(frame)[:, 1]
    return _built("xgboost", path, declaration("probability", score_of=HIGH), frame, expected)


def xgboost_ubjson(folder: Path) -> Built:
    """The same in binary JSON."""
    return xgboost_json(folder, "model.ubj")


def xgboost_categories(folder: Path) -> Built:
    """Trees over a category column, asked for labels."""
    from xgboost import XGBClassifier

    frame = people()[["age", "income", "region"]]
    typed = frame.assign(region=pd.Categorical(frame["region"], categories=list(REGIONS)))
    fitted = XGBClassifier(n_estimators=6, n_jobs=1, enable_categorical=True).fit(typed, outcome(people()))
    path = folder / "model.ubj"
    fitted.save_model(path)
    return _built("xgboost", path, declaration("label"), frame, fitted.predict(typed))


def skops_of_xgboost(folder: Path) -> Built:
    """XGBoost's scikit-learn estimator in a skops file; its categories are in another order than declared."""
    import skops.io
    from xgboost import XGBClassifier

    frame = people()[["age", "income", "region"]].replace({"region": {"wést": "south"}})
    typed = frame.assign(region=pd.Categorical(frame["region"], categories=["south", "north"]))
    # Declared in the order of `REGIONS`, of which the model has never seen the last.
    south = frame["region"].isin(["south"]).to_numpy().astype(int)
    fitted = XGBClassifier(n_estimators=6, n_jobs=1, enable_categorical=True).fit(typed, south)
    path = folder / "model.skops"
    skops.io.dump(fitted, path)
    expected = fitted.predict_proba(typed)[:, 1]
    built = _built("skops", path, declaration("probability", score_of=HIGH), frame, expected)
    return replace(built, categories={"region": ("north", "south", "east")}, table=_named(built.table))


def _named(given: pa.Table) -> pa.Table:
    at = given.schema.get_field_index("region")
    codes = given.column(at).combine_chunks().indices
    names = pa.array(("north", "south", "east"), pa.string())
    return given.set_column(at, "region", pa.DictionaryArray.from_arrays(codes, names))


def skops_hist_gradient_categories(folder: Path) -> Built:
    """Boosted trees that take their categories from the type of the column."""
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame = people()[["age", "income", "region"]]
    typed = frame.assign(region=pd.Categorical(frame["region"], categories=list(reversed(REGIONS))))
    south = _names(frame["region"].isin(["south"]).to_numpy().astype(int))
    fitted = HistGradientBoostingClassifier(max_iter=8, categorical_features="from_dtype").fit(typed, south)
    path = folder / "model.skops"
    skops.io.dump(fitted, path)
    expected = fitted.predict_proba(typed)[:, 1]
    return _built("skops", path, declaration("probability", score_of=HIGH), frame, expected)


def xgboost_value(folder: Path) -> Built:
    """A regression."""
    from xgboost import XGBRegressor

    frame, _ = _numbers()
    fitted = XGBRegressor(n_estimators=6, n_jobs=1).fit(frame, frame["age"] * 2.0)
    path = folder / "model.ubj"
    fitted.save_model(path)
    return _built("xgboost", path, declaration("value", task="regression", classes=()), frame, fitted.predict(frame))


def xgboost_multiclass(folder: Path) -> Built:
    """Three classes in XGBoost's own file, asked for labels."""
    from xgboost import XGBClassifier

    frame, _ = _numbers()
    fitted = XGBClassifier(n_estimators=4, n_jobs=1).fit(frame, np.digitize(frame["age"], [35, 55]))
    path = folder / "model.json"
    fitted.save_model(path)
    stated = declaration("label", task="multiclass", classes=("young", "middle", "old"))
    return _built("xgboost", path, stated, frame, fitted.predict(frame))


def lightgbm_multiclass(folder: Path) -> Built:
    """Three classes in LightGBM's own file, asked for all probabilities."""
    from lightgbm import LGBMClassifier

    frame, _ = _numbers()
    fitted = LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1).fit(frame, np.digitize(frame["age"], [35, 55]))
    path = folder / "model.txt"
    fitted.booster_.save_model(path)
    stated = declaration("probability", task="multiclass", classes=("young", "middle", "old"), score_of="old")
    return _built("lightgbm", path, stated, frame, fitted.booster_.predict(frame))


def lightgbm_text(folder: Path) -> Built:
    """LightGBM's own file, with a column name that LightGBM rewrites."""
    from lightgbm import LGBMClassifier

    frame, y = _numbers()
    fitted = LGBMClassifier(n_estimators=6, n_jobs=1, verbose=-1).fit(frame, y)
    path = folder / "model.txt"
    fitted.booster_.save_model(path)
    expected = fitted.booster_.predict(frame)
    return _built("lightgbm", path, declaration("probability", score_of=HIGH), frame, expected)


def lightgbm_categories(folder: Path) -> Built:
    """Trees over a pandas category whose order is not the declared one."""
    from lightgbm import LGBMClassifier

    frame = people()[["age", "income", "region"]]
    typed = frame.assign(region=pd.Categorical(frame["region"], categories=list(reversed(REGIONS))))
    fitted = LGBMClassifier(n_estimators=6, n_jobs=1, verbose=-1, min_data_per_group=5).fit(
        typed, frame["region"].isin(["south"]).to_numpy().astype(int)
    )
    path = folder / "model.txt"
    fitted.booster_.save_model(path)
    expected = fitted.booster_.predict(typed)
    return _built("lightgbm", path, declaration("probability", score_of=HIGH), frame, expected)


def skops_of_lightgbm(folder: Path) -> Built:
    """LightGBM's scikit-learn estimator in a skops file, with a category column."""
    import skops.io
    from lightgbm import LGBMClassifier

    frame = people()[["age", "income", "region"]]
    typed = frame.assign(region=pd.Categorical(frame["region"], categories=list(REGIONS)))
    fitted = LGBMClassifier(n_estimators=6, n_jobs=1, verbose=-1).fit(typed, _names(outcome(people())))
    path = folder / "model.skops"
    skops.io.dump(fitted, path)
    expected = fitted.predict_proba(typed)[:, 1]
    return _built("skops", path, declaration("probability", score_of=HIGH), frame, expected)


def mlflow_folder(folder: Path, flavour: str, native: str, written: dict[str, str]) -> Path:
    """A folder as MLflow writes it around one native file."""
    path = folder / "mlflow_model"
    path.mkdir()
    lines = [
        "flavors:",
        "  python_function:",
        f"    loader_module: mlflow.{flavour}",
        f"  {flavour}:",
        "    code: null",
    ]
    lines += [f"    {key}: {value}" for key, value in written.items()]
    (path / "MLmodel").write_text("\n".join([*lines, "mlflow_version: 3.17.2", ""]))
    (path / native).parent.mkdir(exist_ok=True)
    return path


def _moved(built: Built, folder: Path, flavour: str, key: str) -> Built:
    name = built.path.name
    path = mlflow_folder(folder, flavour, name, {key: name})
    built.path.rename(path / name)
    return Built(
        format="mlflow",
        path=path,
        declaration=built.declaration,
        table=built.table,
        categories=built.categories,
        expected=built.expected,
    )


def mlflow_sklearn(folder: Path) -> Built:
    """MLflow's scikit-learn flavour around a skops file."""
    return _moved(skops_pipeline(folder), folder, "sklearn", "pickled_model")


def mlflow_sklearn_pickle(folder: Path) -> Built:
    """MLflow's scikit-learn flavour around a pickle, with consent."""
    return _moved(pickle_plain(folder), folder, "sklearn", "pickled_model")


def mlflow_xgboost(folder: Path) -> Built:
    """MLflow's XGBoost flavour."""
    return _moved(xgboost_ubjson(folder), folder, "xgboost", "data")


def mlflow_lightgbm(folder: Path) -> Built:
    """MLflow's LightGBM flavour."""
    return _moved(lightgbm_text(folder), folder, "lightgbm", "data")


def mlflow_onnx(folder: Path) -> Built:
    """MLflow's ONNX flavour."""
    return _moved(onnx_one_tensor(folder), folder, "onnx", "data")


BUILDERS: dict[str, Callable[[Path], Built]] = {
    built.__name__: built
    for built in (
        skops_pipeline,
        skops_first_class,
        skops_labels_by_place,
        skops_multiclass,
        skops_score,
        skops_of_lightgbm,
        skops_of_xgboost,
        skops_hist_gradient_categories,
        pickle_plain,
        pickle_joblib,
        pickle_joblib_compressed,
        pickle_joblib_of_objects,
        onnx_one_tensor,
        onnx_named_classes,
        onnx_one_input_per_column,
        xgboost_json,
        xgboost_ubjson,
        xgboost_categories,
        xgboost_value,
        xgboost_multiclass,
        lightgbm_text,
        lightgbm_categories,
        lightgbm_multiclass,
        mlflow_sklearn,
        mlflow_sklearn_pickle,
        mlflow_xgboost,
        mlflow_lightgbm,
        mlflow_onnx,
    )
}
"""Every way in which a model of each format is built; at least one per format."""


def untrained_json(folder: Path) -> Path:
    """A JSON file that is no model."""
    path = folder / "other.json"
    path.write_text(json.dumps({"hello": "world"}))
    return path
