"""Show on stderr how far an assessment is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sandbox.stages import Stage

SENTENCES = {
    "accept": "Receiving and scanning the submission",
    "read": "Reading the data",
    "prove": "Proving the wall",
    "load": "Loading the model in its cell",
    "ask": "Asking the model",
    "seal": "Sealing the evidence",
    "judge": "Running the checks",
    "classify": "Classifying under the AI Act",
    "write": "Writing card and dossier",
    "log": "Logging to MLflow",
}


@contextmanager
def shown(*, quiet: bool) -> Iterator[Callable[[Stage], None] | None]:
    """Give a watcher that draws progress on stderr, or None when quiet.

    On a terminal it is a line that moves; elsewhere (a log) one plain line per stage.
    """
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        last = ""

        def line(stage: Stage) -> None:
            nonlocal last
            if stage.name != last:
                last = stage.name
                console.print(SENTENCES[stage.name], markup=False, highlight=False)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=False) as bar:
        tasks: dict[str, TaskID] = {}

        def draw(stage: Stage) -> None:
            for name, task in tasks.items():
                if name != stage.name:
                    bar.update(task, total=1, completed=1)
            if stage.name not in tasks:
                tasks[stage.name] = bar.add_task(SENTENCES[stage.name], total=None, count="")
            if stage.total:
                count = f"{stage.done:,} of {stage.total:,}"
                bar.update(tasks[stage.name], total=stage.total, completed=stage.done, count=count)

        yield draw
        for task in tasks.values():
            bar.update(task, total=1, completed=1)
