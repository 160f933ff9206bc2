"""A client that got an answer has a row, whatever is killed when."""

import random
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from service.record import open_reader
from service.record.tables import CHAINED, evidence_log
from tests.support.record_writer import WriterProcess

KILLS = 50
LONGEST_LIFE_SECONDS = 0.25
"""Of a writer after its first acknowledgement: many commits long."""


@pytest.mark.slow
def test_no_acknowledged_row_is_lost_by_fifty_kills(tmp_path: Path) -> None:
    url, moments = f"sqlite:///{tmp_path}/shadow.sqlite", random.Random(20)
    acknowledged: list[str] = []

    for _ in range(KILLS):
        acknowledged += _ids_until_killed(url, moments.uniform(0, LONGEST_LIFE_SECONDS))

        logged, is_whole = _read(url)
        assert is_whole
        assert set(acknowledged) - logged == set()

    assert len(acknowledged) == len(set(acknowledged))
    assert len(acknowledged) > KILLS


@pytest.mark.slow
def test_processes_that_write_at_once_make_one_chain(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shadow.sqlite"

    writers = [WriterProcess(url, clients=8, rows=10) for _ in range(3)]
    acknowledged = [told for writer in writers for told in writer.join()]

    logged, is_whole = _read(url)
    assert [writer.exit_code for writer in writers] == [0, 0, 0]
    assert is_whole
    assert set(acknowledged) == logged
    assert len(acknowledged) == 3 * 8 * 10


def _ids_until_killed(url: str, life_seconds: float) -> list[str]:
    """Let a writer live for a while after its first acknowledgement, then kill it."""
    writer = WriterProcess(url, clients=16, rows=1_000_000)
    told = [writer.next_id(timeout_seconds=300)]
    deadline = time.monotonic() + life_seconds
    while (left := deadline - time.monotonic()) > 0:
        told.append(writer.next_id(left))
    rest = writer.kill()
    assert writer.exit_code == -9
    return [identifier for identifier in told + rest if identifier is not None]


def _read(url: str) -> tuple[set[str], bool]:
    reader = open_reader(url)
    logged = {row.entry.id for row in reader.rows(limit=1_000_000)}
    is_whole = all(reader.verify(table=table).is_whole for table in CHAINED)
    with reader.reading() as connection:
        about = set(connection.scalars(select(evidence_log.c.entry)))
    reader.close()
    return logged, is_whole and about <= logged
