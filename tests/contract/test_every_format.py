"""What must be true of every model format, present and future."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from sandbox.cell import formats
from sandbox.cell.wire import Setup
from sandbox.errors import ModelFault
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import CellFiles, Limits
from tests.conftest import ROOT
from tests.make.models import BUILDERS, Built, untrained_json
from tests.make.talks import talk
from tests.make.walls import Wall


@pytest.fixture(params=sorted(BUILDERS))
def built(request: pytest.FixtureRequest, tmp_path: Path) -> Built:
    """Each model in turn, fitted and saved."""
    folder = tmp_path / "made"
    folder.mkdir()
    return BUILDERS[request.param](folder)


def _agree(built: Built, answers: np.ndarray) -> None:
    assert answers.shape == built.expected.shape
    assert answers.dtype == np.float64
    if built.exact:
        np.testing.assert_array_equal(answers, built.expected)
    else:
        np.testing.assert_allclose(answers, built.expected, rtol=1e-12, atol=1e-15)


ELSEWHERE = {"catboost", "torch", "safetensors"}
"""Formats that need packages which no cell of ours holds, or that are never run: `tests/sandbox/environments`."""


def test_each_format_in_the_folder_is_built_here() -> None:
    assert {name.partition("_")[0] for name in BUILDERS} | ELSEWHERE == set(formats.names())


LADDER = {
    "data_only": {"catboost", "lightgbm", "onnx", "safetensors", "skops", "xgboost"},
    "can_execute_code": {"mlflow", "pickle", "torch"},
}


def test_every_format_stands_on_the_ladder_and_the_dossier_says_where() -> None:
    found = {loading: {n for n in formats.names() if loading == formats.named(n).LOADING} for loading in LADDER}
    assert found == LADDER
    words = yaml.safe_load((ROOT / "model_cards/locale/en/checks/cybersecurity.yaml").read_text(encoding="utf-8"))
    reasons = words["model_file"]["reasons"]
    assert "holds data only" in reasons["scanned_data_only"]
    assert "consented" in reasons["scanned_can_execute"]
    assert "did not consent" in reasons["scanned_no_consent"]


def test_a_model_is_recognised_scanned_and_answers_as_in_process(built: Built) -> None:
    assert formats.sniff(built.path) == built.format
    seen = formats.scan(built.path, built.declaration.model.allow_code)  # type: ignore[union-attr]
    assert seen["format"] == built.format
    assert seen["verdict"] == "scanned"
    assert seen["suspicious"] == []
    assert json.loads(json.dumps(seen)) == seen
    with talk(built.setup()) as model:
        _agree(built, model.predict(built.table))
        assert model.rows_asked == built.table.num_rows
        assert model.bytes_out == 32 + 32 + 8 * built.expected.size
        part = model.predict(built.table.slice(17, 40))
        np.testing.assert_allclose(part, built.expected[17:57], rtol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "skops_pipeline",
        "skops_of_lightgbm",
        "skops_of_xgboost",
        "pickle_joblib_of_objects",
        "onnx_one_input_per_column",
        "xgboost_categories",
        "lightgbm_categories",
        "mlflow_sklearn",
    ],
)
def test_a_model_answers_the_same_inside_a_cell(name: str, wall: Wall, tmp_path: Path) -> None:
    built = BUILDERS[name](tmp_path)
    running = wall.backend().open(CellFiles(model=built.path), Limits())
    try:
        model = Conversation(running, built.setup(f"/c/model/{built.path.name}"), Limits())
        model.load()
        _agree(built, model.predict(built.table))
        model.close()
    finally:
        running.close()


def test_formats_exclude_each_other(built: Built) -> None:
    claimed = [name for name in formats.names() if formats.named(name).sniff(built.path)]
    assert claimed == [built.format]


def test_every_format_says_what_loading_can_do(built: Built) -> None:
    seen = formats.scan(built.path, False)
    assert seen["loading"] in ("data_only", "can_execute_code")
    assert ("consent_missing" in seen["notes"]) == (seen["loading"] == "can_execute_code")


def test_what_is_no_model_has_no_format(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "words.txt").write_text("tree of life\n")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "empty.onnx", tmp_path / "words.txt", tmp_path / "folder", untrained_json(tmp_path)):
        assert formats.sniff(path) is None, path
        assert formats.scan(path, True)["verdict"] == "unknown_format"


@pytest.mark.parametrize("name", formats.names())
def test_any_bytes_under_any_name_end_in_a_scan(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    heads = [b"", b"\x80\x04", b"PK\x03\x04", b"\x08\x09:", b'{"learner"', b"tree\nversion=v4\n", b"(dp0\n", b"x\x9c"]
    for i, head in enumerate(heads):
        path = tmp_path / f"{i}.pkl"
        path.write_bytes(head + rng.bytes(400))
        found = formats.sniff(path)
        assert found is None or found in formats.names()
        if formats.named(name).sniff(path):
            assert formats.named(name).scan(path)["verdict"] in ("scanned", "scan_incomplete")


def test_the_cell_imports_nothing_but_the_standard_library_before_it_has_a_model() -> None:
    code = (
        "import sys; before = set(sys.modules); from sandbox.cell import serve, formats\n"
        "[formats.named(n) for n in formats.names()]\n"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'sandbox'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_an_mlflow_folder_of_any_python_function_needs_consent_and_packages_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "generic"
    folder.mkdir()
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: my_loader\n    python_model: python_model.pkl\n"
    )
    seen = formats.scan(folder, True)
    assert (seen["loading"], seen["notes"]) == ("can_execute_code", ["flavour_python_function", "any_function"])
    assert "loader_module:my_loader" in seen["suspicious"]
    assert "consent_missing" in formats.scan(folder, False)["notes"]
    built = BUILDERS["skops_labels_by_place"](tmp_path)
    with pytest.raises(ModelFault) as raised, talk(_as(built, "mlflow", folder)):
        pass
    assert (raised.value.code, raised.value.params["status"]) == ("load_failed", "code_not_allowed")


def _as(built: Built, name: str, path: Path) -> Setup:
    return replace(built.setup(str(path)), format=name)


def test_an_mlflow_file_outside_the_folder_is_not_followed(tmp_path: Path) -> None:
    built = BUILDERS["xgboost_ubjson"](tmp_path)
    folder = tmp_path / "climbing"
    folder.mkdir()
    for stated in ("../model.ubj", str(built.path), "link.ubj"):
        (folder / "MLmodel").write_text(f"flavors:\n  xgboost:\n    data: {stated}\n")
        if stated == "link.ubj":
            (folder / stated).symlink_to(built.path)
        assert "not_supported" in formats.scan(folder, True)["notes"]


def test_a_scan_lists_every_way_of_naming_a_global(tmp_path: Path) -> None:
    streams = {
        "global": b"cos\nsystem\n.",
        "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        "by_memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93.",
        "inst": b"(ios\nsystem\n.",
        "called": b"cos\nsystem\n(S'true'\ntR.",
        "truncated": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x94(",
        "stacked": b"N.cos\nsystem\n.",
        "popped": b"\x80\x04\x8c\x02os\x8c\x06system\x930N.",
        "dotted": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x08builtins\x8c\x0deval.__call__\x93.",
    }
    for name, stream in streams.items():
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(stream)
        assert formats.sniff(path) == "pickle", name
        seen = formats.scan(path, True)
        assert "os.system" in seen["types"], name
        assert "os.system" in seen["suspicious"], name
    assert formats.scan(tmp_path / "truncated.pkl", True)["verdict"] == "scan_incomplete"
    assert "bytes_after_the_end" in formats.scan(tmp_path / "stacked.pkl", True)["suspicious"]
    assert "builtins.eval.__call__" in formats.scan(tmp_path / "dotted.pkl", True)["suspicious"]


def test_a_skops_file_with_a_foreign_type_is_scanned_and_not_loaded(tmp_path: Path) -> None:
    import os
    import warnings

    import skops.io
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    built = BUILDERS["skops_labels_by_place"](tmp_path)
    inner = skops.io.load(built.path, trusted=skops.io.get_untrusted_types(file=built.path))
    path = tmp_path / "foreign.skops"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        skops.io.dump(make_pipeline(FunctionTransformer(os.path.normpath), inner), path)
    seen = formats.scan(path, True)
    assert any(name.endswith("normpath") for name in seen["suspicious"])
    with pytest.raises(ModelFault) as raised, talk(_as(built, "skops", path)):
        pass
    assert raised.value.params["status"] == "untrusted"


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("sklearn.tree._tree.Tree", True),
        ("sklearn.calibration._CalibratedClassifier", True),
        ("collections.OrderedDict", True),
        ("numpy.testing._private.utils.IgnoreException", False),
        ("numpy.load", False),
        ("scipy.stats.norm", False),
        ("os.system", False),
        ("sklearnx.Evil", False),
        ("sklearn", False),
    ],
)
def test_only_classes_of_model_libraries_are_accepted(name: str, fits: bool) -> None:
    from sandbox.cell.formats import skops

    assert skops.accepted(name) is fits


def test_an_onnx_scan_names_operators_domains_and_external_files(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    weights = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"]), helper.make_node("Run", ["y"], ["z"], domain="com.example")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])],
        initializer=[weights],
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.ModelProto.SerializeToString(helper.make_model(graph)))
    seen = formats.scan(path, True)
    assert seen["format"] == "onnx"
    assert {"ai.onnx:Add", "com.example:Run"} <= set(seen["types"])
    assert seen["suspicious"] == ["domain:com.example", "external:../../etc/passwd"]


def test_mlflow_writes_what_is_read_here(tmp_path: Path) -> None:
    import mlflow.lightgbm
    import mlflow.sklearn
    import mlflow.xgboost
    from lightgbm import LGBMClassifier
    from sklearn.linear_model import LogisticRegression
    from xgboost import XGBClassifier

    x = np.random.default_rng(0).random((80, 3))
    y = (x[:, 0] > 0.5).astype(int)
    kept = [
        (mlflow.sklearn, LogisticRegression().fit(x, y)),
        (mlflow.xgboost, XGBClassifier(n_estimators=2, n_jobs=1).fit(x, y)),
        (mlflow.lightgbm, LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1).fit(x, y).booster_),
        (mlflow.lightgbm, LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1).fit(x, y)),
    ]
    for i, (flavour, model) in enumerate(kept):
        folder = tmp_path / str(i)
        flavour.save_model(model, folder, pip_requirements=[])
        seen = formats.scan(folder, False)
        assert seen["verdict"] == "scanned", (i, seen)
        assert seen["loading"] == "data_only", (i, seen)
        assert "not_supported" not in seen["notes"], (i, seen)
        assert seen["suspicious"] == [], (i, seen)
