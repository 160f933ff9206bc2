"""What the tests of the engines share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core.artifact import Artifact, load_current
from service.core.preprocess import normalise
from service.core.radiograph import Pixels
from tests.support.drift_watch import Watch
from tests.support.tiny_network import SPEC, chest_pixels


@pytest.fixture(scope="session")
def artifact(tiny_store: Path) -> Artifact:
    """The tiny model."""
    return load_current(tiny_store)


@pytest.fixture
def batch_nchw() -> Pixels:
    """Drawn chests as the network gets them."""
    return normalise(chest_pixels(), SPEC)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """A monitor that keeps its state in the test's folder."""
    opened = Watch(tmp_path)
    yield opened
    opened.monitor.close()
