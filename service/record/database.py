"""Opening the database of the shadow log: durable, one writer at a time."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.pool import ConnectionPoolEntry

from service.core.errors import RecordUnavailable
from service.record.outlived import close_what_outlives
from service.record.same_file import SameFile
from service.record.server import COMMAND, LOCK_SECONDS, Patience, open_server_engine
from service.record.tables import shadow_log

BEGIN_OPTION = "record_begin"
"""Execution option that holds the statement which opens a transaction on SQLite."""

CHECK = "record_check"
"""What a connection is asked before it commits, in its `info`; see `SameFile.check`."""


def open_engine(
    url: str | URL, *, lock_seconds: float = LOCK_SECONDS, patience: Patience = COMMAND
) -> Engine:
    """Prepare connections that commit durably; nothing is opened yet.

    Parameters
    ----------
    lock_seconds
        Longest wait for another writer; then the transaction fails.
    patience
        Longest waits for a server, and its own; a file answers or fails.

    Raises
    ------
    ValueError
        A SQLite address without a file, which would be lost with the process.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, lock_seconds)
    return open_server_engine(parsed, patience, lock_seconds=lock_seconds)


def path_beside(url: str, suffix: str) -> Path | None:
    """Name of a file next to a SQLite database; None for a server, which has no 'next to'."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database + suffix)


def create_private_file(url: str) -> None:
    """Create a SQLite file that only this user may read; nothing on a server, or if it exists.

    Raises
    ------
    RecordUnavailable
        The folder cannot be written.
    """
    path = path_beside(url, "")
    if path is None:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            # To open and close it here would take SQLite's locks from any connection that this
            # process has: another process would then remove a log that is still written to.
            return
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        cause = error.strerror
        raise RecordUnavailable(f"the shadow log cannot be created: {cause}") from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that no other writer shares, and commit it durably at the end.

    The lock is taken before the head of the chain is read, so two processes cannot both
    append to the same row.

    Raises
    ------
    RecordMoved
        At the end, before the commit: it would not reach the file that has the log's name.
    """
    with engine.execution_options(**{BEGIN_OPTION: "BEGIN IMMEDIATE"}).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"LOCK TABLE {shadow_log.name} IN EXCLUSIVE MODE"))
        yield connection
        if CHECK in connection.info:
            connection.info[CHECK]()


def _sqlite_engine(url: URL, lock_seconds: float) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("the shadow log needs a file; a database in memory is not durable")
    engine = create_engine(url, connect_args={"timeout": lock_seconds})
    close_what_outlives(engine)
    file = SameFile(Path(url.database))

    @event.listens_for(engine, "do_connect")
    def check_name(*_: object) -> None:
        file.check_name()

    @event.listens_for(engine, "connect")
    def make_durable(connection: sqlite3.Connection, held: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        held.info[CHECK] = partial(file.check, file.note(connection))

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(options.get(BEGIN_OPTION, "BEGIN"))

    return engine
