"""What each side of a session with PostgreSQL waits for, and for how long."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import InterfaceError, SQLAlchemyError

from service.core.errors import RecordUnavailable
from service.record import open_reader, open_record
from service.record.case_index import open_case_index
from service.record.database import open_engine, writing
from service.record.schema import migrate
from service.record.server import COMMAND, PAGES, SERVING, Patience
from tests.support.databases import POSTGRESQL, empty_database
from tests.support.postgresql import missing_server
from tests.support.programs import needs
from tests.support.record_entries import evaluated
from tests.support.relay import Relay, relaying_to

pytestmark = needs(missing_server())

BRIEF = Patience(answer_seconds=0.5, idle_seconds=0.5, silence_seconds=2)


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


def test_start_does_not_wait_for_ever_for_a_silent_server(url: str, relay: Relay) -> None:
    relay.fall_silent()
    engine = open_engine(_through(url, relay), patience=BRIEF)
    began = time.monotonic()

    with pytest.raises(RecordUnavailable, match="cannot be opened"):
        migrate(engine)

    assert time.monotonic() - began < 5


def test_command_waits_for_a_long_statement(url: str) -> None:
    engine = open_engine(url, patience=replace(BRIEF, answer_seconds=COMMAND.answer_seconds))

    with engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(1)"))

    engine.dispose()


async def test_process_that_dies_amid_a_transaction_frees_the_log(url: str, relay: Relay) -> None:
    record = open_record(url)
    dying = open_engine(_through(url, relay), patience=BRIEF)
    with suppress(SQLAlchemyError), writing(dying):
        relay.fall_silent()

        sequence = await record.append(evaluated())

    dying.dispose()
    await record.close()
    assert sequence == 1


@pytest.mark.parametrize("patience", [SERVING, PAGES, COMMAND])
def test_server_asks_after_a_client_that_says_nothing(url: str, patience: Patience) -> None:
    engine = open_engine(url, patience=patience)

    told = {
        name: _shown(engine, name)
        for name in ("tcp_keepalives_idle", "tcp_keepalives_count", "tcp_user_timeout")
    }

    engine.dispose()
    assert told == {
        "tcp_keepalives_idle": str(round(patience.silence_seconds / 2)),
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": str(round(patience.silence_seconds * 1000)),
    }


def test_index_does_not_wait_for_ever_for_another_that_writes(url: str) -> None:
    record = open_record(url)
    index = open_case_index(url, open_reader(url))
    other = open_engine(url)

    with other.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('cases'))"))
        began = time.monotonic()
        with pytest.raises(RecordUnavailable):
            index.step()

    assert time.monotonic() - began < 8
    other.dispose()
    index.close()
    record.recorder.close()
