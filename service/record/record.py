"""The open shadow log: what the rest of the service holds in its hand."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import SQLAlchemyError

from service.core.errors import RecordUnavailable
from service.record import queries
from service.record.anchor import read_anchor
from service.record.chain import GENESIS, Break, Fault, Head, VerifyReport, verify
from service.record.database import create_private_file, open_engine, path_beside
from service.record.entry import Entry
from service.record.evidence import Evidence
from service.record.gaps import find_gap
from service.record.pseudonyms import Pseudonymiser
from service.record.queries import LoggedEntry, Upload
from service.record.schema import check_schema, migrate
from service.record.server import LOCK_SECONDS, SERVING
from service.record.tables import CHAINED, evidence_log, shadow_log
from service.record.writer import OnCommit, Recorder

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ANCHOR_SUFFIX = {shadow_log: ".head", evidence_log: ".evidence.head"}
"""The anchor of `shadow.db` is `shadow.db.head`."""

READ_THREADS = 2
"""Look-ups beside the writer; each takes well under a millisecond."""


class Reader:
    """Reads the shadow log; may be used from any thread, and blocks it.

    Every method raises `RecordUnavailable` where the database cannot be read.
    """

    def __init__(self, *, engine: Engine, anchors: Mapping[Table, Path]) -> None:
        self._engine = engine
        self._anchors = dict(anchors)

    def find_answer(self, upload: Upload) -> Entry | None:
        """Find the row whose answer is repeated; see `queries.find_answer`."""
        with self._reading() as connection:
            return queries.find_answer(connection, upload)

    def rows(self, after_sequence: int = 0, limit: int = 1000) -> list[LoggedEntry]:
        """Read rows in order, at most `limit` of those after `after_sequence`."""
        with self._reading() as connection:
            return queries.rows(connection, after_sequence, limit)

    def count(self) -> int:
        """Count the rows."""
        with self._reading() as connection:
            return queries.count(connection)

    def head(self) -> Head:
        """Read the last row's number and digest: note it elsewhere, and it is an anchor."""
        with self._reading() as connection:
            return queries.read_head(connection)

    def newest_seconds(self) -> float:
        """Unix time at which the radiograph of the last row was received; 0 without a row."""
        with self._reading() as connection:
            return queries.newest_seconds(connection)

    def verify(
        self,
        *anchors: Head,
        table: Table = shadow_log,
        signer: Pseudonymiser | None = None,
    ) -> VerifyReport:
        """Walk the whole chain of a table, against `anchors` and the one beside the database.

        Parameters
        ----------
        signer
            Holds the site key, which must have signed a purge; None believes the chained row.
        """
        beside = self._read_anchor(table)
        noted = anchors if beside is None else (*anchors, beside)
        with self._reading() as connection:
            gap = find_gap(connection, table)
            if gap is not None and signer is not None and not gap.is_signed_by(signer):
                return VerifyReport(GENESIS, Break(1, Fault.GAP_UNSIGNED))
            after = GENESIS if gap is None else gap.head
            return verify(connection, *noted, table=table, after=after)

    def has_anchor(self, table: Table) -> bool:
        """Whether a head of this table is noted beside the database, and can be read."""
        return self._read_anchor(table) is not None

    def check_anchor(self) -> None:
        """Refuse a log that lost rows from its end: writing on would hide it.

        Raises
        ------
        RecordUnavailable
            The anchored row is not there, or is another one.
        """
        # Before the log: of rows that others write meanwhile it may hold more than was anchored.
        anchors = {table: self._read_anchor(table) for table in CHAINED}
        with self._reading() as connection:
            for table, anchor in anchors.items():
                if anchor is not None and not queries.has_row(connection, anchor, table):
                    name = table.name.replace("_", " ")
                    raise RecordUnavailable(
                        f"the {name} does not hold row {anchor.sequence}, which its anchor notes"
                    )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction for questions that this class has no method for."""
        with self._reading() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            log.error("record.read_failed", error=type(error).__name__)
            raise RecordUnavailable("the shadow log cannot be read") from error

    def _read_anchor(self, table: Table) -> Head | None:
        return read_anchor(self._anchors[table]) if table in self._anchors else None


class Record:
    """The shadow log, open for writing."""

    def __init__(self, *, reader: Reader, recorder: Recorder) -> None:
        self.reader = reader
        self.recorder = recorder
        self._threads = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="record-read")

    async def append(self, entry: Entry) -> int:
        """Write one row durably and return its sequence; see `Recorder.append`."""
        return await self.recorder.append(entry)

    async def note(self, evidence: Evidence) -> int:
        """Write one row of evidence durably and return its sequence; see `Recorder.note`."""
        return await self.recorder.note(evidence)

    async def find_answer(self, upload: Upload) -> Entry | None:
        """Find the row whose answer a repeated upload gets again; None means evaluate.

        Raises
        ------
        ReplayConflict
            The SOP instance was answered before with other pixels.
        RecordUnavailable
            The database cannot be read.
        """
        if upload.sop_instance is None:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.reader.find_answer, upload)

    async def can_write(self) -> bool:
        """Try it; see `Recorder.can_write`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.recorder.can_write)

    def verify(self, *anchors: Head) -> VerifyReport:
        """Walk the whole chain; blocks the calling thread."""
        return self.reader.verify(*anchors)

    async def close(self) -> None:
        """Write all that waits, then close; may be called again.

        A database that hangs is left after a while, and what waited for it has no row.
        """
        has_ended = await asyncio.to_thread(self.recorder.close)
        self._threads.shutdown(wait=has_ended, cancel_futures=True)
        self.reader.close()
        log.info("record.closed")


def open_record(
    url: str,
    *,
    max_pending: int = 1024,
    max_rows: int = 256,
    lock_seconds: float = LOCK_SECONDS,
    on_commit: OnCommit | None = None,
    clock: Callable[[], float] = time.time,
) -> Record:
    """Open the shadow log for writing, creating or migrating it first.

    Parameters
    ----------
    url
        SQLAlchemy address: `sqlite:///shadow.db`, `postgresql+pg8000://...`.
    max_pending, max_rows, on_commit, clock
        See `Recorder`.
    lock_seconds
        Longest wait for another process that writes.

    Raises
    ------
    RecordUnavailable
        Cannot be opened, has an unknown schema, or lost rows from its end.
    """
    engine = open_engine(url, lock_seconds=lock_seconds, patience=SERVING)
    anchors = anchors_beside(url)
    reader = Reader(engine=engine, anchors=anchors)
    with ExitStack() as on_failure:
        on_failure.callback(reader.close)
        create_private_file(url)
        migrate(engine)
        reader.check_anchor()
        head, written_seconds = reader.head(), reader.newest_seconds()
        on_failure.pop_all()
    log.info("record.opened", sequence=head.sequence, digest=head.digest)
    recorder = Recorder(
        engine=engine,
        known={shadow_log: head},
        anchors=anchors,
        written_seconds=written_seconds,
        max_pending=max_pending,
        max_rows=max_rows,
        on_commit=on_commit,
        clock=clock,
    )
    return Record(reader=reader, recorder=recorder)


def open_reader(url: str) -> Reader:
    """Open an existing shadow log for reading; never creates or migrates one.

    Raises
    ------
    RecordUnavailable
        There is no such file, or another release wrote it.
    """
    path = path_beside(url, "")
    if path is not None and not path.exists():
        raise RecordUnavailable("there is no shadow log to read")
    engine = open_engine(url)
    check_schema(engine)
    return Reader(engine=engine, anchors=anchors_beside(url))


def anchors_beside(url: str) -> dict[Table, Path]:
    """The anchor file of each table; none for a server."""
    beside = {table: path_beside(url, suffix) for table, suffix in ANCHOR_SUFFIX.items()}
    return {table: path for table, path in beside.items() if path is not None}
