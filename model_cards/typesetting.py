"""Typeset a template with data as PDF, in a process of its own with a time limit.

Assumes of its caller: the template is ours. The data may be hostile: they enter as one JSON text and are never read as
markup; the typesetter's root is an empty folder, it has no packages, no fonts but those named, and a fixed time.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

STANDARDS: Final = ("a-2a", "ua-1")
"""PDF/A-2a for keeping, PDF/UA-1 for reading aloud."""

TIME_LIMIT_SECONDS: Final = 60.0
MEMORY_LIMIT_BYTES: Final = 4 * 1024**3


class TypesettingFailed(Exception):
    """The document could not be typeset: a fault of ours, or of the machine."""


def font_folder() -> Path:
    """Find the folder of DejaVu fonts that ships with matplotlib: the letters that the built-in fonts lack."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def typeset(
    template: str,
    inputs: Mapping[str, Any],
    *,
    timestamp: int,
    time_limit_seconds: float = TIME_LIMIT_SECONDS,
) -> bytes:
    """Typeset a template.

    Args:
        template: Typst source; it reads `sys.inputs.card` as JSON.
        inputs: JSON types.
        timestamp: seconds since 1970, the document's date.
        time_limit_seconds: after which the process is ended.

    Returns:
        The PDF, to `STANDARDS`; the same input gives the same bytes.

    Raises:
        TypesettingFailed: it took too long or too much memory, or the typesetter refused; the message is its own.
    """
    job = {
        "template": template,
        "inputs": {"card": json.dumps(inputs, ensure_ascii=False, sort_keys=True)},
        "timestamp": timestamp,
        "fonts": [str(font_folder())],
    }
    with tempfile.TemporaryDirectory(prefix="typeset-") as folder:
        (Path(folder) / "root").mkdir()
        try:
            # `-I`: nothing of the working folder or the environment can be imported in place of ours.
            done = subprocess.run(
                [sys.executable, "-I", "-m", "model_cards.typesetting"],
                input=json.dumps(job).encode(),
                capture_output=True,
                cwd=folder,
                timeout=time_limit_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise TypesettingFailed(f"typesetting took more than {time_limit_seconds:g} seconds") from late
    if done.returncode != 0:
        raise TypesettingFailed(done.stderr.decode("utf-8", "replace")[-2000:].strip() or f"status {done.returncode}")
    return done.stdout


def compile_job(job: Mapping[str, Any], root: Path) -> bytes:
    """Compile one job in this process.

    Args:
        job: as `typeset` writes it.
        root: an empty folder.

    Raises:
        RuntimeError: the typesetter refused.
    """
    import typst

    fonts: Sequence[str] = job["fonts"]
    made: bytes = typst.compile(
        job["template"].encode(),
        root=str(root),
        font_paths=list(fonts),
        # The machine's own fonts would make the same dossier look different elsewhere.
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs=dict(job["inputs"]),
        pdf_standards=list(STANDARDS),
        package_path=str(root),
        package_cache_path=str(root),
        timestamp=job["timestamp"],
    )
    return made


def main() -> int:
    """Read a job from standard input and write the PDF to standard output."""
    # What a table of a million rows would take must not be taken from the rest of the machine.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    job = json.load(sys.stdin.buffer)
    try:
        made = compile_job(job, Path.cwd() / "root")
    except RuntimeError as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
