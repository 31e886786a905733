"""What begins with the fork server's imports shares those, and nothing that is drawn."""

from __future__ import annotations

import random
import uuid

import numpy as np

from sandbox import engine


def drawn() -> tuple[float, float, str]:
    """Draw from what a process has without asking for a seed."""
    return float(np.random.random_sample()), random.random(), str(uuid.uuid4())


def test_two_assessments_draw_nothing_alike() -> None:
    with engine.context().Pool(1) as one, engine.context().Pool(1) as other:
        first, second = one.apply(drawn), other.apply(drawn)
    assert all(a != b for a, b in zip(first, second, strict=True)), (first, second)
