"""What a machine can find against the accessibility of the HTML card: axe-core in a browser, where both are there.

axe-core is not part of this repository: `npm install --no-save axe-core` puts it where this test looks.
"""

from __future__ import annotations

import html as entities
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from model_cards.exports import html
from tests.conftest import ON_CI
from tests.make.assessments import assessment

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)

RUN = """
axe.run().then(found => {
  const said = document.createElement("pre");
  said.id = "found";
  said.textContent = JSON.stringify(found.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))]));
  document.body.append(said);
});
"""


def found_by_axe(page: str, folder: Path) -> list[object]:
    """Open a page in a browser with axe-core inside it, and give what it found."""
    assert BROWSER is not None
    # The page's own policy would keep axe out, as it should; details are opened, so that it looks into them too.
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("<details", "<details open")
    script = AXE.read_text(encoding="utf-8").replace("</script", "<\\/script")
    path = folder / "card.html"
    path.write_text(
        page.replace("</body>", f"<script>{script}</script><script>{RUN}</script></body>"), encoding="utf-8"
    )
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder / 'browser'}",
            "--virtual-time-budget=60000", "--window-size=1280,900", "--dump-dom", path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )  # fmt: skip
    said = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert said is not None, "axe-core did not finish"
    found: list[object] = json.loads(entities.unescape(said[1]))
    return found


@pytest.mark.skipif(not ON_CI and (not AXE.is_file() or BROWSER is None), reason="no axe-core or browser is installed")
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "nl"])
def test_axe_finds_nothing_on_the_card(lang: str, colours: str, tmp_path: Path) -> None:
    page = html.render(assessment(), lang).decode()
    if colours == "dark":
        page = page.replace("(prefers-color-scheme: dark)", "all")
    assert found_by_axe(page, tmp_path) == []
