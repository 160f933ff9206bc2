"""A shadow log on every database that is at hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import DATABASES, empty_database


@pytest.fixture(params=DATABASES)
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address of an empty database."""
    with empty_database(request.param, tmp_path) as url:
        yield url
