"""What each side of a session with PostgreSQL waits for, and for how long."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import InterfaceError

from service.record.database import open_engine
from service.record.server import COMMAND, Patience
from tests.support.databases import POSTGRESQL, empty_database
from tests.support.postgresql import missing_server
from tests.support.programs import needs
from tests.support.relay import Relay, relaying_to

pytestmark = needs(missing_server())

BRIEF = Patience(answer_seconds=0.5, silence_seconds=2)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with empty_database(POSTGRESQL, tmp_path) as address:
        yield address


@pytest.fixture
def relay(url: str) -> Iterator[Relay]:
    port = make_url(url).port
    assert port is not None
    with relaying_to(port) as relay:
        yield relay


def _through(url: str, relay: Relay) -> str:
    return make_url(url).set(port=relay.port).render_as_string(hide_password=False)


def _shown(engine: Engine, name: str) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text(f"SHOW {name}")))


@pytest.mark.parametrize("is_old", [True, False], ids=["old connection", "new connection"])
def test_silent_server_is_given_up(url: str, relay: Relay, *, is_old: bool) -> None:
    engine = open_engine(_through(url, relay), patience=BRIEF)
    if is_old:
        assert _shown(engine, "lock_timeout") == "5s"
    relay.fall_silent()
    began = time.monotonic()

    with pytest.raises(InterfaceError, match="network error"):
        _shown(engine, "lock_timeout")

    assert time.monotonic() - began < 5
    relay.resume()
    assert _shown(engine, "lock_timeout") == "5s"
    engine.dispose()


def test_server_that_falls_silent_amid_a_transaction_is_given_up(url: str, relay: Relay) -> None:
    engine = open_engine(_through(url, relay), patience=BRIEF)

    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        relay.fall_silent()
        with pytest.raises(InterfaceError, match="network error"):
            connection.execute(text("SELECT 1"))

    engine.dispose()


def test_command_waits_for_a_long_statement(url: str) -> None:
    engine = open_engine(url, patience=replace(BRIEF, answer_seconds=COMMAND.answer_seconds))

    with engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(1)"))

    engine.dispose()
