"""The scan of pickles: every global is listed, none is called, and a stream that cannot be followed is said to be so.

The streams here are written by hand or by picklers and are only scanned; none of them is ever loaded.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.cell import formats, scan

MARK = Path("/tmp/aiact-scan-must-not-make-this")


class Touches:
    """Would make a file when loaded."""

    def __reduce__(self) -> Any:
        return os.mkdir, (str(MARK),)


@pytest.fixture(autouse=True)
def _nothing_ran() -> Any:
    assert not MARK.exists()
    yield
    assert not MARK.exists()


def followed(tmp_path: Path, stream: bytes, name: str = "m.pkl") -> scan.Seen:
    """Scan this stream."""
    path = tmp_path / name
    path.write_bytes(stream)
    return scan.follow(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_is_listed_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    seen = followed(tmp_path, pickle.dumps(Touches(), protocol))
    assert seen.complete
    assert "posix.mkdir" in seen.suspicious


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_a_call_is_listed_under_every_compression(tmp_path: Path, pack: Any) -> None:
    seen = followed(tmp_path, pack(pickle.dumps(Touches())), "m.joblib")
    assert seen.complete
    assert "posix.mkdir" in seen.suspicious
    assert seen.notes[0].startswith("compressed_")


def test_a_call_after_and_inside_joblib_arrays_is_listed(tmp_path: Path) -> None:
    objects = np.array([None, Touches()], dtype=object)
    for held in ([np.arange(1000.0), Touches()], [np.zeros((3, 4), order="F"), objects], {"a": np.array(["é"] * 9)}):
        path = tmp_path / "m.joblib"
        joblib.dump(held, path)
        seen = scan.follow(path)
        assert seen.complete, seen
        assert ("posix.mkdir" in seen.suspicious) == (not isinstance(held, dict))


def test_records_and_empty_arrays_are_passed_over(tmp_path: Path) -> None:
    records = np.zeros(5, dtype=[("left", "<i8"), ("value", "<f8"), ("name", "U3")])
    path = tmp_path / "m.joblib"
    joblib.dump([records, np.zeros((0, 3)), np.zeros((), "f4"), np.zeros(3, "M8[s]"), Touches()], path)
    seen = scan.follow(path)
    assert seen.complete, seen
    assert "posix.mkdir" in seen.suspicious


def test_a_joblib_array_with_a_false_size_ends_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "m.joblib"
    joblib.dump(np.arange(1000.0), path)
    seen = followed(tmp_path, path.read_bytes()[:-10], "cut.joblib")
    assert not seen.complete
    assert "stream_broken_off" in seen.suspicious


@pytest.mark.parametrize(
    "stream",
    [
        b"\x80\x04\x82\x01.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04",
        b"\x80\x04(((((",
        b"\x80\x04h\x07.",
    ],
)
def test_a_stream_that_breaks_off_is_said_to_be_unread(tmp_path: Path, stream: bytes) -> None:
    seen = followed(tmp_path, stream)
    assert not seen.complete
    assert "stream_broken_off" in seen.suspicious


def test_a_stream_that_unpacks_beyond_the_limit_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "MOST_BYTES", 1_000_000)
    seen = followed(tmp_path, gzip.compress(pickle.dumps([bytes(900_000), bytes(900_000)])), "m.joblib")
    assert not seen.complete


def test_persistent_identities_and_nested_loaders_stand_out(tmp_path: Path) -> None:
    assert "persistent_id" in followed(tmp_path, b"Pevil\n.").suspicious
    for name in (b"pickle\nloads", b"joblib\nload", b"numpy\nload", b"numpy.testing._private.utils\nrunstring"):
        module, _, last = name.decode().partition("\n")
        assert f"{module}.{last}" in followed(tmp_path, b"c" + name + b"\n.").suspicious


def test_an_archive_behind_a_pickle_is_no_skops_file(tmp_path: Path) -> None:
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("schema.json", "{}")
    path = tmp_path / "both.skops"
    path.write_bytes(pickle.dumps(Touches()) + packed.getvalue())
    assert formats.sniff(path) == "pickle"
    assert {"posix.mkdir", "bytes_after_the_end"} <= set(formats.scan(path, True)["suspicious"])


def test_the_lists_of_a_scan_are_bounded(tmp_path: Path) -> None:
    stream = b"(" + b"".join(b"cm%d\nx\n" % i for i in range(5000)) + b"t."
    path = tmp_path / "many.pkl"
    path.write_bytes(stream)
    seen = formats.scan(path, True)
    assert len(seen["types"]) == formats.MOST_LISTED
    path.write_bytes(b"c" + b"m" * 100_000 + b"\nx\n.")
    assert all(len(name) <= 200 for name in formats.scan(path, True)["types"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from([b"", b"\x80\x04", b"(", b"\x80\x05\x95"]))
def test_any_stream_ends_in_what_was_seen(tmp_path: Path, noise: bytes, head: bytes) -> None:
    seen = followed(tmp_path, head + noise)
    assert seen.complete or seen.suspicious & {"stream_broken_off", "compressed_lz4"}
