"""Prove the walls on this machine and say how to mend what fails."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.errors import CellUnavailable
from sandbox.isolation.choose import build_image, build_tree, doctor_lines
from sandbox.settings import Settings


def examine(say: Callable[[str], None], *, build: bool = False, settings: Settings | None = None) -> bool:
    """Print one line per probe and backend.

    Args:
        say: prints a line.
        build: build the cell's tree and image first where they are missing.
        settings: of the operator; from the environment where not given.

    Returns:
        Whether at least one backend holds every probe, so that models can be run here.
    """
    settings = settings or Settings.from_environment()
    if build:
        for make in (build_tree, build_image):
            try:
                make(settings, progress=say)
            except CellUnavailable as none:
                say(str(none))
    lines = doctor_lines(settings, progress=say)
    backends: dict[str, bool] = {}
    for line in lines:
        mark = "held" if line.held else "NOT HELD"
        say(f"{line.backend:<11} {line.probe:<22} {mark:<9} {line.observed}")
        if not line.held and line.mend:
            say(f"{'':<11} mend: {line.mend}")
        backends[line.backend] = backends.get(line.backend, True) and line.held
    whole = [name for name, held in backends.items() if held]
    if whole:
        say(f"Models can be run here, behind: {', '.join(whole)}.")
    else:
        say("No model can be run here until one wall holds. Predictions, counts and documents can be assessed.")
    return bool(whole)
