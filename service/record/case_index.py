"""Keeps the case index up with the two chained tables; any number of processes may do so."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy import update as sql_update
from sqlalchemy.exc import SQLAlchemyError

from service.core.errors import RecordUnavailable
from service.record.case_columns import BLOCK_CASES, seal, unseal, unseal_until, unsealed
from service.record.case_file import is_damaged, open_index_engine, replace_index_file
from service.record.case_purge import forget_cases, forget_evidence
from service.record.case_rows import (
    apply_evidence,
    case_of,
    count_studies_once,
    join_reports,
)
from service.record.case_tables import (
    INDEX_VERSION,
    SCHEMA,
    case_metadata,
    case_state,
    cases,
)
from service.record.chain import GENESIS
from service.record.database import BEGIN_OPTION
from service.record.gaps import find_gap
from service.record.record import Reader
from service.record.server import COMMAND, Patience
from service.record.tables import evidence_log, shadow_log

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ROWS_PER_STEP = 2000
"""Rows of one transaction: some tens of milliseconds."""

BLOCKS_PER_STEP = 4
"""Likewise."""

_State = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the index is behind the log."""

    done: int
    total: int

    @property
    def is_current(self) -> bool:
        """Whether every row is in it."""
        return self.done >= self.total


class CaseIndex:
    """The index, open for questions and for keeping up.

    Parameters
    ----------
    reader
        The log that it is made of.
    make_anew
        Puts an empty index in place of a damaged one.
    """

    def __init__(self, *, engine: Engine, reader: Reader, make_anew: Callable[[], None]) -> None:
        self._engine = engine
        self._reader = reader
        self._make_anew = make_anew
        self._times_anew = 0
        self._catching_up, self._making_anew = threading.Lock(), threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction for one question, which sees the index as it was at one moment.

        Raises
        ------
        RecordUnavailable
            The index cannot be read.
        """
        engine, seen = self._engine, self._times_anew
        if engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        try:
            with engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            self._mend(error, seen)
            raise RecordUnavailable("the index of the shadow log cannot be read") from error

    def progress(self) -> Progress:
        """Rows that are in it, and rows that there are."""
        with self._reader.reading() as log:
            total = _head_sequence(log, shadow_log) + _head_sequence(log, evidence_log)
        with self.reading() as connection:
            shadow, _, evidence = _read_state(connection)
        return Progress(shadow + evidence, total)

    def catch_up(self, on_progress: Callable[[int], None] = lambda rows: None) -> None:
        """Take in all that was committed before this call; one thread at a time."""
        with self._catching_up:
            while taken := self.step():
                on_progress(taken)
            while self.seal():
                pass

    def step(self) -> int:
        """Take in some rows; returns how many, 0 when there are no more.

        Entries come first: the evidence read before them can only speak of entries that they
        bring.
        """
        with self._writing() as connection:
            state = _read_state(connection)
            with self._reader.reading() as log:
                _forget_purged(connection, log)
                newest_evidence = _head_sequence(log, evidence_log)
                entries = _rows_after(log, shadow_log, state[0])
                evidence = [] if len(entries) == ROWS_PER_STEP else _rows_after(
                    log, evidence_log, state[2], newest_evidence
                )  # fmt: skip
            _take_in(connection, entries, evidence)
            _write_state(connection, _advanced(state, entries, evidence))
        return len(entries) + len(evidence)

    def seal(self) -> int:
        """Hold some more blocks of cases by column; returns how many, 0 when all are."""
        with self._writing() as connection:
            return seal(connection, BLOCKS_PER_STEP)

    def unsealed(self) -> int:
        """Blocks that a page has to read row by row."""
        with self.reading() as connection:
            return len(unsealed(connection))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that no other process shares."""
        engine = self._engine.execution_options(**{BEGIN_OPTION: "BEGIN IMMEDIATE"})
        seen = self._times_anew
        try:
            with engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('cases'))"))
                yield connection
        except SQLAlchemyError as error:
            self._mend(error, seen)
            raise RecordUnavailable("the index of the shadow log cannot be written") from error

    def _mend(self, error: SQLAlchemyError, seen: int) -> None:
        """Begin anew where the file is damaged, unless another thread did since `seen`."""
        if not is_damaged(error):
            return
        with self._making_anew:
            if self._times_anew == seen:
                self._make_anew()
                self._times_anew += 1


def open_case_index(
    url: str, reader: Reader, *, block_cases: int = BLOCK_CASES, patience: Patience = COMMAND
) -> CaseIndex:
    """Open the index beside a shadow log.

    It is made anew if it belongs to another log or release, and whenever its file is found damaged.

    Parameters
    ----------
    block_cases
        Cases that a block of a new index holds; an older one keeps its own.
    patience
        See `open_engine`.

    Raises
    ------
    RecordUnavailable
        It cannot be opened.
    """
    engine = open_index_engine(url, patience)

    def make_anew() -> None:
        engine.dispose()
        try:
            replace_index_file(url)
            _prepare(engine, reader, block_cases)
        except (SQLAlchemyError, OSError) as error:
            raise RecordUnavailable("the index of the shadow log cannot be made anew") from error
        log.warning("record.index_renewed")

    try:
        _prepare(engine, reader, block_cases)
    except SQLAlchemyError as error:
        if not is_damaged(error):
            engine.dispose()
            raise RecordUnavailable("the index of the shadow log cannot be opened") from error
        make_anew()
    return CaseIndex(engine=engine, reader=reader, make_anew=make_anew)


def _prepare(engine: Engine, reader: Reader, block_cases: int) -> None:
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        case_metadata.create_all(connection)
        if not _fits(connection, reader):
            case_metadata.drop_all(connection)
            case_metadata.create_all(connection)
            start = _state_row((0, GENESIS.digest, 0)) | {
                "block_cases": block_cases, "evidence_forgotten": 0,
            }  # fmt: skip
            connection.execute(insert(case_state), [start])


def _fits(connection: Connection, reader: Reader) -> bool:
    """Whether the row up to which the index was made is still that row."""
    # The version alone: an index of an earlier release lacks columns that are asked for below.
    if connection.scalars(select(case_state.c.version)).all() != [INDEX_VERSION]:
        return False
    noted = connection.execute(select(case_state)).one()
    if noted.shadow_sequence == 0:
        return True
    of_row = select(shadow_log.c.row_digest).where(shadow_log.c.sequence == noted.shadow_sequence)
    with reader.reading() as log:
        return bool(log.scalar(of_row) == noted.shadow_digest)


def _read_state(connection: Connection) -> _State:
    row = connection.execute(select(case_state)).one()
    return row.shadow_sequence, row.shadow_digest, row.evidence_sequence


def _write_state(connection: Connection, state: _State) -> None:
    connection.execute(sql_update(case_state).values(**_state_row(state)))


def _state_row(state: _State) -> dict[str, Any]:
    names = ("shadow_sequence", "shadow_digest", "evidence_sequence")
    return {"version": INDEX_VERSION, **dict(zip(names, state, strict=True))}


def _advanced(state: _State, entries: Sequence[Any], evidence: Sequence[Any]) -> _State:
    shadow, digest, newest = state
    if entries:
        shadow, digest = entries[-1]["sequence"], entries[-1]["row_digest"]
    return shadow, digest, evidence[-1]["sequence"] if evidence else newest


def _head_sequence(log: Connection, table: Any) -> int:
    newest = select(table.c.sequence).order_by(table.c.sequence.desc()).limit(1)
    return log.scalar(newest) or 0


def _rows_after(log: Connection, table: Any, after: int, until: int | None = None) -> list[Any]:
    page = select(table).where(table.c.sequence > after)
    if until is not None:
        page = page.where(table.c.sequence <= until)
    found = log.execute(page.order_by(table.c.sequence).limit(ROWS_PER_STEP))
    return list(found.mappings())


def _forget_purged(connection: Connection, log: Connection) -> None:
    """What was purged from the log is no longer here either."""
    gap, told = find_gap(log, shadow_log), find_gap(log, evidence_log)
    oldest = connection.scalar(select(cases.c.sequence).order_by(cases.c.sequence).limit(1))
    if gap is not None and oldest is not None and oldest <= gap.last:
        left = forget_cases(connection, gap.last)
        unseal_until(connection, gap.last)
        unseal(connection, left)
    forgotten = connection.execute(select(case_state.c.evidence_forgotten)).scalar_one()
    if told is not None and told.last > forgotten:
        unseal(connection, forget_evidence(connection, told.last))
        connection.execute(sql_update(case_state).values(evidence_forgotten=told.last))


def _take_in(connection: Connection, entries: Sequence[Any], evidence: Sequence[Any]) -> None:
    if entries:
        made = [case_of(entry) for entry in entries]
        count_studies_once(connection, made)
        join_reports(connection, made)
        connection.execute(insert(cases), made)
    if evidence:
        unseal(connection, apply_evidence(connection, evidence))
