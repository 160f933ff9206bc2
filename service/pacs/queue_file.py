"""Opening the file of the queue: private, migrated, and one service at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service.pacs.options import PacsMisconfigured
from service.record.database import BEGIN_OPTION, open_engine

LOCK_SUFFIX = ".lock"


def open_file(path: Path) -> Engine:
    """Create or migrate the file, durable at each commit.

    Raises
    ------
    PacsMisconfigured
        It cannot be written, or a newer release wrote it.
    """
    os.close(_open_private(path))
    engine = open_engine(f"sqlite:///{path}")
    try:
        _migrate(engine)
    except (CommandError, SQLAlchemyError) as error:
        engine.dispose()
        cause = type(error.__cause__ or error).__name__
        raise PacsMisconfigured(f"the queue cannot be opened ({cause})") from error
    return engine


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Keep any other service from the same queue: two would pull everything twice.

    Raises
    ------
    PacsMisconfigured
        Another one has it, or the folder cannot be written.
    """
    lock = _open_private(path.with_name(path.name + LOCK_SUFFIX))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise PacsMisconfigured("another service works on the same queue file") from error
    try:
        yield
    finally:
        os.close(lock)


def _open_private(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise PacsMisconfigured(f"the queue cannot be created: {error.strerror}") from error


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", "service.pacs:migrations")
    with engine.execution_options(**{BEGIN_OPTION: "BEGIN IMMEDIATE"}).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
