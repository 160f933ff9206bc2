"""The case index by column: blocks of arrays, so that a page counts a million cases at once.

A block holds the cases of a fixed range of sequence numbers. It is sealed when all of them are
there, and unsealed when evidence changes one of them; what is not sealed is read from the rows.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from service.core.findings import ABNORMAL
from service.record.case_tables import case_blocks, case_columns, case_state, cases

BLOCK_CASES: Final = 8192
"""Of a new index; some tens of milliseconds to read row by row."""
NONE: Final = -2
"""NULL in a column of small integers; NaN in one of floats."""

TEXTS: Final = (
    "outcome", "scanner", "age_band", "model", "model_digest", "threshold_digest", "warnings",
    "candidate",
)  # fmt: skip
"""Columns with few distinct values."""

DTYPES: Final[Mapping[str, str]] = {
    "sequence": "<i8",
    "received": "<f8",
    **dict.fromkeys(("rank", "counts", "disagrees"), "i1"),
    **dict.fromkeys(TEXTS, "<u2"),
    **{
        f"{part}_{finding}": dtype
        for finding in ABNORMAL
        for part, dtype in (
            ("score", "<f8"),
            ("flag", "i1"),
            ("report", "i1"),
            ("verdict", "i1"),
            ("candidate_score", "<f8"),
            ("candidate_flag", "i1"),
        )
    },
}

Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Coded:
    """A text column as numbers of words."""

    codes: NDArray[np.uint16]
    words: tuple[str | None, ...]

    def among(self, *wanted: str | None) -> NDArray[np.bool_]:
        """Which rows hold one of these words."""
        known = np.array([word in wanted for word in self.words], np.bool_)
        return known[self.codes]

    def word(self, row: int) -> str | None:
        """The text of one row."""
        return self.words[int(self.codes[row])]

    def __getitem__(self, chosen: Any) -> "Coded":
        """The rows that are marked or numbered."""
        return Coded(self.codes[chosen], self.words)


Table = dict[str, Numbers | Coded]
"""Columns of one length by name."""


def read_columns(
    connection: Connection,
    names: Sequence[str],
    *,
    since: float = -math.inf,
    until: float = math.inf,
) -> Table:
    """Read columns of all cases in a window, and of some beside it, by sequence.

    Sealed blocks come whole, so the caller looks at `received` again.
    """
    spans = list(connection.execute(select(case_blocks)))
    sealed = {span.block for span in spans}
    inside = {span.block for span in spans if span.last >= since and span.first <= until}
    parts: dict[int, Table] = {block: {} for block in inside}
    if inside:
        _read_sealed(connection, names, parts)
    in_window = (cases.c.received >= since, cases.c.received <= until)
    size = _block_cases(connection)
    for first, last in _ranges(_missing(connection, sealed, size)):
        parts[first] = _read_rows(connection, names, *_within(first, last, size), *in_window)
    ordered = [parts[block] for block in sorted(parts)]
    return {name: _joined(name, [part[name] for part in ordered]) for name in names}


def read_words(connection: Connection, name: str) -> set[str]:
    """Every word of one of `TEXTS` over all cases: what sealed blocks list, and the rows beside."""
    lists = select(case_columns.c.words).where(case_columns.c.name == name).distinct()
    words = {word for told in connection.scalars(lists) for word in json.loads(told)}
    sealed, size = set(connection.scalars(select(case_blocks.c.block))), _block_cases(connection)
    for first, last in _ranges(_missing(connection, sealed, size)):
        beside = select(cases.c[name]).where(*_within(first, last, size)).distinct()
        words.update(connection.scalars(beside))
    return words - {None}


def seal(connection: Connection, limit: int) -> int:
    """Hold some more blocks by column; returns how many.

    The block of the newest case is never sealed: it still grows.
    """
    size = _block_cases(connection)
    newest = (connection.scalar(select(func.max(cases.c.sequence))) or 0) // size
    blocks = [block for block in unsealed(connection) if block < newest][:limit]
    for block in blocks:
        _write(
            connection, block, _read_rows(connection, list(DTYPES), *_within(block, block, size))
        )
    return len(blocks)


def unsealed(connection: Connection) -> list[int]:
    """Blocks that are read from the rows, oldest first."""
    sealed = set(connection.scalars(select(case_blocks.c.block)))
    return _missing(connection, sealed, _block_cases(connection))


def unseal(connection: Connection, sequences: Iterable[int]) -> None:
    """Drop the blocks of cases that have changed."""
    size = _block_cases(connection)
    blocks = sorted({sequence // size for sequence in sequences})
    if blocks:
        for table in (case_blocks, case_columns):
            connection.execute(delete(table).where(table.c.block.in_(blocks)))


def unseal_until(connection: Connection, sequence: int) -> None:
    """Drop the blocks of cases that were purged."""
    last = sequence // _block_cases(connection)
    for table in (case_blocks, case_columns):
        connection.execute(delete(table).where(table.c.block <= last))


def first_stray_block(connection: Connection) -> int | None:
    """Where the first sealed block begins whose columns are not those of its rows."""
    size = _block_cases(connection)
    for block in connection.scalars(select(case_blocks.c.block).order_by(case_blocks.c.block)):
        made = _stored(block, _read_rows(connection, list(DTYPES), *_within(block, block, size)))
        kept = select(case_columns).where(case_columns.c.block == block)
        found = [dict(row) for row in connection.execute(kept).mappings()]
        if sorted(map(str, found)) != sorted(map(str, made)):
            return max(1, int(block) * size)
    return None


def _block_cases(connection: Connection) -> int:
    size: int = connection.execute(select(case_state.c.block_cases)).scalar_one()
    return size


def _missing(connection: Connection, sealed: set[int], size: int) -> list[int]:
    # Each for itself: SQLite looks both up in the index, and asked together it reads all rows.
    oldest = connection.scalar(select(func.min(cases.c.sequence)))
    newest = connection.scalar(select(func.max(cases.c.sequence)))
    if oldest is None or newest is None:
        return []
    every = range(oldest // size, newest // size + 1)
    return [block for block in every if block not in sealed]


def _ranges(blocks: Sequence[int]) -> list[tuple[int, int]]:
    """[3, 4, 7] -> [(3, 4), (7, 7)]."""
    found: list[tuple[int, int]] = []
    for block in blocks:
        if found and found[-1][1] == block - 1:
            found[-1] = (found[-1][0], block)
        else:
            found.append((block, block))
    return found


def _within(first: int, last: int, size: int) -> tuple[ColumnElement[bool], ...]:
    return cases.c.sequence >= first * size, cases.c.sequence < (last + 1) * size


def _read_rows(
    connection: Connection, names: Sequence[str], *conditions: ColumnElement[bool]
) -> Table:
    chosen = select(*(cases.c[name] for name in names)).where(*conditions)
    rows = connection.execute(chosen.order_by(cases.c.sequence)).all()
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: _packed(name, column) for name, column in zip(names, columns, strict=True)}


def _read_sealed(connection: Connection, names: Sequence[str], parts: Mapping[int, Table]) -> None:
    for name in names:
        found = connection.execute(
            select(case_columns.c.block, case_columns.c.words, case_columns.c.data).where(
                case_columns.c.name == name,
                case_columns.c.block >= min(parts),
                case_columns.c.block <= max(parts),
            )
        )
        for block, words, data in found:
            if block in parts:
                numbers = np.frombuffer(data, DTYPES[name])
                told = None if words is None else tuple(json.loads(words))
                parts[block][name] = numbers if told is None else Coded(numbers, told)


def _write(connection: Connection, block: int, table: Table) -> None:
    received = np.asarray(table["received"])
    first, last = received.min(initial=math.inf), received.max(initial=-math.inf)
    span = {"block": block, "first": float(first), "last": float(last)}
    connection.execute(insert(case_blocks), [span])
    connection.execute(insert(case_columns), _stored(block, table))


def _stored(block: int, table: Table) -> list[dict[str, object]]:
    """Rows of `case_columns`."""
    rows: list[dict[str, object]] = []
    for name, column in table.items():
        numbers, words = column, None
        if isinstance(column, Coded):
            numbers, words = column.codes, json.dumps(column.words)
        data = np.asarray(numbers).tobytes()
        rows.append({"name": name, "block": block, "words": words, "data": data})
    return rows


def _packed(name: str, column: Sequence[Any]) -> Numbers | Coded:
    if name in TEXTS:
        words = {word: code for code, word in enumerate(dict.fromkeys(column))}
        return Coded(np.array([words[word] for word in column], DTYPES[name]), tuple(words))
    if DTYPES[name] == "i1":
        column = [NONE if value is None else value for value in column]
    return np.array(column, DTYPES[name])


def _joined(name: str, parts: Sequence[Numbers | Coded]) -> Numbers | Coded:
    if name not in TEXTS:
        plain = [part for part in parts if isinstance(part, np.ndarray)]
        return np.concatenate(plain) if plain else np.zeros(0, DTYPES[name])
    words: dict[str | None, int] = {}
    codes = []
    for part in parts:
        if isinstance(part, Coded):
            own = [words.setdefault(word, len(words)) for word in part.words]
            codes.append(np.array(own, np.uint16)[part.codes])
    return Coded(np.concatenate(codes) if codes else np.zeros(0, np.uint16), tuple(words))
