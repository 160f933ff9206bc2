"""The index says what the chained rows say, in whatever order they came."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, select

from service.record import Entry, Evidence, Kind, Pseudonyms, Record, open_record
from service.record.case_columns import DTYPES, NONE, Coded, Table, read_columns
from service.record.case_file import INDEX_SUFFIX
from service.record.case_index import CaseIndex, open_case_index
from service.record.case_tables import SCHEMA, case_metadata, cases
from tests.support.record_entries import MODEL, evaluated, not_evaluated
from tests.support.record_log import tamper

STUDY = "5" * 64


class _Log:
    """A log with its index, written to by hand."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.record: Record = open_record(self.url)
        self.index: CaseIndex = open_case_index(self.url, self.record.reader)

    async def append(self, *entries: Entry) -> None:
        for entry in entries:
            await self.record.append(entry)

    async def report(self, pneumonia: str, study: str = STUDY) -> None:
        outcomes = {"pneumonia": pneumonia, "tuberculosis": "negative"}
        body = {"outcomes": outcomes, "read_at": "2026-03-02T08:00:00+00:00", "source": "csv"}
        await self.record.note(Evidence(kind=Kind.REPORT, study_instance=study, body=body))

    def rows(self) -> list[dict[str, Any]]:
        self.index.catch_up()
        with self.index.reading() as connection:
            return _rows(connection)

    async def close(self) -> None:
        self.index.close()
        await self.record.close()


def _rows(connection: Connection) -> list[dict[str, Any]]:
    found = connection.execute(select(cases).order_by(cases.c.sequence))
    return [row._asdict() for row in found]


def _index_address(url: str) -> str:
    return f"{url}{INDEX_SUFFIX}" if url.startswith("sqlite") else url


def _drop(url: str) -> list[str]:
    if not url.startswith("sqlite"):
        return [f"DROP SCHEMA {SCHEMA} CASCADE"]
    return [f"DROP TABLE {table}" for table in case_metadata.tables]


def _of_study(study: str = STUDY, **changes: Any) -> Entry:
    return evaluated(pseudonyms=Pseudonyms(study_instance=study), **changes)


@pytest.fixture
async def log(log_url: str) -> AsyncIterator[_Log]:
    opened = _Log(log_url)
    yield opened
    await opened.close()


@pytest.mark.parametrize("is_early", [False, True], ids=["late", "early"])
async def test_a_report_joins_its_study_whichever_comes_first(log: _Log, is_early: bool) -> None:
    if is_early:
        await log.report("negative")
        log.rows()
    await log.append(_of_study())
    log.rows()
    if not is_early:
        await log.report("negative")

    (row,) = log.rows()

    assert (row["report_pneumonia"], row["flag_pneumonia"], row["disagrees"]) == (0, 1, 1)


async def test_the_newest_report_stands(log: _Log) -> None:
    await log.append(_of_study())
    for outcome in ("negative", "unclear", "positive"):
        await log.report(outcome)

    (row,) = log.rows()

    assert (row["report_pneumonia"], row["disagrees"]) == (1, 0)


async def test_an_unclear_report_disagrees_with_nobody(log: _Log) -> None:
    await log.append(_of_study())
    await log.report("unclear")

    assert [(row["report_pneumonia"], row["disagrees"]) for row in log.rows()] == [(-1, 0)]


async def test_a_study_counts_once_for_each_model(log: _Log) -> None:
    other = replace(MODEL, digest="sha256:" + "3" * 64)
    await log.append(
        _of_study(), _of_study(), _of_study(model=other), _of_study("6" * 64), evaluated(),
        evaluated(pseudonyms=Pseudonyms()), evaluated(pseudonyms=Pseudonyms()), not_evaluated(),
    )  # fmt: skip

    assert [row["counts"] for row in log.rows()] == [1, 0, 1, 1, 1, 1, 1, 0]


async def test_a_study_counts_once_across_catch_ups(log: _Log) -> None:
    await log.append(_of_study())
    log.rows()
    await log.append(_of_study())

    assert [row["counts"] for row in log.rows()] == [1, 0]


async def test_candidate_and_verdict_find_their_entry(log: _Log) -> None:
    first, second = _of_study(), _of_study("6" * 64)
    await log.append(first, second)
    body = {
        "name": "tiny", "version": "0.0.2", "digest": "d", "threshold_digest": "t",
        "probabilities": {"normal": 0.1, "pneumonia": 0.2, "tuberculosis": 0.7},
        "flags": ["tuberculosis"], "priority": "urgent",
    }  # fmt: skip
    verdicts = {"verdicts": {"pneumonia": "negative", "tuberculosis": "unclear"}, "note": ""}
    await log.record.note(Evidence(kind=Kind.CANDIDATE, entry=second.id, body=body))
    await log.record.note(Evidence(kind=Kind.ADJUDICATION, entry=first.id, body=verdicts))

    told, other = log.rows()

    assert (other["candidate"], other["candidate_flag_tuberculosis"]) == ("tiny/0.0.2", 1)
    assert (other["candidate_score_pneumonia"], told["candidate"]) == (0.2, None)
    assert (told["verdict_pneumonia"], told["verdict_tuberculosis"]) == (0, -1)
    assert (told["adjudicated"], other["adjudicated"]) == (1, 0)


async def test_an_image_that_was_not_evaluated_waits_with_those_for_review(log: _Log) -> None:
    await log.append(not_evaluated(), evaluated())

    assert [(row["rank"], row["score_pneumonia"]) for row in log.rows()] == [(1, None), (0, 0.85)]


async def test_the_index_can_be_thrown_away(log: _Log) -> None:
    await log.append(*(_of_study(str(n) * 64) for n in range(5)))
    await log.report("positive", "3" * 64)
    before = log.rows()
    log.index.close()
    tamper(_index_address(log.url), *_drop(log.url))

    log.index = open_case_index(log.url, log.record.reader)

    assert log.rows() == before


async def test_the_index_of_another_log_is_made_anew(log: _Log) -> None:
    await log.append(_of_study(), _of_study("6" * 64))
    log.rows()
    log.index.close()
    schema = "" if log.url.startswith("sqlite") else f"{SCHEMA}."
    tamper(
        _index_address(log.url),
        f"UPDATE {schema}case_state SET shadow_digest = 'sha256:0'",
        f"UPDATE {schema}cases SET rank = 2",
    )

    log.index = open_case_index(log.url, log.record.reader)

    assert [row["rank"] for row in log.rows()] == [0, 0]


async def test_an_index_of_a_release_that_lacked_a_column_is_made_anew(log: _Log) -> None:
    await log.append(_of_study())
    before = log.rows()
    log.index.close()
    schema = "" if log.url.startswith("sqlite") else f"{SCHEMA}."
    tamper(
        _index_address(log.url),
        f"UPDATE {schema}case_state SET version = 2",
        f"ALTER TABLE {schema}case_state DROP COLUMN evidence_forgotten",
        f"ALTER TABLE {schema}cases DROP COLUMN verdict_evidence",
    )

    log.index = open_case_index(log.url, log.record.reader)

    assert log.rows() == before


async def test_two_indexers_make_one_index(log: _Log) -> None:
    await log.append(*(_of_study(str(n) * 64) for n in range(6)))
    other = open_case_index(log.url, log.record.reader)

    other.catch_up()
    rows = log.rows()
    other.close()

    assert [row["sequence"] for row in rows] == [1, 2, 3, 4, 5, 6]


async def test_indexers_that_work_at_once_take_each_row_once(log: _Log) -> None:
    await log.append(*(_of_study(str(n) * 64) for n in range(6)))
    others = [open_case_index(log.url, log.record.reader) for _ in range(4)]

    with ThreadPoolExecutor(len(others)) as threads:
        taken = sum(threads.map(CaseIndex.step, others))
    for other in others:
        other.close()

    assert (taken, [row["sequence"] for row in log.rows()]) == (6, [1, 2, 3, 4, 5, 6])


class _Blocks:
    """The columns that a page reads, and the rows that they were made of."""

    def __init__(self, log: _Log) -> None:
        self._log = log
        log.index.close()
        tamper(_index_address(log.url), *_drop(log.url))
        log.index = open_case_index(log.url, log.record.reader, block_cases=4)

    def read(self, **window: float) -> Table:
        self._log.index.catch_up()
        with self._log.index.reading() as connection:
            return read_columns(connection, list(DTYPES), **window)

    def sequences(self, **window: float) -> list[int]:
        column = self.read(**window)["sequence"]
        assert isinstance(column, np.ndarray)
        return [int(number) for number in column]

    def check(self) -> None:
        """What stands in the columns is what stands in the rows."""
        table, rows = self.read(), self._log.rows()
        for name, column in table.items():
            told = [row[name] for row in rows]
            if isinstance(column, Coded):
                assert [column.word(place) for place in range(len(rows))] == told
            else:
                null = np.nan if column.dtype.kind == "f" else NONE
                expected = np.array([null if value is None else value for value in told])
                np.testing.assert_array_equal(column, expected)


async def test_columns_hold_what_the_rows_hold_sealed_or_not(log: _Log) -> None:
    blocks = _Blocks(log)
    await log.append(*(_of_study(str(n) * 64) for n in range(7)), not_evaluated(), evaluated())

    blocks.check()

    assert log.index.unsealed() == 1


async def test_evidence_about_a_sealed_block_reaches_its_columns(log: _Log) -> None:
    blocks = _Blocks(log)
    entries = [_of_study(str(n) * 64) for n in range(10)]
    await log.append(*entries[:-1])
    blocks.check()
    body = {
        "name": "tiny", "version": "0.0.2", "digest": "d", "threshold_digest": "t",
        "probabilities": {"normal": 0.1, "pneumonia": 0.2, "tuberculosis": 0.7},
        "flags": ["tuberculosis"], "priority": "urgent",
    }  # fmt: skip
    verdicts = {"verdicts": {"pneumonia": "negative", "tuberculosis": "unclear"}, "note": ""}

    await log.report("negative", "1" * 64)
    await log.record.note(Evidence(kind=Kind.CANDIDATE, entry=entries[5].id, body=body))
    await log.record.note(Evidence(kind=Kind.ADJUDICATION, entry=entries[6].id, body=verdicts))
    await log.append(entries[-1])

    blocks.check()


async def test_a_window_reads_the_blocks_that_it_touches(log: _Log) -> None:
    blocks = _Blocks(log)
    start = evaluated().received_at
    await log.append(
        *(evaluated(received_at=start + timedelta(seconds=n), pseudonyms=Pseudonyms())
          for n in range(14))
    )  # fmt: skip
    blocks.check()

    found = blocks.sequences(since=start.timestamp() + 5, until=start.timestamp() + 8)

    assert {6, 7, 8, 9} <= set(found) <= set(range(4, 12))
    assert found == sorted(found)


async def test_an_empty_index_has_empty_columns(log: _Log) -> None:
    assert _Blocks(log).sequences() == []
