"""Ways to hide a call in a pickle, each of which the scan must name, and honest models, in which it must name nothing.

None of the hostile streams is ever loaded.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest

from sandbox.cell import formats


class Calls:
    """Would run a command when loaded."""

    def __reduce__(self) -> Any:
        return os.system, ("true",)


CALL = pickle.dumps(Calls())
HONEST = pickle.dumps({"a": 1})


def text(word: bytes) -> bytes:
    return b"\x8c" + bytes([len(word)]) + word


def called(module: bytes, name: bytes) -> bytes:
    return b"\x80\x02c%s\n%s\nX\x04\x00\x00\x00true\x85R" % (module, name)


HIDDEN = {
    "INST": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"\x80\x02(cos\nsystem\nX\x04\x00\x00\x00trueo.",
    "an extension's number": b"\x80\x02\x82\x01X\x04\x00\x00\x00true\x85R.",
    "popped": called(b"os", b"system") + b"0].",
    "popped to a mark": b"\x80\x02(" + called(b"os", b"system")[2:] + b"1}.",
    "names from the memo": b"\x80\x04" + text(b"system") + b"\x940" + text(b"os") + b"\x940h\x01h\x00\x93"
    b"" + text(b"true") + b"\x85R.",
    "a long way into the memo": b"\x80\x04"
    + text(b"os")
    + b"r\x00\x01\x00\x000"
    + text(b"system")
    + b"r\x01\x01\x00\x000"
    b"j\x00\x01\x00\x00j\x01\x01\x00\x00\x93" + text(b"true") + b"\x85R.",
    "a dotted name of a harmless module": b"\x80\x04" + text(b"logging") + text(b"os.system") + b"\x93.",
    "a dotted name of a model's library": b"\x80\x04" + text(b"numpy") + text(b"os.system") + b"\x93.",
    "a second stream": HONEST + CALL,
    "a second stream after padding": HONEST + b"\0" * 9 + CALL,
    "no end": CALL[:-1],
    "noise after the call": called(b"os", b"system") + b"\xff\xff",
    "a frame that is too long": b"\x80\x04\x95\xff\xff\xff\xff\x00\x00\x00\x00" + called(b"os", b"system")[2:] + b".",
    "a loader in a loader": pickle.dumps((pickle.loads, CALL)),
    "a code object": cloudpickle.dumps(eval("lambda: 1")),
    "a persistent identity": b"Ptrue\n.",
    "a place in the memo beyond all memory": b"\x80\x02Nr\xff\xff\xff\x7f.",
}
GADGETS = (
    "timeit.timeit",
    "cProfile.run",
    "pydoc.pipepager",
    "uuid._get_command_stdout",
    "numpy.testing._private.utils.runstring",
    "numpy.f2py.crackfortran.getlincoef",
    "ctypes.CDLL",
    "importlib.import_module",
    "operator.methodcaller",
    "code.InteractiveInterpreter",
    "sklearn.utils._testing.assert_run_python_script_without_output",
    "pandas.read_pickle",
    "pandas.core.computation.eval.eval",
    "site.execsitecustomize",
    "xmlrpc.client.ServerProxy",
    "joblib.load",
)


def scanned(path: Path, content: bytes) -> dict[str, Any]:
    path.write_bytes(content)
    return formats.scan(path, True)


@pytest.mark.parametrize("way", HIDDEN)
def test_a_hidden_call_is_named(tmp_path: Path, way: str) -> None:
    assert scanned(tmp_path / "m.pkl", HIDDEN[way])["suspicious"]


@pytest.mark.parametrize("gadget", GADGETS)
def test_a_gadget_is_named_because_no_model_needs_it(tmp_path: Path, gadget: str) -> None:
    module, _, name = gadget.rpartition(".")
    assert gadget in scanned(tmp_path / "m.pkl", called(module.encode(), name.encode()) + b".")["suspicious"]


@pytest.mark.parametrize("packed", [0, 3])
def test_in_an_honest_model_nothing_is_named(tmp_path: Path, packed: int) -> None:
    import lightgbm
    import xgboost
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    shown = np.random.default_rng(0).normal(size=(200, 4))
    label = (shown[:, 0] > 0).astype(int)
    for model in (
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(5),
        HistGradientBoostingClassifier(max_iter=5),
        lightgbm.LGBMClassifier(n_estimators=3, verbose=-1),
        xgboost.XGBClassifier(n_estimators=3),
    ):
        path = tmp_path / "m.joblib"
        joblib.dump(model.fit(shown, label), path, compress=packed)
        seen = formats.scan(path, True)
        assert (seen["verdict"], seen["suspicious"]) == ("scanned", []), type(model)
