"""Where the case index is kept: a file beside a SQLite log, or a schema of the server's."""

import sqlite3
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError

from service.record.case_tables import SCHEMA
from service.record.database import BEGIN_OPTION, path_beside
from service.record.server import LOCK_SECONDS, Patience, open_server_engine

INDEX_SUFFIX = ".cases"
"""The index of `shadow.db` is `shadow.db.cases`; it may be deleted at any time."""

CACHED_KIB = 65536
"""Of pages, for each connection; a page of the site over a million cases reads about as much."""

DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
PRIMARY_CODE: Final = 0xFF
"""The rest of a code of SQLite says more of the same."""


def open_index_engine(url: str, patience: Patience) -> Engine:
    """Prepare connections; a new file is for its owner alone."""
    path = path_beside(url, INDEX_SUFFIX)
    if path is None:
        engine = open_server_engine(make_url(url), patience, lock_seconds=LOCK_SECONDS)
        return engine.execution_options(schema_translate_map={None: SCHEMA})
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30.0})

    @event.listens_for(engine, "connect")
    def relax(connection: Any, _: object) -> None:
        # Losing the index in a power cut costs a minute; the log itself is synced elsewhere.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA cache_size=-{CACHED_KIB}")
        # A page of a mapped file that cannot be read ends the process (SIGBUS), not the question.
        connection.execute("PRAGMA mmap_size=0")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(options.get(BEGIN_OPTION, "BEGIN"))

    _create(url)
    return engine


def is_damaged(error: SQLAlchemyError) -> bool:
    """Whether SQLite says that the file is not as it wrote it: cut, overwritten, or no database."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return code is not None and code & PRIMARY_CODE in DAMAGED


def replace_index_file(url: str) -> None:
    """Put an empty file in its place, and drop what SQLite keeps beside it; nothing on a server.

    Whoever else has the old one open keeps it, and leaves the new one alone.
    """
    for ending in ("", "-wal", "-shm"):
        path = path_beside(url, INDEX_SUFFIX + ending)
        if path is not None:
            path.unlink(missing_ok=True)
    _create(url)


def _create(url: str) -> None:
    path = path_beside(url, INDEX_SUFFIX)
    if path is not None:
        path.touch(mode=0o600)
