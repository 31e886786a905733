"""Loaded by a Dask worker of a test when it starts: what is run there is made up, and a lost worker is soon noticed."""

from __future__ import annotations

import os

from sandbox import engine
from sandbox.records import queue

ENTRY = "AIACT_SANDBOX_TEST_ENTRY"
LEASE_SECONDS = 8.0

if ENTRY in os.environ:
    engine.ASSESS = os.environ[ENTRY]
    queue.LEASE_SECONDS = LEASE_SECONDS
