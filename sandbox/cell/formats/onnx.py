"""ONNX files: a graph of named operators and its numbers, no code unless a custom operator brings it."""

# ruff: noqa: TID252 - this folder is copied into a cell under another package name
from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from .. import answers
from ..columns import Columns, Unanswerable, places_by_name
from ..wire import Setup, Status
from . import Loaded, report

if TYPE_CHECKING:
    import numpy as np

LOADING = "data_only"
NEEDS = ("onnxruntime", "onnxruntime-gpu")

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"})
_MOST_DEPTH = 16

# Field numbers of onnx.proto, the published schema of the format.
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_FUNCTION = 7, 8, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH = 1, 5, 6
_ATTRIBUTE_INTS, _ATTRIBUTE_STRINGS, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 8, 9, 10, 11
_TENSOR_STRINGS, _TENSOR_NAME, _TENSOR_EXTERNAL = 6, 8, 13
_FUNCTION_NODE = 7


class _Unreadable(Exception):
    pass


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise _Unreadable("a number that does not end")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Walk the fields of one protobuf message: number, and the value or the bytes."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = _varint(view, at)
            yield number, value
            continue
        if wire_type == 2:
            length, at = _varint(view, at)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise _Unreadable("a field of an unknown kind")
        if number == 0 or at + length > len(view):
            raise _Unreadable("a field beyond the end")
        yield number, view[at : at + length]
        at += length


def _text(value: int | memoryview) -> str:
    return "" if isinstance(value, int) else bytes(value[:400]).decode("utf-8", "replace")


@dataclass(slots=True)
class _Graph:
    operators: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)
    external: set[str] = field(default_factory=set)
    classes: list[list[Any]] = field(default_factory=list)

    def tensor(self, view: memoryview) -> None:
        name = ""
        strings: list[Any] = []
        for number, value in _fields(view):
            if isinstance(value, int):
                continue
            if number == _TENSOR_EXTERNAL:
                entry = dict(_fields(value))
                if _text(entry.get(1, 0)) == "location":
                    self.external.add(_text(entry.get(2, 0)))
            elif number == _TENSOR_NAME:
                name = _text(value)
            elif number == _TENSOR_STRINGS and len(strings) < 10_000:
                strings.append(_text(value))
        if name == "classes" and strings:
            self.classes.append(strings)

    def node(self, view: memoryview, depth: int) -> None:
        operator = domain = ""
        for number, value in _fields(view):
            if isinstance(value, int):
                continue
            if number == _NODE_OP:
                operator = _text(value)
            elif number == _NODE_DOMAIN:
                domain = _text(value)
            elif number == _NODE_ATTRIBUTE:
                self.attribute(value, depth)
        self.domains.add(domain)
        self.operators.add(f"{domain or 'ai.onnx'}:{operator}")

    def attribute(self, view: memoryview, depth: int) -> None:
        name = ""
        strings: list[Any] = []
        numbers: list[Any] = []
        for number, value in _fields(view):
            if number == _ATTRIBUTE_NAME:
                name = _text(value)
            elif number == _ATTRIBUTE_INTS and name in ("classlabels_int64s", "classlabels_ints"):
                if isinstance(value, int):
                    numbers.append(value)
                else:
                    at = 0
                    while at < len(value):
                        one, at = _varint(value, at)
                        numbers.append(one)
            elif isinstance(value, int):
                continue
            elif number == _ATTRIBUTE_STRINGS and name == "classlabels_strings" and len(strings) < 10_000:
                strings.append(_text(value))
            elif number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                self.tensor(value)
            elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                self.graph(value, depth + 1)
        if strings or numbers:
            self.classes.append(strings or [n - 2**64 if n >= 2**63 else n for n in numbers])

    def graph(self, view: memoryview, depth: int = 0) -> None:
        if depth > _MOST_DEPTH:
            raise _Unreadable("graphs inside graphs beyond what is followed")
        for number, value in _fields(view):
            if isinstance(value, int):
                continue
            if number == _GRAPH_NODE:
                self.node(value, depth)
            elif number == _GRAPH_INITIALIZER:
                self.tensor(value)
            elif number == _GRAPH_SPARSE:
                for part, tensor in _fields(value):
                    if part in (1, 2) and not isinstance(tensor, int):
                        self.tensor(tensor)

    def model(self, view: memoryview) -> None:
        for number, value in _fields(view):
            if isinstance(value, int):
                continue
            if number == _MODEL_GRAPH:
                self.graph(value)
            elif number == _MODEL_OPSET:
                self.domains.add(_text(dict(_fields(value)).get(1, 0)))
            elif number == _MODEL_FUNCTION:
                for part, node in _fields(value):
                    if part == _FUNCTION_NODE and not isinstance(node, int):
                        self.node(node, 0)


def sniff(path: Path) -> bool:
    """Tell whether this is a protobuf message with an ONNX version and a graph."""
    if not path.is_file() or path.stat().st_size < 8:
        return False
    whole = path.read_bytes()
    if whole[0] != 0x08 or not 1 <= whole[1] <= 64:
        return False
    try:
        return any(n == _MODEL_GRAPH and not isinstance(v, int) for n, v in _fields(memoryview(whole)))
    except _Unreadable:
        return False


def scan(path: Path) -> dict[str, Any]:
    """List operators, custom domains and the names of external files.

    A custom domain needs a library that the cell does not have, so such a model does not load; an external name that is
    not plain stands out, a plain one is among the types as `external:NAME`.
    """
    seen = _Graph()
    try:
        seen.model(memoryview(path.read_bytes()))
    except _Unreadable:
        return report("onnx", LOADING, "scan_incomplete", types=seen.operators, notes=["graph_unreadable"])
    custom = {f"domain:{d}" for d in seen.domains - _DOMAINS}
    climbing = {f"external:{name}" for name in seen.external if not _plain(name)}
    beside = {f"external:{name}" for name in seen.external if _plain(name)}
    notes = ["external_data"] if seen.external else []
    return report("onnx", LOADING, types=seen.operators | beside, suspicious=custom | climbing, notes=notes)


def _plain(name: str) -> bool:
    pure = PurePosixPath(name)
    return bool(name) and len(pure.parts) == 1 and name not in (".", "..") and "\\" not in name


_TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"} | {
    f"tensor({name})": name
    for name in ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool")
}


class _Session:
    def __init__(self, session: Any, own: list[Any] | None, setup: Setup) -> None:
        self._session = session
        self._setup = setup
        self._own = own
        self._inputs = session.get_inputs()
        self._one = len(self._inputs) == 1 and self._width(self._inputs[0]) != 1
        if len(self._inputs) == 1 and not self._one:
            self._one = len(setup.columns) == 1
        if self._one:
            width = self._width(self._inputs[0])
            self._places = places_by_name(setup.columns, None, width)
        else:
            self._places = places_by_name(setup.columns, [i.name for i in self._inputs])
        for one in self._inputs:
            if one.type != "tensor(string)" and one.type not in _TYPES:
                raise Unanswerable(Status.INPUTS_DIFFER, f"an input of type {one.type}")
        self._output = self._choose(session.get_outputs())

    @staticmethod
    def _width(one: Any) -> int | None:
        last = one.shape[-1] if len(one.shape) == 2 else None
        return last if isinstance(last, int) else None

    def _choose(self, outputs: list[Any]) -> str:
        labels = [o for o in outputs if o.type in ("tensor(string)", "tensor(int64)", "tensor(int32)", "tensor(bool)")]
        numbers = [o for o in outputs if o not in labels]
        wants_label = self._setup.output in ("label", "decision")
        if wants_label and labels:
            return str(labels[0].name)
        if not numbers:
            if self._setup.output == "value":
                return str(outputs[0].name)
            raise Unanswerable(Status.NO_PROBABILITY, "the graph gives labels only")
        return str(numbers[0].name)

    def _array(self, columns: Columns, places: list[int], kind: str) -> np.ndarray:
        import numpy as np

        if kind == "tensor(string)":
            return np.column_stack([columns.texts(i, "") for i in places])
        matrix = columns.matrix(places)
        wanted = np.dtype(_TYPES[kind])
        if wanted.kind != "f" and not np.isfinite(matrix).all():
            raise Unanswerable(Status.RAISED, "a missing value where the graph takes whole numbers")
        return np.ascontiguousarray(matrix, dtype=wanted)

    def predict(self, columns: Columns) -> np.ndarray:
        import numpy as np

        if self._one:
            feed = {self._inputs[0].name: self._array(columns, self._places, self._inputs[0].type)}
        else:
            feed = {
                one.name: self._array(columns, [i], one.type) for one, i in zip(self._inputs, self._places, strict=True)
            }
        (raw,) = self._session.run([self._output], feed)
        setup, own = self._setup, self._own
        if isinstance(raw, list):
            # A sequence of maps from class to probability, one per row; every map has the same keys.
            own = list(raw[0])
            raw = np.array([list(row.values()) for row in raw], dtype=np.float64)
        raw = np.asarray(raw)
        if setup.output == "probability":
            return answers.probability(raw, setup, own)
        if setup.output == "score":
            return answers.score(raw, setup, own)
        if setup.output == "value":
            return answers.value(raw)
        if raw.dtype.kind in "fc":
            if raw.ndim == 2 and raw.shape[1] > 1:
                best = raw.argmax(axis=1)
                return answers.by_place(best, setup) if own is None else answers.labels(np.array(own)[best], setup)
            return answers.by_place(answers.flat(raw) > 0.5, setup)
        return answers.labels(raw, setup)


def load(path: Path, setup: Setup) -> Loaded:
    """Load the graph on the processor.

    Classes are named by the graph where it does so (a map per row, `classlabels`, or a tensor called `classes`);
    otherwise the columns are the declared classes in order, and a single number is that of the second.

    Raises:
        Unanswerable: it takes other inputs, or gives no probabilities where they are asked.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Stated, because the default pins threads to processors, which a cell may not.
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    seen = _Graph()
    seen.model(memoryview(path.read_bytes()))
    named = [c for c in seen.classes if len(c) == len(setup.classes)]
    own = named[0] if named and all(c == named[0] for c in named) else None
    return _Session(session, own, setup)
