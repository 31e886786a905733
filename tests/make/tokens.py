"""A hardware token in software: SoftHSM's, one for the whole process, which its library opens once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "4321"


def make(folder: Path) -> str:
    """Make an empty token, and set the variable by which its library finds it.

    Args:
        folder: for its files.

    Returns:
        A reference to a key in it that is not there, its label `OBJECT`.
    """
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "ours", "--so-pin", "1234", "--pin", PIN],
        check=True,
        capture_output=True,
    )
    (folder / "pin").write_text(PIN + "\n")
    return f"pkcs11:token=ours;object=OBJECT?module-path={MODULE}&pin-source=file:{folder}/pin"
