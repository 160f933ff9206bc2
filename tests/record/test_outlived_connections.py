"""A log that refuses rows for hours does not take all sessions of its server."""

import gc

from sqlalchemy import Engine, event, text

from service.record.database import open_engine


def _count_open(engine: Engine) -> list[int]:
    """How many connections are open, kept up to date."""
    opened = [0]

    def add(*_: object) -> None:
        opened[0] += 1

    def subtract(*_: object) -> None:
        opened[0] -= 1

    event.listen(engine, "connect", add)
    event.listen(engine, "close", subtract)
    return opened


def _dispose_while_another_reads(engine: Engine) -> None:
    """As a transaction that fails does, beside a look-up."""
    with engine.begin() as reading:
        reading.execute(text("SELECT 1"))
        engine.dispose()


def test_what_was_being_opened_at_a_failure_is_closed_at_its_return(log_url: str) -> None:
    engine = open_engine(log_url)
    opened = _count_open(engine)
    event.listen(engine, "connect", lambda *_: engine.dispose())

    with engine.begin() as reading:
        reading.execute(text("SELECT 1"))

    assert opened == [0]


def test_what_is_in_use_at_a_failure_is_closed_at_its_return(log_url: str) -> None:
    engine = open_engine(log_url)
    opened = _count_open(engine)
    gc.disable()  # it would close them, some time

    try:
        for _ in range(5):
            _dispose_while_another_reads(engine)
    finally:
        gc.enable()

    assert opened == [0]


def test_a_connection_of_now_is_kept(log_url: str) -> None:
    engine = open_engine(log_url)
    engine.dispose()
    opened = _count_open(engine)

    for _ in range(3):
        with engine.begin() as reading:
            reading.execute(text("SELECT 1"))

    assert opened == [1]
    engine.dispose()
