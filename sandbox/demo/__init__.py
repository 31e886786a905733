"""The demonstration: three submissions with known answers, assessed for real."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checks.finding import Outcome
from model_cards.dossier import Dossier
from model_cards.words import Words
from sandbox.demo import discount, hostile, letters
from sandbox.settings import Settings

SEED = 1
"""The demonstration's figures are the same each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is known of a demonstration submission before it is assessed.

    Args:
        name: its folder.
        about: one sentence for the reader.
        risk_class: the class that must come out.
        beyond: findings that must lie beyond their limit, as (check, attribute); no other may.
    """

    name: str
    about: str
    risk_class: str
    beyond: frozenset[tuple[str, str | None]]


def departures(dossier: Dossier, expected: Expected) -> list[str]:
    """Say where an assessment departs from what is known; empty where it does not."""
    said = []
    if dossier.risk.risk_class != expected.risk_class:
        said.append(f"class {dossier.risk.risk_class} instead of {expected.risk_class}")
    beyond = {(f.check, f.attribute) for f in dossier.findings if f.outcome is Outcome.FAIL}
    said += [f"{check} ({attribute}) is not beyond its limit" for check, attribute in expected.beyond - beyond]
    said += [f"{check} ({attribute}) is beyond its limit" for check, attribute in beyond - expected.beyond]
    said += [f"{f.check}: our error {f.incident}" for f in dossier.findings if f.outcome is Outcome.ERROR]
    return sorted(said)


DEMONSTRATIONS = (
    (letters.build, Expected(name="letters", about=letters.ABOUT, risk_class="minimal", beyond=letters.BEYOND)),
    (
        discount.build,
        Expected(name="discount", about=discount.ABOUT, risk_class="high_risk_annex_iii", beyond=discount.BEYOND),
    ),
    (hostile.build, Expected(name="hostile", about=hostile.ABOUT, risk_class="minimal", beyond=hostile.BEYOND)),
)


def demonstrate(
    out: Path,
    *,
    isolation: str | None,
    quiet: bool,
    say: Callable[[str], None],
    settings: Settings | None = None,
    lang: str = "en",
) -> bool:
    """Build the demonstration submissions, assess each, and hold the result against what is known.

    Args:
        out: folder for submissions and dossiers; one that holds an earlier demonstration is made anew.
        isolation: the wall; from the settings where not given.
        quiet: no progress on stderr.
        say: prints a line.
        settings: of the operator.
        lang: language of the summaries.

    Returns:
        Whether every result is as known.

    Raises:
        CellUnavailable: no wall can be built on this machine.
        FileExistsError: `out` holds something that is not a demonstration.
    """
    from sandbox.assess import assess
    from sandbox.progress import shown
    from sandbox.summary import three_counts

    settings = settings or Settings.from_environment()
    marker = out / ".demonstration"
    if out.exists() and any(out.iterdir()) and not marker.exists():
        raise FileExistsError(f"{out} holds something that is not a demonstration; name another --out")
    shutil.rmtree(out, ignore_errors=True)
    (out / "submissions").mkdir(parents=True)
    marker.write_text("made by aiact-sandbox demo; may be deleted\n", encoding="utf-8")
    as_known = True
    cards = []
    for build, expected in DEMONSTRATIONS:
        folder = out / "submissions" / expected.name
        build(folder)
        say("")
        say(f"{expected.name}: {expected.about}")
        with shown(quiet=quiet) as progress:
            assessed = assess(
                folder,
                out=out / "dossiers" / expected.name,
                settings=settings,
                isolation=isolation,
                seed=SEED,
                progress=progress,
            )
        dossier, words = assessed.dossier, Words(lang)
        for finding in dossier.findings:
            if finding.outcome is Outcome.FAIL:
                say(f"  - {words.finding_sentence(finding)}")
        say(f"  {words('terminal.class')}: {words.class_name(dossier.risk.risk_class)}")
        if expected.name == "hostile":
            for line in hostile.told(dossier):
                say(f"  {line}")
        say(f"  {three_counts(assessed.assessment, words)}")
        departed = departures(dossier, expected)
        for line in departed:
            say(f"  NOT AS KNOWN: {line}")
        as_known = as_known and not departed
        cards.append(assessed.folder / f"model_card.{lang}.html")
    say("")
    say("The model cards:")
    for card in cards:
        say(f"  {card}")
    say(f"Show one in a browser:  xdg-open {cards[0]}")
    say(f"Look at the runs:       .venv/bin/mlflow ui --backend-store-uri {settings.tracking_uri}")
    say("Every result is as known." if as_known else "Not every result is as known: this is a fault of the sandbox.")
    return as_known
