import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.core.errors import RecordUnavailable, ReplayConflict
from service.logs import set_up_logs
from service.record import Entry, Outcome, Pseudonyms, Record, new_id, open_record
from service.record.database import open_engine
from tests.support.record_entries import conflict, evaluated
from tests.support.streams import FullDisk

SOP = Pseudonyms(sop_instance="5" * 64)
OTHER_PIXELS: dict[str, Any] = {
    "input_digest": "sha256:" + "7" * 64,
    "pixel_digest": "sha256:" + "8" * 64,
}


@asynccontextmanager
async def _open(folder: Path, **options: Any) -> AsyncIterator[Record]:
    record = open_record(f"sqlite:///{folder}/shadow.sqlite", **options)
    try:
        yield record
    finally:
        await record.close()


@contextmanager
def _held_by_another_process(folder: Path) -> Iterator[None]:
    """Keep every other writer out, as a second process in a transaction does."""
    holder = sqlite3.connect(folder / "shadow.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


async def _start(record: Record, entries: list[Entry]) -> list[asyncio.Task[int]]:
    """Begin to append, and come back once every entry waits in the queue."""
    tasks = [asyncio.create_task(record.append(entry)) for entry in entries]
    await asyncio.sleep(0)
    assert record.recorder.pending == len(entries)
    return tasks


async def test_an_acknowledged_row_is_already_visible_to_another_process(tmp_path: Path) -> None:
    entry = evaluated()
    async with _open(tmp_path) as record:
        sequence = await record.append(entry)

        with sqlite3.connect(tmp_path / "shadow.sqlite") as other:
            found = other.execute("SELECT sequence, id FROM shadow_log").fetchall()

    assert found == [(sequence, entry.id)]


async def test_rows_that_wait_together_share_one_commit(tmp_path: Path) -> None:
    commits: list[int] = []
    async with _open(tmp_path, on_commit=lambda rows, _: commits.append(rows)) as record:
        with _held_by_another_process(tmp_path):
            tasks = await _start(record, [evaluated() for _ in range(200)])
        sequences = await asyncio.gather(*tasks)

    assert sequences == list(range(1, 201))
    assert sum(commits) == 200
    assert len(commits) <= 2  # what the thread had taken before the lock, and all the rest


async def test_a_transaction_has_a_largest_size(tmp_path: Path) -> None:
    commits: list[int] = []
    count = commits.append
    async with _open(tmp_path, max_rows=10, on_commit=lambda rows, _: count(rows)) as record:
        with _held_by_another_process(tmp_path):
            tasks = await _start(record, [evaluated() for _ in range(100)])
        await asyncio.gather(*tasks)

    assert max(commits) == 10


async def test_one_entry_too_many_is_refused_at_once(tmp_path: Path) -> None:
    async with _open(tmp_path, max_pending=3) as record:
        with _held_by_another_process(tmp_path):
            tasks = await _start(record, [evaluated() for _ in range(3)])
            with pytest.raises(RecordUnavailable, match="3 rows wait"):
                await record.append(evaluated())

        assert await asyncio.gather(*tasks) == [1, 2, 3]
        assert await record.append(evaluated()) == 4


async def test_a_failed_transaction_fails_its_entries_and_no_later_one(tmp_path: Path) -> None:
    async with _open(tmp_path, lock_seconds=0.05) as record:
        with _held_by_another_process(tmp_path):
            tasks = await _start(record, [evaluated() for _ in range(4)])
            failures = await asyncio.gather(*tasks, return_exceptions=True)

        assert await record.append(evaluated()) == 1
        assert [type(failure) for failure in failures] == [RecordUnavailable] * 4
        assert record.recorder.pending == 0
        assert record.verify().is_whole


async def test_an_id_that_is_taken_spoils_no_other_row_of_its_commit(tmp_path: Path) -> None:
    taken = evaluated()
    async with _open(tmp_path) as record:
        await record.append(taken)
        with _held_by_another_process(tmp_path):
            tasks = await _start(record, [evaluated(), taken, evaluated()])
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [int, RecordUnavailable, int]
        assert (record.reader.count(), record.verify().is_whole) == (3, True)


async def test_a_cancelled_client_leaves_its_row_and_delays_no_other(tmp_path: Path) -> None:
    entries = [evaluated() for _ in range(3)]
    async with _open(tmp_path) as record:
        with _held_by_another_process(tmp_path):
            tasks = await _start(record, entries)
            tasks[1].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [int, asyncio.CancelledError, int]
        assert [row.entry for row in record.reader.rows()] == entries


async def test_a_caller_whose_loop_is_closed_harms_nobody(tmp_path: Path) -> None:
    async with _open(tmp_path) as record:
        with _held_by_another_process(tmp_path):
            abandoned = asyncio.new_event_loop()
            task = abandoned.create_task(record.append(evaluated()))
            await asyncio.to_thread(abandoned.run_until_complete, _one_step())
            abandoned.close()
            assert not task.done()

        assert await record.append(evaluated()) == 2
        assert record.reader.count() == 2


async def _one_step() -> None:
    await asyncio.sleep(0)


async def test_close_writes_all_that_waits(tmp_path: Path) -> None:
    entries = [evaluated() for _ in range(50)]
    async with _open(tmp_path, max_rows=7) as record:
        with _held_by_another_process(tmp_path):
            tasks = await _start(record, entries)
            closing = asyncio.create_task(record.close())
            await asyncio.sleep(0)
        await closing

        assert await asyncio.gather(*tasks) == list(range(1, 51))
        with pytest.raises(RecordUnavailable, match="closed"):
            await record.append(evaluated())


async def test_a_failing_callback_costs_no_answer(tmp_path: Path) -> None:
    def fail(rows: int, seconds: float) -> None:
        raise LookupError(rows, seconds)

    async with _open(tmp_path, on_commit=fail) as record:
        assert [await record.append(evaluated()) for _ in range(2)] == [1, 2]


async def test_time_of_the_last_commit_is_told(tmp_path: Path) -> None:
    async with _open(tmp_path, clock=lambda: 1_772_350_200.5) as record:
        before = record.recorder.last_write_timestamp
        await record.append(evaluated())

        assert (before, record.recorder.last_write_timestamp) == (0.0, 1_772_350_200.5)


async def test_time_of_the_last_row_is_known_again_after_a_restart(tmp_path: Path) -> None:
    entry = evaluated()
    async with _open(tmp_path) as record:
        await record.append(evaluated(received_at=entry.received_at - timedelta(days=1)))
        await record.append(entry)

    async with _open(tmp_path) as record:
        assert record.recorder.last_write_timestamp == entry.received_at.timestamp()


async def test_an_entry_that_cannot_be_stored_is_refused_before_it_waits(tmp_path: Path) -> None:
    async with _open(tmp_path) as record:
        with pytest.raises(ValueError, match="JSON"):
            await record.append(evaluated(seconds={"decode": float("nan")}))

        assert record.recorder.pending == 0


async def test_of_two_uploads_at_once_with_unlike_pixels_one_is_answered(tmp_path: Path) -> None:
    first, second = evaluated(pseudonyms=SOP), evaluated(pseudonyms=SOP, **OTHER_PIXELS)
    async with _open(tmp_path) as record:
        with _held_by_another_process(tmp_path):
            tasks = await _start(record, [first, evaluated(), second])
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await record.append(conflict(pseudonyms=SOP, **OTHER_PIXELS))

        assert [type(outcome) for outcome in outcomes] == [int, int, ReplayConflict]
        answered = [row.entry.outcome for row in record.reader.rows()]
        assert answered == [Outcome.EVALUATED, Outcome.EVALUATED, Outcome.CONFLICT]


async def test_two_uploads_at_once_with_the_same_bytes_are_both_answered(tmp_path: Path) -> None:
    first, second = evaluated(pseudonyms=SOP), evaluated(pseudonyms=SOP, id=new_id())
    async with _open(tmp_path) as record:
        with _held_by_another_process(tmp_path):
            tasks = await _start(record, [first, second])

        assert await asyncio.gather(*tasks) == [1, 2]


async def test_writer_outlives_a_failed_transaction_that_cannot_be_logged_either(
    tmp_path: Path,
) -> None:
    set_up_logs("info", FullDisk())
    async with _open(tmp_path) as record:
        with sqlite3.connect(tmp_path / "shadow.sqlite") as other:
            other.execute("ALTER TABLE shadow_log RENAME TO away")
        with pytest.raises(RecordUnavailable):
            await record.append(evaluated())
        with sqlite3.connect(tmp_path / "shadow.sqlite") as other:
            other.execute("ALTER TABLE away RENAME TO shadow_log")

        assert await record.append(evaluated(id=new_id())) == 1
        assert record.recorder.pending == 0


async def test_every_connection_syncs_at_commit(tmp_path: Path) -> None:
    async with _open(tmp_path):
        engine = open_engine(f"sqlite:///{tmp_path}/shadow.sqlite")
        with engine.begin() as connection:
            settings = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous")
            ]
        engine.dispose()

    assert settings == ["wal", 2]  # 2 is FULL: the log is synced at each commit
