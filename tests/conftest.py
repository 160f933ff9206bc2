"""Fixtures that several folders share."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.models import build_tiny_artifact
from tests.support.simulated import build_simulated_log


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with the tiny model; read-only for tests."""
    return build_tiny_artifact(tmp_path_factory.mktemp("model_store"))


@pytest.fixture(scope="session")
def simulated_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a simulated shadow log with its index; read-only for tests."""
    folder = tmp_path_factory.mktemp("simulated")
    build_simulated_log(folder)
    return folder


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """Undo what a test set up: its stream may be closed before the next one logs."""
    root = logging.getLogger()
    before = (root.handlers, root.level)
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers, root.level = before
