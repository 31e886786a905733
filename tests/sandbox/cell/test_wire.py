"""The wire between host and cell: what goes in arrives the same, and what comes back is never believed."""

from __future__ import annotations

import contextlib
import math
import re
import socket
import struct
import threading
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.cell import wire
from sandbox.cell.columns import Columns
from sandbox.cell.wire import ANSWER, MAGIC, VERSION, Column, Kind, OffTheWire, Section, Setup, Status, Type
from sandbox.errors import CellUnavailable, ModelFault
from sandbox.isolation.conversation import Conversation, encode
from sandbox.isolation.interface import Ending, Limits
from tests.make.talks import Process

CATEGORIES = ("a", "", "ü")
QUICK = Limits(answer_seconds=0.3, start_seconds=0.3)


def setup(*columns: Column, k: int = 1, output: str = "value", classes: tuple[str, ...] = ()) -> Setup:
    """A set-up of these columns."""
    return Setup(
        format="xgboost",
        path="/c/model/m",
        allow_code=False,
        columns=columns or (Column(name="x", type="number"),),
        task="regression",
        output=output,
        classes=classes,
        score_of="",
        k=k,
    )


def across(stated: Setup, batch: pa.Table) -> Columns:
    """Write a batch on the host and read it in the cell."""
    sent = b"".join(wire.batch_parts(1, batch.num_rows, encode(stated, batch)))
    kind, sequence = wire.FRAME.unpack_from(sent)[2:4]
    assert (kind, sequence) == (Kind.BATCH, 1)
    assert len(sent) % 8 == 0
    return Columns(stated, wire.read_batch(1, memoryview(bytearray(sent[wire.FRAME.size :]))))


floats = st.none() | st.floats(allow_nan=False)
rows = st.lists(
    st.tuples(
        floats,
        st.none() | st.integers(-(2**53), 2**53),
        st.none() | st.booleans(),
        st.none() | st.sampled_from(CATEGORIES),
        st.none() | st.text(max_size=8),
    ),
    min_size=1,
    max_size=12,
)
ALL = (
    Column(name="number", type="number"),
    Column(name="whole", type="whole"),
    Column(name="boolean", type="boolean"),
    Column(name="category", type="category", categories=CATEGORIES),
    Column(name="text", type="text"),
)
TYPES = (pa.float64(), pa.int64(), pa.bool_(), pa.string(), pa.string())


def same(got: object, sent: object) -> bool:
    """Whether a value arrived as it was sent; what is missing arrives as NaN."""
    return (isinstance(got, float) and math.isnan(got)) if sent is None else got == sent


@settings(deadline=None)
@given(rows)
def test_every_type_arrives_as_it_was_sent(values: list[tuple[object, ...]]) -> None:
    columns = {
        c.name: pa.array([row[i] for row in values], kind) for i, (c, kind) in enumerate(zip(ALL, TYPES, strict=True))
    }
    columns["category"] = columns["category"].dictionary_encode()
    got = across(setup(*ALL), pa.table(columns))
    for i in range(len(ALL)):
        for arrived, row in zip(got.natural(i).tolist(), values, strict=True):
            assert same(arrived, row[i]), ALL[i].name
    frame = got.frame()
    assert list(frame.columns) == [c.name for c in ALL]
    assert len(frame) == len(values)


@settings(deadline=None)
@given(st.lists(st.tuples(floats, floats), min_size=1, max_size=9))
def test_numbers_become_one_matrix(values: list[tuple[float | None, float | None]]) -> None:
    stated = setup(Column(name="p", type="number"), Column(name="q", type="number"))
    batch = pa.table({n: pa.array([v[i] for v in values], pa.float64()) for i, n in enumerate("pq")})
    wanted = np.array([[np.nan if v is None else v for v in row] for row in values])
    np.testing.assert_array_equal(across(stated, batch).matrix(), wanted)
    np.testing.assert_array_equal(across(stated, batch).matrix([1, 0]), wanted[:, ::-1])
    np.testing.assert_array_equal(across(stated, batch).frame().to_numpy(), wanted)


@settings(deadline=None)
@given(rows, st.integers(0, 3))
def test_slices_and_chunks_write_the_same_bytes_as_whole_columns(values: list[tuple[object, ...]], cut: int) -> None:
    columns = {
        c.name: pa.array([row[i] for row in values], kind) for i, (c, kind) in enumerate(zip(ALL, TYPES, strict=True))
    }
    whole = pa.table(columns)
    cut = min(cut, len(values))
    chunked = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    stated = setup(*ALL)

    def sent(batch: pa.Table) -> bytes:
        return b"".join(wire.batch_parts(1, batch.num_rows, encode(stated, batch)))

    assert sent(chunked) == sent(whole)
    longer = pa.concat_tables([whole, whole]).combine_chunks()
    assert sent(longer.slice(len(values), len(values))) == sent(whole)


def test_nothing_travels_under_a_missing_value() -> None:
    mask = np.array([False, True])
    under = [pa.array(np.array([1.0, secret]), mask=mask) for secret in (7.0, 8.0)]
    stated = setup()
    first, second = (encode(stated, pa.table({"x": a}))[0] for a in under)
    assert bytes(first.values) == bytes(second.values)


def test_a_category_keeps_its_stated_code_whatever_the_batch_holds() -> None:
    column = Column(name="c", type="category", categories=("x", "y", "z"))
    batch = pa.table({"c": pa.array(["z", None, "x"]).dictionary_encode()})
    np.testing.assert_array_equal(across(setup(column), batch).codes(0), [2, -1, 0])
    with pytest.raises(ValueError, match="not in the set-up"):
        encode(setup(column), pa.table({"c": pa.array(["w"]).dictionary_encode()}))


def test_a_cell_asked_about_a_new_category_is_told_of_it_after_those_it_knows() -> None:
    column = Column(name="c", type="category", categories=("x", "y"))
    host, cell = socket.socketpair()
    told: list[bytes] = []
    listening = threading.Thread(target=lambda: told.append(cell.recv(100_000)), daemon=True)
    listening.start()
    talk = Conversation(Process(connection=host), setup(column), QUICK)
    try:
        talk.widen({"c": ("new", "x"), "other": ("z",)})
        with pytest.raises((ModelFault, CellUnavailable)):
            talk.load()
    finally:
        listening.join(2)
        talk.close()
        cell.close()
    assert re.search(rb'"x",\s*"y",\s*"new"\s*\]', told[0])
    assert b'"z"' not in told[0]


def test_a_batch_with_any_other_column_is_not_sent() -> None:
    batch = pa.table({"x": [1.0], "label": ["yes"]})
    with pytest.raises(ValueError, match="other columns"):
        encode(setup(), batch)
    with pytest.raises(ValueError, match="not a number"):
        encode(setup(), pa.table({"x": ["1"]}))


def test_a_set_up_is_read_as_it_was_written() -> None:
    stated = setup(*ALL, k=3, output="probability", classes=("é", "b", "c"))
    assert Setup.decode(bytearray(stated.encode())) == stated


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_batch_end_in_one_error_or_a_batch(body: bytes) -> None:
    try:
        wire.read_batch(1, memoryview(bytearray(body)))
    except OffTheWire:
        return
    assert len(body) >= wire.BATCH.size


def test_huge_lengths_are_refused_before_anything_is_made() -> None:
    for rows_, columns, length in ((2**60, 1, 2**63 - 8), (1, 2**32 - 1, 8), (1, 1, 2**40)):
        body = wire.BATCH.pack(rows_, columns, 0) + wire.SECTION.pack(Type.NUMBER, 0, 0, 0, length, 0) + bytes(8)
        with pytest.raises(OffTheWire):
            wire.read_batch(1, memoryview(bytearray(body)))


def ready() -> bytes:
    """What a cell says when its model is loaded."""
    return wire.answer_head(Kind.READY, 0, Status.OK)


def answer(values: list[float], sequence: int = 1, k: int = 1) -> bytes:
    """An answer as a cell writes it."""
    head = wire.answer_head(Kind.ANSWER, sequence, Status.OK, len(values) // k, k)
    return head + struct.pack(f"<{len(values)}d", *values)


def drain(cell: socket.socket) -> None:
    """Read what the host sends, until it stops."""
    cell.settimeout(0.05)
    try:
        while cell.recv(65536):
            pass
    except (TimeoutError, OSError):
        return


def against(
    play: Callable[[socket.socket], None],
    stated: Setup | None = None,
    ending: Ending = Ending.CRASHED,
    asked: int = 2,
) -> tuple[np.ndarray, Conversation]:
    """Ask two rows of a cell that plays this."""
    host, cell = socket.socketpair()
    actor = threading.Thread(target=play, args=(cell,), daemon=True)
    actor.start()
    conversation = Conversation(Process(connection=host, ended=ending), stated or setup(), QUICK)
    try:
        conversation.load()
        return conversation.predict(pa.table({"x": np.arange(float(asked))})), conversation
    finally:
        actor.join(2)
        conversation.close()
        cell.close()


def says(*parts: bytes, leave: bool = True) -> Callable[[socket.socket], None]:
    """A cell that reads each frame, answers it with one of these, and leaves."""

    def play(cell: socket.socket) -> None:
        for part in parts:
            drain(cell)
            cell.settimeout(2)
            try:
                cell.sendall(part)
            except OSError:
                return
        if leave:
            cell.shutdown(socket.SHUT_WR)

    return play


def test_an_honest_answer_arrives() -> None:
    got, conversation = against(says(ready(), answer([0.25, 1e300])))
    np.testing.assert_array_equal(got, [[0.25], [1e300]])
    assert conversation.rows_asked == 2


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((b"garbage that is long enough to be read as a head",), "protocol"),
        ((ready() + ready(),), "protocol"),
        ((ready() + answer([1.0, 2.0]),), "protocol"),
        ((ready(), answer([1.0, 2.0]) + b"!"), "protocol"),
        ((ready(), answer([1.0, 2.0]) + answer([3.0, 4.0])), "protocol"),
        ((ready(), answer([1.0, 2.0], sequence=2)), "protocol"),
        ((ready(), answer([1.0, 2.0, 3.0])), "protocol"),
        ((ready(), answer([1.0, 2.0, 3.0, 4.0], k=2)), "protocol"),
        ((ready(), ANSWER.pack(MAGIC, VERSION, Kind.ANSWER, 1, 0, 1, 2**63)), "protocol"),
        ((ready(), ANSWER.pack(MAGIC, VERSION, Kind.ANSWER, 1, 99, 0, 0)), "protocol"),
        ((ready(), ANSWER.pack(MAGIC, VERSION, Kind.ANSWER, 1, Status.RAISED, 1, 2)), "protocol"),
        ((ready(), ANSWER.pack(b"EVIL", VERSION, Kind.ANSWER, 1, 0, 1, 2)), "protocol"),
        ((ready(), ANSWER.pack(MAGIC, VERSION + 1, Kind.ANSWER, 1, 0, 1, 2)), "protocol"),
        ((ready(), ready()), "protocol"),
        ((wire.answer_head(Kind.READY, 0, Status.UNTRUSTED),), "load_failed"),
        ((ready(), wire.answer_head(Kind.ANSWER, 1, Status.RAISED)), "crashed"),
        ((ready(), wire.answer_head(Kind.ANSWER, 1, Status.WRONG_SHAPE)), "wrong_shape"),
        ((ready(), wire.answer_head(Kind.ANSWER, 1, Status.OUT_OF_MEMORY)), "out_of_memory"),
        ((ready(), answer([1.0, math.nan])), "not_finite"),
        ((ready(), answer([-math.inf, 1.0])), "not_finite"),
        ((ready(), answer([1.0, 2.0])[:-1]), "crashed"),
        ((ready(),), "crashed"),
        ((), "crashed"),
    ],
)
def test_each_way_of_breaking_the_wire_is_a_fault_of_the_model(parts: tuple[bytes, ...], code: str) -> None:
    with pytest.raises(ModelFault) as raised:
        against(says(*parts))
    assert raised.value.code == code


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120), st.booleans())
def test_whatever_a_cell_writes_ends_in_a_fault_and_never_in_a_hang(noise: bytes, loaded: bool) -> None:
    def play(cell: socket.socket) -> None:
        try:
            cell.recv(65536)
            cell.sendall(noise if not loaded else ready())
            if loaded:
                cell.recv(65536)
                cell.sendall(noise)
            cell.shutdown(socket.SHUT_WR)
        except OSError:
            return

    began = time.monotonic()
    with pytest.raises(ModelFault):
        against(play)
    assert time.monotonic() - began < 3


def test_silence_ends_at_the_deadline() -> None:
    for parts in ((), (ready(),)):
        with pytest.raises(ModelFault) as raised:
            against(says(*parts, leave=False))
        assert raised.value.code == "timed_out"


def test_an_answer_that_trickles_ends_at_the_same_deadline() -> None:
    def play(cell: socket.socket) -> None:
        drain(cell)
        cell.sendall(ready())
        drain(cell)
        try:
            for byte in answer([1.0, 2.0]):
                time.sleep(0.02)
                cell.sendall(bytes([byte]))
        except OSError:
            return

    began = time.monotonic()
    with pytest.raises(ModelFault) as raised:
        against(play)
    assert raised.value.code == "timed_out"
    assert time.monotonic() - began < 2.5


def test_a_cell_that_does_not_read_ends_at_the_deadline() -> None:
    def play(cell: socket.socket) -> None:
        drain(cell)
        cell.sendall(ready())
        time.sleep(1)

    with pytest.raises(ModelFault) as raised:
        against(play, asked=2_000_000)
    assert raised.value.code == "timed_out"


@pytest.mark.parametrize("ending", [Ending.OUT_OF_MEMORY, Ending.CPU_LIMIT, Ending.OUTPUT_LIMIT, Ending.TIMED_OUT])
def test_the_end_of_the_cell_decides_the_name_of_the_fault(ending: Ending) -> None:
    with pytest.raises(ModelFault) as raised:
        against(says(ready()), ending=ending)
    assert raised.value.code == ending.value


def test_a_cell_ended_on_request_is_no_fault_of_the_model() -> None:
    with pytest.raises(CellUnavailable):
        against(says(ready()), ending=Ending.CANCELLED)


def test_a_label_that_is_not_declared_is_counted() -> None:
    stated = setup(output="label", classes=("no", "yes"))
    got, _ = against(says(ready(), answer([0.0, 1.0])), stated)
    np.testing.assert_array_equal(got, [[0.0], [1.0]])
    for values in ([0.0, 2.0], [-1.0, 1.0], [0.5, 1.0]):
        with pytest.raises(ModelFault) as raised:
            against(says(ready(), answer(values)), stated)
        assert (raised.value.code, raised.value.params["rows"]) == ("undeclared_label", 1)


def test_a_fault_of_one_answer_leaves_the_next_one_possible() -> None:
    host, cell = socket.socketpair()
    play = says(ready(), wire.answer_head(Kind.ANSWER, 1, Status.RAISED), answer([5.0], sequence=2), leave=False)
    actor = threading.Thread(target=play, args=(cell,), daemon=True)
    actor.start()
    conversation = Conversation(Process(connection=host), setup(), Limits())
    conversation.load()
    batch = pa.table({"x": [1.0]})
    with pytest.raises(ModelFault, match="raised an error"):
        conversation.predict(batch)
    assert conversation.usable
    assert conversation.predict(batch).tolist() == [[5.0]]
    actor.join(2)
    cell.close()
    with pytest.raises(ModelFault) as first:
        conversation.predict(batch)
    assert not conversation.usable
    with pytest.raises(ModelFault) as second:
        conversation.predict(batch)
    assert second.value is first.value
    conversation.close()


WIDE = 400_000
"""Rows of one number that fit into no socket of a test."""


def frames(cell: socket.socket, count: int) -> list[int]:
    """Read so many frames of batches, and give the sequence of each."""
    cell.settimeout(5)
    found = []
    for _ in range(count):
        head = cell.recv(wire.FRAME.size, socket.MSG_WAITALL)
        if not head:
            raise ConnectionError
        _, _, kind, sequence, length = wire.FRAME.unpack(head)
        left = length
        while left:
            left -= len(cell.recv(min(left, 65536)))
        if kind == Kind.BATCH:
            found.append(sequence)
    return found


def loaded(play: Callable[[socket.socket], None], *, narrow: bool = False, k: int = 1) -> Conversation:
    """A conversation with a cell that plays this after its model was loaded."""
    host, cell = socket.socketpair()

    def all_of_it() -> None:
        with cell, contextlib.suppress(OSError):
            frames(cell, 1)
            cell.sendall(ready())
            play(cell)

    conversation = Conversation(Process(connection=host), setup(k=k), Limits(answer_seconds=5.0))
    if narrow:
        host.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    threading.Thread(target=all_of_it, daemon=True).start()
    conversation.load()
    return conversation


def numbers(count: int, value: float = 1.0) -> pa.Table:
    """A batch of so many rows."""
    return pa.table({"x": np.full(count, value)})


@pytest.mark.parametrize("narrow", [False, True])
def test_batches_that_were_sent_ahead_are_answered_in_their_order(narrow: bool) -> None:
    def play(cell: socket.socket) -> None:
        told = frames(cell, 2)
        for sequence in told:
            cell.sendall(answer([10.0 * sequence] * 3, sequence))
        cell.sendall(answer([7.0], *frames(cell, 1)))
        cell.recv(1)

    conversation = loaded(play, narrow=narrow)
    conversation.send(numbers(3))
    conversation.send(numbers(0))
    conversation.send(numbers(3))
    assert conversation.take().tolist() == [[10.0]] * 3
    assert conversation.take().shape == (0, 1)
    assert conversation.take().tolist() == [[20.0]] * 3
    assert conversation.predict(numbers(1)).tolist() == [[7.0]]
    assert conversation.rows_asked == 7
    conversation.close()


def test_an_answer_to_what_was_not_yet_sent_breaks_the_protocol() -> None:
    def play(cell: socket.socket) -> None:
        cell.recv(1)
        cell.sendall(answer([1.0] * WIDE))
        cell.recv(1)
        time.sleep(1)

    conversation = loaded(play, narrow=True)
    conversation.send(numbers(WIDE))
    with pytest.raises(ModelFault) as raised:
        conversation.take()
    assert raised.value.code == "protocol"
    conversation.close()


def test_an_answer_too_many_is_not_taken_for_the_answer_to_the_next_batch() -> None:
    def play(cell: socket.socket) -> None:
        frames(cell, 3)
        cell.sendall(answer([1.0], 1) + answer([9.0], 2) + answer([2.0], 2) + answer([3.0], 3))
        cell.recv(1)

    conversation = loaded(play)
    for _ in range(3):
        conversation.send(numbers(1))
    assert conversation.take().tolist() == [[1.0]]
    # Which of two answers is the model's is the model's affair; that there are two is seen at the next.
    conversation.take()
    with pytest.raises(ModelFault) as raised:
        conversation.take()
    assert raised.value.code == "protocol"
    assert not conversation.usable
    conversation.close()


def test_after_a_fault_what_was_sent_ahead_is_dropped_and_the_next_question_meets_its_own_answer() -> None:
    def play(cell: socket.socket) -> None:
        frames(cell, 3)
        cell.sendall(wire.answer_head(Kind.ANSWER, 1, Status.RAISED))
        cell.sendall(answer([math.nan], 2) + answer([3.0], 3))
        cell.sendall(answer([4.0], *frames(cell, 1)))
        cell.recv(1)

    conversation = loaded(play)
    for _ in range(3):
        conversation.send(numbers(1))
    with pytest.raises(ModelFault, match="raised an error"):
        conversation.take()
    assert conversation.predict(numbers(1)).tolist() == [[4.0]]
    conversation.close()


def test_wide_answers_and_wide_batches_wait_for_each_other_only_as_long_as_it_takes() -> None:
    def play(cell: socket.socket) -> None:
        for _ in range(4):
            (sequence,) = frames(cell, 1)
            cell.sendall(answer([float(sequence)] * WIDE * 3, sequence, k=3))
        cell.recv(1)

    conversation = loaded(play, narrow=True, k=3)
    for _ in range(4):
        conversation.send(numbers(WIDE))
    for sequence in range(1, 5):
        assert (conversation.take() == sequence).all()
    conversation.close()


def test_a_cell_is_given_its_batch_while_another_one_is_waited_for() -> None:
    has_all = threading.Event()

    def slow(cell: socket.socket) -> None:
        frames(cell, 1)
        assert has_all.wait(5)
        cell.sendall(answer([1.0]))
        cell.recv(1)

    def quick(cell: socket.socket) -> None:
        frames(cell, 1)
        has_all.set()
        cell.sendall(answer([2.0] * WIDE))
        cell.recv(1)

    first, second = loaded(slow), loaded(quick, narrow=True)
    first.beside = (second,)
    first.send(numbers(1))
    second.send(numbers(WIDE))
    assert first.take().tolist() == [[1.0]]
    assert (second.take() == 2.0).all()
    first.close()
    second.close()


def test_the_end_of_a_cell_beside_is_told_by_its_own_answer() -> None:
    def leaves(cell: socket.socket) -> None:
        cell.recv(1)

    def answers(cell: socket.socket) -> None:
        frames(cell, 1)
        time.sleep(0.3)
        cell.sendall(answer([1.0]))
        cell.recv(1)

    first, second = loaded(answers), loaded(leaves, narrow=True)
    first.beside = (second,)
    second.send(numbers(WIDE))
    first.send(numbers(1))
    assert first.take().tolist() == [[1.0]]
    with pytest.raises(ModelFault) as raised:
        second.take()
    assert raised.value.code == "crashed"
    first.close()
    second.close()


def test_time_for_an_answer_counts_from_the_one_before_it() -> None:
    def play(cell: socket.socket) -> None:
        frames(cell, 2)
        for sequence in (1, 2):
            time.sleep(0.7)
            cell.sendall(answer([1.0], sequence))
        cell.recv(1)

    conversation = loaded(play)
    conversation._limits = Limits(answer_seconds=1.0)
    for _ in range(2):
        conversation.send(numbers(1))
    assert conversation.take().tolist() == conversation.take().tolist() == [[1.0]]
    conversation.close()


def test_a_model_is_loaded_before_it_is_asked() -> None:
    host, cell = socket.socketpair()
    conversation = Conversation(Process(connection=host), setup(k=3), Limits())
    with pytest.raises(ValueError, match="load the model"):
        conversation.predict(pa.table({"x": [1.0]}))
    actor = threading.Thread(target=says(ready(), leave=False), args=(cell,), daemon=True)
    actor.start()
    conversation.load()
    assert conversation.predict(pa.table({"x": pa.array([], pa.float64())})).shape == (0, 3)
    actor.join(2)
    conversation.close()
    cell.close()
    assert conversation.rows_asked == 0
    conversation.close()
    cell.close()


def test_a_section_is_written_without_copying_its_values() -> None:
    values = memoryview(bytearray(16))
    parts = wire.batch_parts(1, 2, [Section(type=Type.NUMBER, values=values)])
    assert any(part.obj is values.obj for part in parts)
