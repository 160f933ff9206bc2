"""Fixtures of the way in from a PACS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.orthanc import Site, running_orthanc


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A real Orthanc with an empty database."""
    with running_orthanc(tmp_path) as running:
        yield running
