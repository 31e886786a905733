"""Make `docs/pictures/card.png`: the top of the English card of the demonstration, as a browser shows it.

Run from the checkout, with Chromium on the path: `.venv/bin/python docs/pictures/make/card.py`. An existing dossier of
the demonstration can be named as the only argument; without one, the demonstration is run first.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTH, HEIGHT = 1100, 1480
TARGET = Path(__file__).resolve().parents[1] / "card.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(given: list[str]) -> int:
    """Run the demonstration where needed, and take the picture."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.stderr.write(f"none of these is installed: {', '.join(BROWSERS)}\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="card-") as folder:
        dossier = Path(given[0]) if given else _demonstrated(Path(folder))
        picture = Path(folder) / "card.png"
        subprocess.run(  # noqa: S603  # a browser found on the path, on a page of ours
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--user-data-dir={folder}/browser", "--blink-settings=preferredColorScheme=1",
                f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture}",
                (dossier / "model_card.en.html").resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        shutil.copyfile(picture, TARGET)
    return 0


def _demonstrated(folder: Path) -> Path:
    command = Path(sys.executable).with_name("aiact-sandbox")
    # The demonstration's status says what it found; here only its card is wanted.
    demo = [str(command), "demo", "--out", str(folder / "demo")]
    subprocess.run(demo, check=False, capture_output=True)  # noqa: S603  # our own command
    return folder / "demo" / "dossiers" / "discount"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
