"""The one thread that writes: takes whatever waits, commits it as one transaction, then answers.

A commit costs one disk sync however many rows it holds, so under load rows share it (group
commit), and alone a row waits for nobody.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import structlog
from sqlalchemy import Engine, Insert, Table, delete, insert
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from service.core.errors import CxrError, RecordUnavailable
from service.logs import describe_error
from service.record.anchor import write_anchor
from service.record.chain import Head, link
from service.record.database import writing
from service.record.entry import Entry
from service.record.evidence import Evidence, evidence_columns
from service.record.own_rows import OwnRows
from service.record.precedence import find_conflicts
from service.record.queries import read_head
from service.record.rows import Columns, columns_of
from service.record.tables import CHAINED, evidence_log, shadow_log, site_key

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PROBE = "probe"
"""Never a signature, and never seen by another transaction."""

CLOSE_SECONDS = 15.0
"""Longest wait for the last rows, above that of one transaction for a server that is silent."""

OnCommit = Callable[[int, float], None]
"""Called on the writer thread with the rows of a commit and the seconds it took."""

Settled = int | CxrError
"""The sequence of a durable row, or why there is none."""

Heads = dict[Table, Head]
"""Where the chain of each table ends."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    table: Table
    columns: Columns
    future: asyncio.Future[int]
    told: Entry | Evidence


class Recorder:
    """Appends entries and evidence durably, in the order they came.

    Parameters
    ----------
    known
        Where the chain of each table ended at the opening; see `OwnRows`.
    anchors
        File of each table that notes its head after each commit; none without one.
    written_seconds
        `last_write_timestamp` until the first commit.
    max_pending
        Entries that may wait or be in a commit; one more is refused.
    max_rows
        Most rows of one transaction.
    clock
        Seconds since 1970, for `last_write_timestamp`.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        known: Mapping[Table, Head] | None = None,
        anchors: Mapping[Table, Path] | None = None,
        written_seconds: float = 0.0,
        max_pending: int = 1024,
        max_rows: int = 256,
        on_commit: OnCommit | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._own_rows = OwnRows(known)
        self._anchors = dict(anchors or {})
        self._max_pending = max_pending
        self._max_rows = max_rows
        self._on_commit = on_commit
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._pending = 0
        self._is_closing = False
        self._last_write_timestamp = written_seconds
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Entries that wait or are being committed."""
        return self._pending

    @property
    def last_write_timestamp(self) -> float:
        """Seconds since 1970 of the last commit, or as the log told at the start."""
        return self._last_write_timestamp

    async def append(self, entry: Entry) -> int:
        """Write one row and return its sequence, once it is on disk and not before.

        A caller that is cancelled meanwhile leaves its row behind: it was a request.

        Raises
        ------
        RecordUnavailable
            Too many entries wait, the transaction failed, or the recorder is closed.
        ReplayConflict
            Its SOP instance was answered with other pixels, if only a moment ago. No row is
            written; the caller appends one that says `conflict`.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await self._enqueue(_Waiting(shadow_log, columns_of(entry), future, entry))

    async def note(self, evidence: Evidence) -> int:
        """Write one row of evidence and return its sequence, once it is on disk.

        Raises
        ------
        RecordUnavailable
            Too many rows wait, the transaction failed, or the recorder is closed.
        VerdictStands
            A verdict on its entry is there already, if only since a moment ago, or by another
            process. No row is written.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await self._enqueue(
            _Waiting(evidence_log, evidence_columns(evidence), future, evidence)
        )

    def can_write(self) -> bool:
        """Whether a commit reaches the disk, tried by one that leaves nothing; blocks.

        A transaction that is rolled back would never leave memory.
        """
        try:
            with writing(self._engine) as connection:
                self._own_rows.check(connection, {t: read_head(connection, t) for t in CHAINED})
                connection.execute(insert(site_key).values(check_value=PROBE))
                connection.execute(delete(site_key).where(site_key.c.check_value == PROBE))
        except (SQLAlchemyError, RecordUnavailable):
            self._engine.dispose()
            return False
        return True

    async def _enqueue(self, waiting: _Waiting) -> int:
        with self._changed:
            if self._is_closing:
                raise RecordUnavailable("the shadow log is closed")
            if self._pending >= self._max_pending:
                raise RecordUnavailable(f"{self._pending} rows wait for the shadow log")
            self._pending += 1
            self._waiting.append(waiting)
            self._changed.notify()
        return await waiting.future

    def close(self) -> bool:
        """Write all that waits, then end the thread; blocks, and tells whether it is done."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            return True
        log.error("record.close_timed_out", rows=self._pending)
        return False

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._write(batch)
            except Exception as error:  # noqa: BLE001 - task boundary: the next batch is written
                log.error("record.writer_failed", rows=len(batch), **describe_error(error))

    def _take(self) -> list[_Waiting]:
        """Wait for company no longer than for the first; empty once closed and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            size = min(len(self._waiting), self._max_rows)
            return [self._waiting.popleft() for _ in range(size)]

    def _write(self, batch: Sequence[_Waiting]) -> None:
        started = time.perf_counter()
        try:
            settled, heads = self._commit(batch)
        except Exception as error:  # noqa: BLE001 - task boundary: fails exactly this batch
            if isinstance(error, IntegrityError) and len(batch) > 1:
                self._write_singly(batch)
                return
            self._fail(batch, error)
            return
        written = sum(isinstance(outcome, int) for outcome in settled)
        if written:
            self._report(written, time.perf_counter() - started, heads)
        self._settle(batch, settled)

    def _write_singly(self, batch: Sequence[_Waiting]) -> None:
        """An id that is taken spoils the whole transaction: find whose it is."""
        for waiting in batch:
            self._write([waiting])

    def _commit(self, batch: Sequence[_Waiting]) -> tuple[list[Settled], Heads]:
        with writing(self._engine) as connection:
            written = {waiting.table for waiting in batch}
            heads = {t: read_head(connection, t) for t in CHAINED if t in written}
            self._own_rows.check(connection, heads)
            conflicts = find_conflicts(connection, [waiting.told for waiting in batch])
            settled: list[Settled] = []
            placed: dict[Table, list[Columns]] = {table: [] for table in heads}
            for waiting, conflict in zip(batch, conflicts, strict=True):
                if conflict is not None:
                    settled.append(conflict)
                    continue
                table = waiting.table
                row = link(waiting.columns, heads[table])
                placed[table].append(row)
                heads[table] = Head(heads[table].sequence + 1, str(row["row_digest"]))
                settled.append(heads[table].sequence)
            for table, rows in placed.items():
                if rows:
                    connection.execute(_insert_into(table), rows)
        return settled, {table: heads[table] for table, rows in placed.items() if rows}

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Refuse exactly these entries; the next transaction starts on a new connection."""
        self._settle(batch, [RecordUnavailable("the shadow log cannot be written") for _ in batch])
        log.error("record.write_failed", rows=len(batch), error=type(error).__name__)
        self._engine.dispose()

    def _settle(self, batch: Sequence[_Waiting], settled: Sequence[Settled]) -> None:
        with self._changed:
            self._pending -= len(batch)
        for waiting, outcome in zip(batch, settled, strict=True):
            try:
                waiting.future.get_loop().call_soon_threadsafe(_resolve, waiting.future, outcome)
            except RuntimeError:
                log.warning("record.caller_gone")  # its event loop is closed; the row stays

    def _report(self, written: int, seconds: float, heads: Heads) -> None:
        self._last_write_timestamp = self._clock()
        self._own_rows.note(heads)
        for table, head in heads.items():
            if table in self._anchors:
                write_anchor(self._anchors[table], head)
        if self._on_commit is None:
            return
        try:
            self._on_commit(written, seconds)
        except Exception as error:  # noqa: BLE001 - not ours; the rows are durable all the same
            log.error("record.callback_failed", error=type(error).__name__)


@cache
def _insert_into(table: Table) -> Insert:
    return insert(table)


def _resolve(future: asyncio.Future[int], outcome: Settled) -> None:
    if future.done():
        return  # the client went away
    if isinstance(outcome, int):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
