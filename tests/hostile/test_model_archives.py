"""Model files that are archives, and tricks around a scan: what must happen. None is loaded outside a cell."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sandbox.cell import formats, scan
from sandbox.errors import ModelFault
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import CellFiles, Limits
from tests.make.talks import one_number
from tests.make.walls import Wall

MARK = Path("/tmp/aiact-archives-must-not-make-this")


class Touches:
    """Would make a file when loaded."""

    def __reduce__(self) -> Any:
        return os.mkdir, (str(MARK),)


@pytest.fixture(autouse=True)
def _nothing_ran() -> Any:
    assert not MARK.exists()
    yield
    assert not MARK.exists()


CALL = pickle.dumps(Touches())


def archive(path: Path, members: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip as a library would."""
    with zipfile.ZipFile(path, "w", compression) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def torch_like(path: Path, pickled: bytes, **more: bytes) -> Path:
    """Write what torch.save writes: a zip with `data.pkl` in one folder."""
    return archive(path, {"m/data.pkl": pickled, "m/version": b"3\n", **more})


def test_a_call_inside_a_torch_archive_is_named(tmp_path: Path) -> None:
    seen = formats.scan(torch_like(tmp_path / "m.pt", CALL), True)
    assert (seen["format"], seen["loading"]) == ("torch", "can_execute_code")
    assert "posix.mkdir" in seen["suspicious"]


def test_a_call_in_the_weights_of_an_exported_program_is_named(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("archive/data.pkl", CALL)
    path = archive(tmp_path / "m.pt2", {"m/models/model.json": b"{}", "m/data/weights.pt": inner.getvalue()})
    seen = formats.scan(path, True)
    assert seen["format"] == "torch"
    assert "posix.mkdir" in seen["suspicious"]
    assert "not_supported" not in seen["notes"]


def test_a_member_with_a_false_name_is_followed_by_what_it_begins_with(tmp_path: Path) -> None:
    seen = formats.scan(torch_like(tmp_path / "m.pt", pickle.dumps({}), **{"m/data/0": CALL}), True)
    assert "posix.mkdir" in seen["suspicious"]


def test_a_wrong_checksum_does_not_end_the_scan_in_silence(tmp_path: Path) -> None:
    # torch's own reader does not look at checksums: it would load what Python's reader refuses.
    path = torch_like(tmp_path / "m.pt", CALL)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 16] ^= 0xFF
    content[14] ^= 0xFF
    path.write_bytes(bytes(content))
    seen = formats.scan(path, True)
    assert seen["verdict"] == "scan_incomplete"
    assert "archive_unreadable" in seen["suspicious"]


def test_two_members_of_one_name_stand_out(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("m/data.pkl", pickle.dumps({}))
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("m/data.pkl", CALL)
    assert "doubled_names" in formats.scan(path, True)["suspicious"]


def test_archives_in_archives_are_followed_to_a_depth_and_no_further(tmp_path: Path) -> None:
    content = CALL
    for _ in range(6):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as packed:
            packed.writestr("data.pkl", content)
        content = out.getvalue()
    seen = formats.scan(torch_like(tmp_path / "m.pt", pickle.dumps({}), **{"m/inner.pt": content}), True)
    assert seen["verdict"] == "scan_incomplete"
    assert "archives_in_archives" in seen["suspicious"]


@pytest.mark.parametrize("before", [b"\x80\x04N.", b"#!/bin/sh\n", b"GIF89a"])
def test_an_archive_behind_other_bytes_is_no_archive_of_a_model(tmp_path: Path, before: bytes) -> None:
    path = torch_like(tmp_path / "inner.pt", CALL)
    both = tmp_path / "both.pt"
    both.write_bytes(before + path.read_bytes())
    assert formats.sniff(both) in (None, "pickle")
    assert formats.scan(both, True)["verdict"] in ("unknown_format", "scanned")


def test_a_file_that_two_formats_would_read_has_no_format(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.skops", {"schema.json": b"{}", "m/data.pkl": CALL})
    claimed = [name for name in formats.names() if formats.named(name).sniff(path)]
    assert claimed == ["skops"]
    seen = formats.scan(path, True)
    assert seen["verdict"] == "scan_incomplete"


def test_a_skops_file_with_a_wrong_checksum_is_not_scanned_as_whole(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.skops", {"schema.json": b'{"__class__": "x"}'})
    content = bytearray(path.read_bytes())
    content[content.index(b'{"__class__') + 3] ^= 1
    path.write_bytes(bytes(content))
    assert formats.scan(path, True)["verdict"] == "scan_incomplete"


@pytest.mark.parametrize(
    "members",
    [
        {"config.json": b'{"class_name": "Lambda", "config": {"function": "code"}}', "model.weights.h5": b"\x89HDF"},
        {"metadata.json": b"{}", "config.json": json.dumps({"module": "builtins", "class_name": "exec"}).encode()},
    ],
)
def test_a_keras_file_with_a_lambda_is_of_no_known_format(tmp_path: Path, members: dict[str, bytes]) -> None:
    # Keras is not loaded here at all: not even by mistake under another name.
    for name in ("m.keras", "m.pt", "m.skops", "m.pkl"):
        assert formats.scan(archive(tmp_path / name, members), True)["verdict"] == "unknown_format"
    h5 = tmp_path / "m.h5"
    h5.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    assert formats.sniff(h5) is None


def test_a_memo_bomb_costs_the_scan_no_memory(tmp_path: Path) -> None:
    # Lists of lists that share their parts: a billion of elements in a few hundred bytes, if somebody wrote them out.
    held = b"\x80\x02]q\x00"
    for i in range(60):
        held += b"](" + b"h%c" % i * 10 + b"eq%c" % (i + 1)
    path = tmp_path / "bomb.pkl"
    path.write_bytes(held + b".")
    seen = scan.follow(path)
    assert seen.complete
    huge = tmp_path / "huge.pkl"
    huge.write_bytes(b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"x.")
    assert not scan.follow(huge).complete


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sandbox.cell.scan", "Seen"),
        ("sandbox.cell.scan", "_stand_in"),
        ("cell.scan", "follow"),
        ("cell.formats", "scan"),
        ("builtins", "setattr"),
        ("pickle", "_Unpickler"),
        ("sys", "modules"),
        ("sandbox.cell.scan", "_PLAIN.__class__"),
    ],
)
def test_a_file_cannot_reach_the_scanner_to_switch_it_off(tmp_path: Path, module: str, name: str) -> None:
    reach = (
        b"\x80\x04\x8c"
        + bytes([len(module)])
        + module.encode()
        + b"\x8c"
        + bytes([len(name)])
        + name.encode()
        + b"\x93\x8c\x09_PLAINall\x85R}\x8c\x04rest\x8c\x02gosb."
    )
    path = tmp_path / "m.pkl"
    path.write_bytes(reach)
    before = set(scan._PLAIN)
    seen = formats.scan(path, True)
    assert f"{module}.{name}" in seen["suspicious"]
    assert before == scan._PLAIN
    path.write_bytes(CALL)
    assert "posix.mkdir" in formats.scan(path, True)["suspicious"]


def mlmodel(folder: Path, text: str) -> Path:
    """Write an MLflow folder with this description."""
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(text)
    return folder


@pytest.mark.parametrize("loader", ["os", "my_loader", "mlflow.sklearn.evil", "subprocess", "builtins"])
def test_a_loader_of_one_s_own_is_named_and_needs_consent(tmp_path: Path, loader: str) -> None:
    text = f"flavors:\n  python_function:\n    loader_module: {loader}\n    code: code\n"
    seen = formats.scan(mlmodel(tmp_path / "m", text), False)
    assert {f"loader_module:{loader}", "code:code"} <= set(seen["suspicious"])
    assert (seen["loading"], "consent_missing" in seen["notes"]) == ("can_execute_code", True)


@pytest.mark.parametrize(
    "text",
    [
        "flavors: {python_function: {loader_module: os}}\n",
        "flavors: &a\n  python_function:\n    loader_module: os\n",
        "flavors:\n  python_function:\n    loader_module: !!python/name:os.system x\n",
        "flavors:\n  python_function:\n    loader_module: os\nflavors:\n  sklearn:\n    pickled_model: m.pkl\n",
        "flavors:\n  python_function:\n    loader_module: a\n    loader_module: os\n",
    ],
)
def test_a_description_that_two_readers_would_read_differently_is_loaded_by_nobody(tmp_path: Path, text: str) -> None:
    seen = formats.scan(mlmodel(tmp_path / "m", text), True)
    assert "not_supported" in seen["notes"]
    assert {"flavours_unreadable", "flavours_twice"} & set(seen["notes"])


def test_a_native_flavour_hides_no_other_loader(tmp_path: Path) -> None:
    # The native file alone is loaded; the loader beside it is named, and never runs.
    folder = mlmodel(
        tmp_path / "m",
        "flavors:\n  python_function:\n    loader_module: evil\n  sklearn:\n    pickled_model: model.pkl\n",
    )
    (folder / "model.pkl").write_bytes(CALL)
    seen = formats.scan(folder, True)
    assert {"loader_module:evil", "posix.mkdir"} <= set(seen["suspicious"])
    assert "any_function" not in seen["notes"]


def test_weights_alone_are_recognised_as_data_and_never_loaded(wall: Wall, tmp_path: Path) -> None:
    header = json.dumps({"layer.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    seen = formats.scan(path, False)
    assert (seen["format"], seen["loading"], seen["types"]) == ("safetensors", "data_only", ["tensor:layer.weight"])
    assert "weights_alone" in seen["notes"]
    setup = one_number("safetensors", path)
    running = wall.backend().open(CellFiles(model=path), Limits())
    try:
        with pytest.raises(ModelFault) as raised:
            Conversation(running, setup, Limits()).load()
    finally:
        running.close()
    assert raised.value.params["status"] == "not_supported"


def test_a_model_that_needs_a_package_that_is_not_there_says_so(wall: Wall, tmp_path: Path) -> None:
    path = tmp_path / "m.cbm"
    path.write_bytes(b"CBM1" + bytes(64))
    setup = one_number(formats.sniff(path) or "", path)
    running = wall.backend().open(CellFiles(model=path), Limits())
    try:
        with pytest.raises(ModelFault, match=r"model\.requirements") as raised:
            Conversation(running, setup, Limits()).load()
    finally:
        running.close()
    assert raised.value.params["status"] == "missing_package"


def external(path: Path, location: str) -> Path:
    """Write a graph that adds a number which it keeps in another file."""
    import onnx
    from onnx import TensorProto, helper

    weights = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        initializer=[weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(onnx.ModelProto.SerializeToString(model))
    return path


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "sub/w.bin", "..", "a\\b"])
def test_numbers_kept_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    from checks.declaration import Model
    from sandbox.intake.problems import Gathered
    from sandbox.intake.wanted import files_beside

    seen = formats.scan(external(tmp_path / "m.onnx", location), False)
    assert f"external:{location}" in seen["suspicious"]
    gathered = Gathered()
    stated = Model.model_validate({"file": "m.onnx", "output": "value"})
    assert files_beside(stated, {"m.onnx": "", "w.bin": ""}, seen, gathered=gathered) == ()
    assert [p.code for p in gathered.problems] == ["model.external_elsewhere"]


def test_numbers_kept_beside_the_model_are_there_in_its_cell_and_nowhere_else(wall: Wall, tmp_path: Path) -> None:
    import numpy as np
    import pyarrow as pa

    from checks.declaration import Model
    from sandbox.intake.problems import Gathered
    from sandbox.intake.wanted import files_beside

    path = external(tmp_path / "m.onnx", "w.bin")
    (tmp_path / "w.bin").write_bytes(np.array([2.5], dtype="<f4").tobytes())
    seen = formats.scan(path, False)
    assert seen["suspicious"] == []
    gathered = Gathered()
    stated = Model.model_validate({"file": "models/m.onnx", "output": "value"})
    beside = files_beside(stated, {"models/m.onnx": "", "models/w.bin": ""}, seen, gathered=gathered)
    assert (beside, gathered.problems) == (("models/w.bin",), [])
    assert files_beside(stated, {"models/m.onnx": "", "w.bin": ""}, seen, gathered=gathered) == ()
    assert [p.code for p in gathered.problems] == ["model.external_absent"]
    setup = one_number("onnx", path)
    running = wall.backend().open(CellFiles(model=path, beside=(tmp_path / "w.bin",)), Limits())
    try:
        model = Conversation(running, setup, Limits())
        model.load()
        answer = model.predict(pa.table({"x": [1.0, 2.0]}))
        model.close()
    finally:
        running.close()
    assert answer[:, 0].tolist() == [3.5, 4.5]
