"""Cells that stand ready: clean, given once, ended when old, and no less walled in than others."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import skops.io
from sklearn.linear_model import LinearRegression

from sandbox.errors import CellUnavailable
from sandbox.isolation import place
from sandbox.isolation.conversation import Conversation
from sandbox.isolation.interface import Limits
from sandbox.isolation.pool import Pool
from sandbox.isolation.running import KeptCell
from tests.make.talks import one_number
from tests.make.walls import Wall, session_settings, wall

__all__ = ["session_settings", "wall"]

LIMITS = Limits(memory_bytes=700 * 1024**2, cpu_seconds=60, wall_seconds=60)
ROWS = pa.table({"x": np.arange(50.0)})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line through the origin."""
    path = tmp_path_factory.mktemp("model") / "model.skops"
    skops.io.dump(LinearRegression().fit(np.arange(9.0)[:, None], 3 * np.arange(9.0)), path)
    return path


def answers(cell: object, path: Path) -> np.ndarray:
    setup = one_number("skops", path)
    talk = Conversation(cell, setup, LIMITS)  # type: ignore[arg-type]
    talk.load()
    return talk.predict(ROWS)


def standing(wall: Wall) -> list[place.Lease]:
    return [lease for lease in wall.leases if Path(lease.path).exists()]


def wait_for(wall: Wall, pool: Pool, count: int) -> None:
    pool.fill(count)
    for _, opening in pool._ready:
        opening.result(timeout=60)


def test_a_cell_that_stood_ready_answers_as_any_other_and_is_given_at_once(wall: Wall, model: Path) -> None:
    with Pool(wall.backend(), LIMITS) as pool:
        wait_for(wall, pool, 1)
        begun = time.monotonic()
        cell = pool.take(model)
        seconds = time.monotonic() - begun
        try:
            np.testing.assert_allclose(answers(cell, model)[:, 0], 3 * np.arange(50.0), atol=1e-9)
            assert cell.meters().seconds < 60
        finally:
            cell.close()
        # A new cell takes ten times as long, and then imports for a second.
        assert seconds < 0.3
    assert standing(wall) == []


def test_an_empty_pool_gives_a_new_cell(wall: Wall, model: Path) -> None:
    with Pool(wall.backend(), LIMITS) as pool:
        cell = pool.take(model)
        try:
            np.testing.assert_allclose(answers(cell, model)[:, 0], 3 * np.arange(50.0), atol=1e-9)
        finally:
            cell.close()


def test_a_cell_stands_ready_with_an_empty_inbox_that_nobody_can_fill_twice(wall: Wall, model: Path) -> None:
    with Pool(wall.backend(), LIMITS) as pool:
        wait_for(wall, pool, 1)
        (lease,) = standing(wall)
        assert list((Path(lease.folder) / "model").iterdir()) == []
        cell = pool.take(model)
        try:
            assert isinstance(cell, KeptCell)
            (there,) = (Path(lease.folder) / "model").iterdir()
            assert there.stat().st_mode & 0o777 == 0o440
            assert there.parent.stat().st_mode & 0o777 == 0o550
            with pytest.raises(CellUnavailable, match="one model"):
                cell.give(model)
        finally:
            cell.close()


def test_a_cell_that_stood_too_long_is_ended_unused(wall: Wall, model: Path) -> None:
    with Pool(wall.backend(), LIMITS, seconds=0.01) as pool:
        pool.fill(1)
        pool._ready[0][1].result(timeout=60)
        time.sleep(0.02)
        assert pool.expire() == 1
        assert standing(wall) == []


def test_a_cell_that_died_while_it_waited_is_not_given(wall: Wall, model: Path) -> None:
    with Pool(wall.backend(), LIMITS) as pool:
        wait_for(wall, pool, 2)
        first, second = (opening.result() for _, opening in pool._ready)
        first.cancel()
        assert isinstance(first, KeptCell)
        assert isinstance(second, KeptCell)
        assert first._keeper.ended.wait(10)
        cell = pool.take(model)
        assert cell is second
        cell.close()


def test_a_cell_that_spoke_before_it_was_asked_is_not_given(wall: Wall, model: Path) -> None:
    code = wall.code("def main(connection):\n    connection.recv(1)\n")
    (code / "warm.py").write_text("def main(connection):\n    connection.sendall(b'x')\n    connection.recv(1)\n")
    with Pool(wall.backend(code), LIMITS) as pool:
        wait_for(wall, pool, 1)
        spoke = pool._ready[0][1].result()
        time.sleep(0.3)
        cell = pool.take(model)
        assert cell is not spoke
        cell.close()
    assert standing(wall) == []


def test_closing_a_pool_leaves_nothing(wall: Wall) -> None:
    pool = Pool(wall.backend(), LIMITS)
    pool.fill(2)
    pool.close()
    pool.fill(1)
    assert standing(wall) == []


def test_a_link_is_not_put_into_a_ready_cell(wall: Wall, tmp_path: Path) -> None:
    link = tmp_path / "model.skops"
    link.symlink_to("/etc/passwd")
    with Pool(wall.backend(), LIMITS) as pool:
        wait_for(wall, pool, 1)
        with pytest.raises(CellUnavailable, match="neither a file nor a folder"):
            pool.take(link)
    assert standing(wall) == []
