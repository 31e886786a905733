"""A running service, for the journeys of one file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.make.offices import Office, office


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with office(tmp_path_factory.mktemp("office")) as made:
        yield made
