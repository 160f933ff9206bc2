"""Sessions with a PostgreSQL server: neither side waits for ever for one that fell silent."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from service.record.outlived import close_what_outlives

LOCK_SECONDS = 5.0
"""Longest wait for another process that writes; then the rows of this one are refused."""

PROBES = 3
"""Of a peer that says nothing: unanswered, they end the connection."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one side of a session waits for the other.

    Parameters
    ----------
    answer_seconds
        For the server's next word; above the wait for a lock. None: as long as a statement takes.
    idle_seconds
        The server's, for the next statement of a transaction, whose locks hold all others up; 0:
        no end.
    silence_seconds
        Of a connection that carries nothing, until its other end is taken for gone.
    """

    answer_seconds: float | None
    idle_seconds: float
    silence_seconds: float


SERVING: Final = Patience(LOCK_SECONDS + 1, idle_seconds=10, silence_seconds=20)
"""An upload waits for it: asked once on the old connection and once on a new one, it is told
within half of the default deadline that there is no log."""

PAGES: Final = Patience(20, idle_seconds=60, silence_seconds=60)
"""Takes in what was purged by one statement, and reads the log amid its own transaction."""

COMMAND: Final = Patience(None, idle_seconds=0, silence_seconds=60)
"""A migration, a check or a purge of a large log; whoever started it may end it."""


def open_server_engine(url: URL, patience: Patience, *, lock_seconds: float) -> Engine:
    """Prepare connections; nothing is opened yet.

    Parameters
    ----------
    lock_seconds
        Longest wait of a statement for a lock that another session holds.
    """
    engine = create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True)
    close_what_outlives(engine)  # first: its listener has to come before the one that connects
    settings = _session_settings(patience, lock_seconds)

    @event.listens_for(engine, "do_connect")
    def connect(
        _dialect: object, _record: object, _words: object, named: Mapping[str, Any]
    ) -> DBAPIConnection:
        from service.record.server_session import open_session  # noqa: PLC0415 - needs an extra

        session: DBAPIConnection = open_session(
            named, timeout_seconds=patience.answer_seconds, tcp_options=_tcp_options(patience)
        )
        return session

    @event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        for name, value in settings.items():
            cursor.execute(f"SET {name} = {value}")
        cursor.close()
        connection.commit()  # else they end with the first transaction that fails

    return engine


def _session_settings(patience: Patience, lock_seconds: float) -> dict[str, str | int]:
    """Commits are durable, and a client that died frees its locks, whatever the server's defaults.

    What is idle between transactions holds nothing and may stay.
    """
    return {
        "synchronous_commit": "on",
        "lock_timeout": round(lock_seconds * 1000),
        "idle_in_transaction_session_timeout": round(patience.idle_seconds * 1000),
        "tcp_keepalives_idle": round(patience.silence_seconds / 2),
        "tcp_keepalives_interval": _probe_seconds(patience),
        "tcp_keepalives_count": PROBES,
        "tcp_user_timeout": round(patience.silence_seconds * 1000),
    }


def _tcp_options(patience: Patience) -> dict[int, int]:
    """The same at this end."""
    wanted = {
        "TCP_KEEPIDLE": round(patience.silence_seconds / 2),
        "TCP_KEEPINTVL": _probe_seconds(patience),
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": round(patience.silence_seconds * 1000),
    }
    known = {getattr(socket, name, None): value for name, value in wanted.items()}
    return {option: value for option, value in known.items() if option is not None}


def _probe_seconds(patience: Patience) -> int:
    return max(1, round(patience.silence_seconds / 2 / PROBES))
