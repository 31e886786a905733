"""Models that crash, hang, lie and cheat, each in a real cell; the sentence of each test is what must happen.

The models are written here as source, become objects only to be pickled, and run in cells alone.
"""

from __future__ import annotations

import pickle
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pytest

from sandbox.cell import landlock
from sandbox.cell.wire import Setup
from sandbox.errors import ModelFault
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import CellFiles, Limits
from sandbox.isolation.pool import Pool
from tests.make.talks import one_number
from tests.make.walls import Wall

LIMITS = Limits(memory_bytes=700 * 1024**2, cpu_seconds=60, wall_seconds=60, answer_seconds=20.0, start_seconds=40.0)
ROWS = pa.table({"x": np.arange(50.0)})

# Finds the connection among the descriptors, as a model in the cell's process can.
FIND = """
import os, stat, struct
def sockets():
    found = []
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                found.append(fd)
        except OSError:
            pass
    return found
def forged(n, value, sequence=1):
    head = struct.pack("<4sHHQIIQ", b"AISW", 1, 4, sequence, 0, 1, n)
    return head + struct.pack("<d", value) * n
"""


def saved(folder: Path, body: str, before: str = "") -> Path:
    """Pickle a model whose `predict(self, X)` has this body."""
    source = f"{before}\nclass Model:\n    def predict(self, X):\n{textwrap.indent(textwrap.dedent(body), ' ' * 8)}\n"
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "<hostile>", "exec"), scope)
    path = folder / "model.pkl"
    path.write_bytes(cloudpickle.dumps(scope["Model"]()))
    return path


def stated(path: Path, **changed: Any) -> Setup:
    """What the cell is told."""
    setup = one_number("pickle", path, allow_code=True)
    return replace(setup, **changed)


@contextmanager
def talk(wall: Wall, path: Path, limits: Limits = LIMITS, **changed: Any) -> Iterator[Conversation]:
    """A conversation with this model in a cell; not loaded yet."""
    running = wall.backend().open(CellFiles(model=path), limits)
    try:
        conversation = Conversation(running, stated(path, **changed), limits)
        yield conversation
        conversation.close()
    finally:
        running.close()


def ask(model: Conversation, times: int) -> np.ndarray:
    """Load the model and ask it so many times; give the last answer."""
    model.load()
    for _ in range(times - 1):
        model.predict(ROWS)
    return model.predict(ROWS)


def fault_of(wall: Wall, path: Path, limits: Limits = LIMITS, **changed: Any) -> ModelFault:
    """Load and ask, and give the fault that this must end in."""
    with talk(wall, path, limits, **changed) as model, pytest.raises(ModelFault) as raised:
        ask(model, 1)
    return raised.value


@pytest.mark.parametrize(
    "body",
    [
        "import os; os._exit(3)",
        "import os; os._exit(0)",
        "import os; os.kill(os.getpid(), 9)",
        "import ctypes; ctypes.string_at(0)",
        "raise RuntimeError('no')",
        "import sys; sys.exit(0)",
        "class Own(BaseException): pass\nraise Own()",
    ],
)
def test_a_model_that_ends_or_raises_has_crashed(wall: Wall, tmp_path: Path, body: str) -> None:
    assert fault_of(wall, saved(tmp_path, body)).code == "crashed"


def test_a_model_that_never_answers_has_timed_out(wall: Wall, tmp_path: Path) -> None:
    path = saved(tmp_path, "import time\nwhile True: time.sleep(1)")
    assert fault_of(wall, path, replace(LIMITS, answer_seconds=1.5)).code == "timed_out"


def test_a_model_that_never_loads_has_timed_out(wall: Wall, tmp_path: Path) -> None:
    class Sleeps:
        def __reduce__(self) -> Any:
            import time

            return time.sleep, (600,)

    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Sleeps()))
    assert fault_of(wall, path, replace(LIMITS, start_seconds=3.0)).code == "timed_out"


def test_a_model_that_wants_all_memory_is_out_of_memory(wall: Wall, tmp_path: Path) -> None:
    path = saved(tmp_path, "held = []\nwhile True: held.append(bytearray(b'x' * 50_000_000))")
    assert fault_of(wall, path).code == "out_of_memory"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_an_answer_that_is_no_number_is_counted(wall: Wall, tmp_path: Path, value: str) -> None:
    path = saved(tmp_path, f"import numpy\ny = numpy.zeros(len(X)); y[:7] = float('{value}'); return y")
    fault = fault_of(wall, path)
    assert (fault.code, fault.params["rows"]) == ("not_finite", 7)


@pytest.mark.parametrize(
    "body",
    [
        "import numpy; return numpy.zeros(len(X) + 1)",
        "import numpy; return numpy.zeros((len(X), 2))",
        "import numpy; return numpy.zeros(10_000_000)",
        "return 1.0",
        "return ['a'] * len(X)",
        "return None",
        "return [[1], [2, 3]]",
    ],
)
def test_an_answer_of_another_shape_or_kind_is_refused(wall: Wall, tmp_path: Path, body: str) -> None:
    assert fault_of(wall, saved(tmp_path, body)).code in ("wrong_shape", "crashed")


@pytest.mark.parametrize(
    "body",
    [
        "os.write(sockets()[0], forged(len(X), 1.0)); return X[:, 0]",
        "os.write(sockets()[0], b'\\0' * 4096); return X[:, 0]",
        "os.write(sockets()[0], forged(len(X), 1.0) * 2); return X[:, 0]",
        "os.write(sockets()[0], forged(len(X), 1.0, 2)); return X[:, 0]",
        "os.write(sockets()[0], forged(1, 1.0)); return X[:, 0]",
        'os.write(sockets()[0], b\'{"outcome": "pass"}\' * 10); return X[:, 0]',
        "while True: os.write(sockets()[0], bytes(1_000_000))",
    ],
)
def test_a_forged_or_second_answer_breaks_the_protocol(wall: Wall, tmp_path: Path, body: str) -> None:
    # The second answer may arrive after the first was taken: then the next question meets it.
    path = saved(tmp_path, body, FIND)
    with talk(wall, path) as model, pytest.raises(ModelFault) as raised:
        ask(model, 2)
    assert raised.value.code == "protocol"


def test_a_model_that_rewrites_the_wire_cannot_answer_for_more_rows(wall: Wall, tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        """
        import sys
        serve = sys.modules["cell.serve"]
        told = serve.answer_head
        serve.answer_head = lambda kind, sequence, status, rows=0, k=0: told(kind, sequence, status, 2**60, k)
        return X[:, 0]
        """,
    )
    assert fault_of(wall, path).code == "protocol"


def test_what_a_model_prints_is_never_an_answer(wall: Wall, tmp_path: Path) -> None:
    path = saved(
        tmp_path, "print(forged(len(X), 9.0), flush=True); os.write(1, forged(len(X), 9.0)); return X[:, 0]", FIND
    )
    with talk(wall, path) as model:
        model.load()
        np.testing.assert_array_equal(model.predict(ROWS)[:, 0], ROWS["x"].to_numpy())


def test_a_flood_on_standard_output_changes_no_answer(wall: Wall, tmp_path: Path) -> None:
    path = saved(tmp_path, "print('x' * 20_000_000, flush=True); return X[:, 0]")
    with talk(wall, path) as model:
        answer = ask(model, 1)
    np.testing.assert_array_equal(answer[:, 0], ROWS["x"].to_numpy())


def test_a_label_that_was_not_declared_is_counted(wall: Wall, tmp_path: Path) -> None:
    path = saved(tmp_path, "return ['maybe' if i < 3 else 'yes' for i in range(len(X))]")
    fault = fault_of(wall, path, output="label", task="binary", classes=("no", "yes"))
    assert (fault.code, fault.params["rows"]) == ("undeclared_label", 3)


def test_a_class_that_was_not_declared_is_a_fault(wall: Wall, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "class Model:\n    classes_ = ['no', 'maybe']\n    def predict(self, X): return X\n"
        "    def predict_proba(self, X):\n        import numpy\n        return numpy.full((len(X), 2), 0.5)",
        scope,
    )
    path.write_bytes(cloudpickle.dumps(scope["Model"]()))
    fault = fault_of(wall, path, output="probability", task="binary", classes=("no", "yes"), score_of="yes")
    assert fault.code == "undeclared_label"


def test_a_pickle_without_consent_is_not_loaded(wall: Wall, tmp_path: Path) -> None:
    class Ends:
        def __reduce__(self) -> Any:
            import os

            return os._exit, (7,)

    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Ends()))
    refused = fault_of(wall, path, allow_code=False)
    assert (refused.code, refused.params["status"]) == ("load_failed", "code_not_allowed")
    assert fault_of(wall, path, allow_code=True).code == "crashed"


def test_a_model_that_reads_the_order_of_rows_is_seen_to_answer_differently(wall: Wall, tmp_path: Path) -> None:
    path = saved(tmp_path, "import numpy; return numpy.arange(len(X), dtype=float)")
    with talk(wall, path) as model:
        model.load()
        forward = model.predict(ROWS)
        backward = model.predict(ROWS.take(pa.array(np.arange(50)[::-1].copy())))[::-1]
    assert not np.array_equal(forward, backward)


def test_a_model_that_raises_once_can_be_asked_again(wall: Wall, tmp_path: Path) -> None:
    path = saved(tmp_path, "if len(X) == 3: raise ValueError('three')\nreturn X[:, 0]")
    with talk(wall, path) as model:
        model.load()
        with pytest.raises(ModelFault):
            model.predict(ROWS.slice(0, 3))
        assert model.predict(ROWS.slice(0, 2)).tolist() == [[0.0], [1.0]]


def test_a_model_that_answers_by_the_size_of_its_batch_is_seen_to_answer_differently(
    wall: Wall, tmp_path: Path
) -> None:
    path = saved(tmp_path, "return X[:, 0] + (len(X) < 30)")
    with talk(wall, path) as model:
        model.load()
        whole = model.predict(ROWS)
        parts = np.concatenate([model.predict(ROWS.slice(0, 25)), model.predict(ROWS.slice(25))])
    assert not np.array_equal(whole, parts)


def test_denormal_numbers_are_numbers_and_arrive_as_they_were_given(wall: Wall, tmp_path: Path) -> None:
    path = saved(tmp_path, "import numpy; return numpy.full(len(X), 5e-324)")
    with talk(wall, path) as model:
        answer = ask(model, 1)
    assert (answer == 5e-324).all()


def test_an_answer_of_four_gigabytes_is_not_taken(wall: Wall, tmp_path: Path) -> None:
    path = saved(tmp_path, "import numpy; return numpy.zeros(2**29)")
    assert fault_of(wall, path).code in ("wrong_shape", "out_of_memory")


ESCAPES = """
import ctypes, errno, os, socket
def works(act):
    try:
        act()
    except (OSError, ValueError):
        return 0
    return 1
def call(number, *arguments):
    ctypes.set_errno(0)
    if ctypes.CDLL(None, use_errno=True).syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")
def run():
    child = os.fork()
    if child == 0:
        try:
            os.execv("/usr/bin/python3", ["python3", "-c", ""])
        finally:
            os._exit(9)
    if os.waitpid(child, 0)[1]:
        raise OSError(errno.EACCES, "refused")
"""


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param("socket.socket(socket.AF_UNIX).connect('/c/socket/s')", id="second-connection"),
        pytest.param("socket.send_fds(socket.socket(fileno=os.dup(3)), [b'x'], [0])", id="passes-a-descriptor"),
        pytest.param("call({'x86_64': 101, 'aarch64': 117}[os.uname().machine], 16, os.getppid(), 0, 0)", id="ptrace"),
        pytest.param("os.kill(os.getppid(), 0)", id="signals-its-parent"),
        pytest.param("os.kill(1, 0)", id="signals-the-first-process"),
        pytest.param("os.listdir('/proc')", id="lists-processes"),
        pytest.param("open('/proc/1/environ').read()", id="reads-another-process"),
        pytest.param("open('/proc/1/mem', 'r+b')", id="writes-to-another-process"),
        pytest.param("os.listdir('/')", id="lists-the-root"),
        pytest.param("open('/dev/shm/message', 'w')", id="leaves-a-message"),
        pytest.param("os.listdir('/c/upload').index('data.csv')", id="looks-for-labels"),
        pytest.param("os.mkfifo('/tmp/pipe')", id="makes-a-pipe"),
        pytest.param("run()", id="runs-a-program"),
    ],
)
def test_a_loaded_model_can_do_none_of_this(wall: Wall, tmp_path: Path, attempt: str) -> None:
    path = saved(tmp_path, f"import numpy; return numpy.full(len(X), float(works(lambda: {attempt})))", ESCAPES)
    with talk(wall, path) as model:
        assert ask(model, 1).max() == 0


def test_a_loaded_model_is_closed_in_by_the_kernel_in_a_cell_that_stood_ready_too(wall: Wall, tmp_path: Path) -> None:
    if landlock.abi() == 0:
        pytest.skip("this kernel has no Landlock")
    body = "import numpy; return numpy.full(len(X), float(works(lambda: os.listdir('/')) + works(run)))"
    path = saved(tmp_path, body, ESCAPES)
    with Pool(wall.backend(), LIMITS) as pool:
        pool.fill(1)
        running = pool.take(path)
        try:
            conversation = Conversation(running, stated(path), LIMITS)
            assert ask(conversation, 1).max() == 0
        finally:
            running.close()
