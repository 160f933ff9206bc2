"""A server that fails over to an older standby is not written on as if nothing had been lost."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from sqlalchemy import make_url

from service.core.errors import RecordUnavailable
from service.logs import set_up_logs
from service.record import Head, Pseudonymiser, Record, open_record
from service.record.database import open_engine, writing
from service.record.gaps import purge
from service.record.own_rows import OwnRows, RowsLost
from service.record.queries import read_head
from service.record.record import anchors_beside
from service.record.tables import shadow_log
from tests.support.record_entries import evaluated
from tests.support.record_log import tamper

UNLOCK = {
    "sqlite": "DROP TRIGGER shadow_log_no_delete",
    "postgresql": "ALTER TABLE shadow_log DISABLE TRIGGER shadow_log_append_only",
}
LONG = timedelta(days=400)


def _lose_last_row(url: str) -> None:
    unlock = UNLOCK[make_url(url).get_backend_name()]
    last = "SELECT max(sequence) FROM shadow_log"
    tamper(url, unlock, f"DELETE FROM shadow_log WHERE sequence = ({last})")


async def _open_with_rows(url: str, rows: int) -> Record:
    record = open_record(url)
    for _ in range(rows):
        await record.append(evaluated())
    return record


def _check(url: str, known: Head) -> None:
    """As the first write on a new connection does."""
    engine = open_engine(url)
    try:
        with writing(engine) as connection:
            heads = {shadow_log: read_head(connection, shadow_log)}
            OwnRows({shadow_log: known}).check(connection, heads)
    finally:
        engine.dispose()


async def test_a_log_that_lost_an_answered_row_takes_no_more(log_url: str) -> None:
    told = StringIO()
    set_up_logs("info", told)
    record = await _open_with_rows(log_url, 3)
    _lose_last_row(log_url)

    with pytest.raises(RecordUnavailable):
        await record.append(evaluated())

    assert not record.recorder.can_write()
    await record.close()
    lost = [line for line in told.getvalue().splitlines() if "record.rows_lost" in line]
    assert {json.loads(line)["sequence"] for line in lost} == {3}


async def test_a_row_that_was_found_at_the_start_is_missed_too(log_url: str) -> None:
    await (await _open_with_rows(log_url, 2)).close()
    record = open_record(log_url)
    _lose_last_row(log_url)

    with pytest.raises(RecordUnavailable):
        await record.append(evaluated())
    await record.close()


async def test_rows_of_others_on_top_do_not_hide_it(log_url: str) -> None:
    await (await _open_with_rows(log_url, 3)).close()

    with pytest.raises(RowsLost, match="row 2"):
        _check(log_url, Head(2, "sha256:" + "5" * 64))


async def test_rows_that_others_wrote_or_purged_are_no_loss(log_url: str) -> None:
    record = open_record(log_url)
    await record.append(evaluated(received_at=evaluated().received_at - 2 * LONG))
    known = record.reader.head()
    for _ in range(2):
        await record.append(evaluated())
    await record.close()
    _check(log_url, known)

    engine, signer = open_engine(log_url), Pseudonymiser(b"k" * 32)
    moment = evaluated().received_at
    gone = purge(
        engine, keep_days=LONG.days, signer=signer, actor="x",
        anchors=anchors_beside(log_url), now=moment,
    )  # fmt: skip
    engine.dispose()

    assert gone == {"shadow_log": 1}
    _check(log_url, known)
