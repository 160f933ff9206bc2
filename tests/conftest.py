"""Fixtures that several folders share."""

from pathlib import Path

import pytest

from tests.support.models import build_tiny_artifact


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with the tiny model; read-only for tests."""
    return build_tiny_artifact(tmp_path_factory.mktemp("model_store"))
