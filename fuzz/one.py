"""Feeds one target with bytes that atheris makes up, for so many seconds: `python fuzz/one.py TARGET SECONDS`.

A find ends it with a status other than 0, and leaves the bytes in the folder `.fuzz/TARGET`.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sandbox", "checks"]):
    from targets import TARGETS, seeds


def main(name: str, seconds: int) -> None:
    """Fuzz one target.

    Args:
        name: of the target.
        seconds: how long.
    """
    # As the intake cell has: a stream can ask for any memory, and must then be said to be unread.
    resource.setrlimit(resource.RLIMIT_DATA, (2 * 1024**3, 2 * 1024**3))
    corpus = Path(".fuzz") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(seeds(name)):
        (corpus / f"seed{number}").write_bytes(content)
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=4096", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus}/found-", str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
