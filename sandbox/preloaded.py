"""Have ready what every assessment needs: a fork server imports this once, and each of its processes begins with it.

Nothing here may start a thread, open a connection or read a key: whatever is forked from the fork server inherits it.
"""

from __future__ import annotations

import os
from importlib import import_module

import numpy as np

from checks import resources
from checks.ai_act import rules
from checks.registry import catalogue
from model_cards import drawing
from model_cards.exports import exports
from model_cards.words import languages, texts

LATE = (
    "cyclonedx.model.bom",
    "cyclonedx.model.tool",
    "cyclonedx.output.json",
    "cyclonedx.serialization",
    "docker",
    "fairlearn.metrics",
    "matplotlib.ft2font",
    "model_cards.plots",
    "packageurl",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "sandbox.assess",
    "sandbox.cli",
    "sandbox.engine",
    "sandbox.isolation.prove",
    "scipy.optimize",
)
"""What is otherwise imported when it is first needed. `sandbox.cli` is what a worker was started by: a new process
begins with its parent's main module."""

for _name in LATE:
    import_module(_name)
catalogue()
exports()
rules.load()
for _path in ("documentation/items.yaml", "ai_act/signals.yaml"):
    resources.read(_path)
for _lang in languages():
    texts(_lang)
drawing.letters()
# Python gives each fork a seed of its own, NumPy does not: two assessments would draw the same.
os.register_at_fork(after_in_child=np.random.seed)
