"""Receive one large file in parts, encrypted, and hash it from the disk: how fast, and in how much memory.

Exits 1 where memory grows with the file.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from sandbox.records import parts
from sandbox.settings import Settings

GIGABYTE = 10**9
PART = 4 * 1024**2
MOST_GROWTH_BYTES = 64 * 1024**2


def peak_bytes() -> int:
    """Tell the most memory that this process has had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(arguments: list[str] | None = None) -> int:
    """Run it; 1 where memory grew by more than `MOST_GROWTH_BYTES`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    size = int(parser.parse_args(arguments).gigabytes * GIGABYTE)
    with tempfile.TemporaryDirectory() as state:
        settings = replace(Settings(), state=Path(state))
        file_id, mark = "0" * 32, parts.Mark()
        parts.begin(settings, file_id)
        before, begun = peak_bytes(), time.monotonic()
        with Path("/dev/zero").open("rb", buffering=0) as zeros:
            while mark.received < size:
                mark = parts.append(settings, file_id, mark, zeros, min(PART, size - mark.received))
        received = time.monotonic()
        parts.digest_of(settings, file_id, size)
        hashed = time.monotonic()
        grown = peak_bytes() - before
    print(
        f"received   {size / 1e9:6.2f} GB in parts of {PART / 1e6:.1f} MB: {size / 1e6 / (received - begun):7.0f} MB/s"
    )
    print(f"hashed     {size / 1e9:6.2f} GB from the disk: {size / 1e6 / (hashed - received):7.0f} MB/s")
    print(f"peak RSS   {peak_bytes() / 1e6:6.1f} MB; {grown / 1e6:.1f} MB more than before the first byte")
    return int(grown > MOST_GROWTH_BYTES)


if __name__ == "__main__":
    raise SystemExit(main())
