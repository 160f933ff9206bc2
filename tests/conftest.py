"""Fixtures that several folders share."""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.models import build_tiny_artifact
from tests.support.simulated import build_simulated_log


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what this machine has no program for; the checks have all, or fail."""
    for missing in (mark.args[0] for mark in item.iter_markers("needs") if mark.args[0]):
        if os.environ.get("CI"):
            pytest.fail(f"missing: {missing}", pytrace=False)
        pytest.skip(f"NOT TESTED, missing: {missing}")


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
    hooks = (threading.excepthook, sys.unraisablehook, logging.raiseExceptions)
    yield
    threading.excepthook, sys.unraisablehook, logging.raiseExceptions = hooks
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers, root.level = before
