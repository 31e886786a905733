"""Every parser of uploads takes whatever bytes there are: the same targets that `make fuzz` feeds for longer."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.conftest import ROOT


def _targets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_targets", ROOT / "fuzz" / "targets.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


fuzz = _targets()


def near(right: list[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes that differ from right ones in some places, or are cut short."""

    def changed(base: bytes, places: list[tuple[int, int]], end: int) -> bytes:
        made = bytearray(base)
        for at, value in places:
            made[at % len(made)] = value
        return bytes(made[: len(made) - end % len(made)])

    places = st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 255)), max_size=6)
    return st.builds(changed, st.sampled_from(right), places, st.just(0) | st.integers(0, 9999))


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_right_bytes_are_taken(name: str) -> None:
    for content in fuzz.seeds(name):
        fuzz.TARGETS[name](content)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_any_bytes_are_taken_or_refused(name: str) -> None:
    @examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(st.binary(max_size=400) | near(fuzz.seeds(name)))
    def run(content: bytes) -> None:
        fuzz.TARGETS[name](content)

    run()
