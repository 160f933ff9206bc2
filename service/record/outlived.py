"""Connections that are in use while a failure has all of them closed."""

from typing import Final

from sqlalchemy import Engine, event
from sqlalchemy.pool import ConnectionPoolEntry

OPENED_AFTER: Final = "record_opened_after"
"""How often the engine had been disposed of when a connection was opened, in its `info`."""


def close_what_outlives(engine: Engine) -> None:
    """Close a connection that was in use when the engine was disposed of, at its return.

    It would go back to the pool that was given up, and stay open until Python's collector finds
    that: with each transaction that fails a server would have some sessions more.
    """
    disposals = 0

    @event.listens_for(engine, "engine_disposed")
    def count(_: Engine) -> None:
        nonlocal disposals
        disposals += 1

    @event.listens_for(engine, "do_connect")
    def note(_dialect: object, held: ConnectionPoolEntry | None, *_words: object) -> None:
        if held is not None:
            held.info[OPENED_AFTER] = disposals  # not once it is open, which takes its time

    @event.listens_for(engine, "checkin")
    def close(connection: object, held: ConnectionPoolEntry) -> None:
        if connection is not None and held.info.get(OPENED_AFTER, disposals) != disposals:
            held.invalidate()
