"""What the tests of the engines share."""

from pathlib import Path

import pytest

from service.core.artifact import Artifact, load_current
from service.core.preprocess import normalise
from service.core.radiograph import Pixels
from tests.support.tiny_network import SPEC, chest_pixels


@pytest.fixture(scope="session")
def artifact(tiny_store: Path) -> Artifact:
    """The tiny model."""
    return load_current(tiny_store)


@pytest.fixture
def batch_nchw() -> Pixels:
    """Drawn chests as the network gets them."""
    return normalise(chest_pixels(), SPEC)
