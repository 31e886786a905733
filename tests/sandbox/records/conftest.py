"""A migrated database in the state folder of the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.records.database import Database, migrate
from sandbox.settings import Settings


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    opened = Database(settings)
    yield opened
    opened.close()
