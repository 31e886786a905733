"""Models are loaded with their own packages from the configured index: another scikit-learn, MLflow's, CatBoost.

These tests need that index; each environment is built once for all of them.
"""

from __future__ import annotations

import os
import subprocess
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pytest_socket import socket_allow_hosts

from sandbox.cell import formats
from sandbox.cell.wire import Column, Setup
from sandbox.environments import gate
from sandbox.environments.keeping import Environment, environment_of
from sandbox.environments.requirements import Requirement
from sandbox.errors import ModelFault
from sandbox.isolation.bubblewrap import Bubblewrap
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import CellFiles, Limits
from sandbox.settings import Settings
from tests.conftest import skip_or_fail
from tests.make import submissions

pytestmark = [pytest.mark.network, pytest.mark.bubblewrap]
ROWS = pa.table({"a": np.linspace(-2.0, 2.0, 40), "b": np.linspace(3.0, -3.0, 40)})
COLUMNS = (Column(name="a", type="number"), Column(name="b", type="number"))
LIMITS = Limits(start_seconds=120.0, answer_seconds=120.0)


@pytest.fixture
def wall(session_settings: Settings) -> Bubblewrap:
    """Bubblewrap, and a way to the index for this process alone."""
    made = Bubblewrap(session_settings)
    reason = made.available()
    if reason is not None:
        skip_or_fail(reason)
    try:
        known = gate.addresses(gate.index_of(session_settings))
    except gate.NoIndex as none:
        skip_or_fail(f"no package index: {none}")
        raise
    socket_allow_hosts(["127.0.0.1", "::1", *known.values()], allow_unix_socket=True)
    return made


def have(wall: Bubblewrap, settings: Settings, *packages: str) -> Environment:
    """The environment of these packages."""
    asked = tuple(Requirement(name=p.partition("==")[0], version=p.partition("==")[2]) for p in packages)
    return environment_of(asked, isolation=wall, settings=settings)


def made_with(environment: Environment, source: str, folder: Path) -> None:
    """Run a script of the test's own with these packages, to train and save a model."""
    start = f"import sys; sys.path.append({str(environment.folder)!r})\n"
    subprocess.run(
        ["/usr/bin/python3", "-P", "-s", "-S", "-B", "-c", start + textwrap.dedent(source)], cwd=folder, check=True
    )


def setup(name: str, path: Path, output: str = "probability") -> Setup:
    """What the cell is told."""
    regression = output == "value"
    return Setup(
        format=name,
        path=f"/c/model/{path.name}",
        allow_code=True,
        columns=COLUMNS,
        task="regression" if regression else "binary",
        output=output,
        classes=() if regression else ("no", "yes"),
        score_of="" if regression else "yes",
        k=1,
    )


def answers(wall: Bubblewrap, path: Path, told: Setup, environment: Environment | None) -> np.ndarray:
    """What the model in its cell answers."""
    files = CellFiles(model=path, environment=environment and environment.mount())
    running = wall.open(files, LIMITS)
    try:
        model = Conversation(running, told, LIMITS)
        model.load()
        answer = model.predict(ROWS)
        model.close()
    finally:
        running.close()
    return answer[:, 0]


TRAIN = """
import pickle, numpy, pandas, sklearn
from sklearn.ensemble import HistGradientBoostingClassifier
rows = pandas.DataFrame({"a": numpy.linspace(-2.0, 2.0, 40), "b": numpy.linspace(3.0, -3.0, 40)})
label = numpy.where(rows["a"] > 0.3, "yes", "no")
model = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2, random_state=0).fit(rows, label)
pickle.dump(model, open("model.pkl", "wb"))
numpy.save("expected.npy", model.predict_proba(rows)[:, 1])
assert sklearn.__version__ == VERSION
"""


VERSIONS = ("1.5.2", "1.6.1") if os.environ.get("AIACT_SANDBOX_LONG_ENVIRONMENTS") else ("1.5.2",)
"""The other one is ours, with which such a model fails; `make environments` tries a third."""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_model_pickled_with_another_scikit_learn_is_loaded_with_its_own(
    version: str, wall: Bubblewrap, session_settings: Settings, tmp_path: Path
) -> None:
    own = have(wall, session_settings, f"scikit-learn=={version}")
    assert own.packages["scikit-learn"] == version
    made_with(own, TRAIN.replace("VERSION", repr(version)), tmp_path)
    path = tmp_path / "model.pkl"
    expected = np.load(tmp_path / "expected.npy")
    np.testing.assert_array_equal(answers(wall, path, setup("pickle", path), own), expected)
    assert len(set(expected)) > 1


def test_with_our_scikit_learn_such_a_model_fails(wall: Bubblewrap, session_settings: Settings, tmp_path: Path) -> None:
    made_with(have(wall, session_settings, "scikit-learn==1.5.2"), TRAIN.replace("VERSION", "'1.5.2'"), tmp_path)
    path = tmp_path / "model.pkl"
    with pytest.raises(ModelFault) as raised:
        answers(wall, path, setup("pickle", path), None)
    assert raised.value.code in ("load_failed", "crashed")


def test_any_python_function_that_mlflow_saved_is_asked_with_its_own_packages(
    wall: Bubblewrap, session_settings: Settings, tmp_path: Path
) -> None:
    own = have(wall, session_settings, "mlflow-skinny==3.6.0", "cloudpickle==3.1.2")
    made_with(
        own,
        """
        import mlflow.pyfunc
        class Sum(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return model_input["a"] + 2 * model_input["b"]
        mlflow.pyfunc.save_model("model", python_model=Sum(), pip_requirements=["mlflow-skinny==3.6.0"])
        """,
        tmp_path,
    )
    path = tmp_path / "model"
    seen = formats.scan(path, True)
    assert (seen["format"], seen["loading"]) == ("mlflow", "can_execute_code")
    assert "any_function" in seen["notes"]
    expected = ROWS["a"].to_numpy() + 2 * ROWS["b"].to_numpy()
    np.testing.assert_allclose(answers(wall, path, setup("mlflow", path, "value"), own), expected)
    with pytest.raises(ModelFault) as raised:
        answers(wall, path, replace(setup("mlflow", path, "value"), allow_code=False), own)
    assert raised.value.params["status"] == "code_not_allowed"
    with pytest.raises(ModelFault) as raised:
        answers(wall, path, setup("mlflow", path, "value"), None)
    assert raised.value.params["status"] == "missing_package"


def test_a_catboost_model_is_asked_with_its_own_packages(
    wall: Bubblewrap, session_settings: Settings, tmp_path: Path
) -> None:
    own = have(wall, session_settings, "catboost==1.2.10")
    made_with(
        own,
        """
        import numpy, pandas
        from catboost import CatBoostClassifier
        rows = pandas.DataFrame({"b": numpy.linspace(3.0, -3.0, 40), "a": numpy.linspace(-2.0, 2.0, 40)})
        label = numpy.where(rows["a"] > 0.3, "yes", "no")
        model = CatBoostClassifier(iterations=5, verbose=0, allow_writing_files=False).fit(rows, label)
        model.save_model("model.cbm")
        numpy.save("expected.npy", model.predict_proba(rows)[:, 1])
        """,
        tmp_path,
    )
    path = tmp_path / "model.cbm"
    assert formats.sniff(path) == "catboost"
    assert formats.scan(path, False)["loading"] == "data_only"
    # Its columns are found by name: it was trained with them in another order.
    np.testing.assert_allclose(answers(wall, path, setup("catboost", path), own), np.load(tmp_path / "expected.npy"))
    labels = answers(wall, path, setup("catboost", path, "label"), own)
    np.testing.assert_array_equal(labels, (ROWS["a"].to_numpy() > 0.3).astype(float))


def submission(folder: Path, model: bytes, requirements: str) -> Path:
    """A submission of a pickled model over two numbers."""
    label = np.where(ROWS["a"].to_numpy() > 0.3, "yes", "no")
    lines = [f"{a},{b},{'f' if i % 2 else 'm'},{y}" for i, (a, b, y) in enumerate(zip(*_lists(), label, strict=True))]
    return submissions.with_model(
        folder,
        model,
        name="model.pkl",
        table="a,b,sex,outcome\n" + "\n".join(lines) + "\n",
        stated={"requirements": "requirements.txt", "allow_code": True},
        files={"requirements.txt": requirements},
    )


def _lists() -> tuple[list[float], list[float]]:
    return ROWS["a"].to_pylist(), ROWS["b"].to_pylist()


def test_an_assessment_runs_such_a_model_and_says_with_what(
    wall: Bubblewrap, session_settings: Settings, tmp_path: Path
) -> None:
    from sandbox.assess import assess

    made_with(have(wall, session_settings, "scikit-learn==1.5.2"), TRAIN.replace("VERSION", "'1.5.2'"), tmp_path)
    handed_in = submission(tmp_path / "s", (tmp_path / "model.pkl").read_bytes(), "scikit-learn==1.5.2\n")
    settings = replace(session_settings, state=tmp_path / "state")
    done = assess(
        handed_in, out=tmp_path / "out", settings=settings, isolation="bubblewrap", seed=3, log_to_mlflow=False
    )
    assert done.dossier.model_fault is None
    (answered,) = [f for f in done.dossier.findings if f.check == "robustness.answered"]
    assert answered.measures[0].value == 0
    (file,) = [f for f in done.dossier.findings if f.check == "cybersecurity.model_file"]
    assert file.reason is not None
    assert file.reason.code == "scanned_can_execute"
    receipt = done.assessment.run.receipt
    assert receipt is not None
    assert any("scikit-learn 1.5.2" in note for note in receipt.notes)


def test_packages_that_cannot_be_had_are_a_finding_with_the_resolver_s_own_words(
    wall: Bubblewrap, session_settings: Settings, tmp_path: Path
) -> None:
    from sandbox.assess import assess

    handed_in = submission(tmp_path / "s", b"\x80\x04N.", "scikit-learn==0.0.99\n")
    settings = replace(session_settings, state=tmp_path / "state")
    done = assess(
        handed_in, out=tmp_path / "out", settings=settings, isolation="bubblewrap", seed=3, log_to_mlflow=False
    )
    assert done.dossier.model_fault is not None
    assert done.dossier.model_fault["code"] == "environment_failed"
    card = (tmp_path / "out" / "model_card.en.md").read_text()
    assert "no version of scikit" in card
    assert (tmp_path / "out" / "model_card.nl.md").read_text().count("konden niet worden geïnstalleerd") >= 1
