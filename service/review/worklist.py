"""Rows of the case index by priority, in pages that cost the same however far one has turned."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from service.core.findings import ABNORMAL
from service.core.triage import Priority
from service.record.case_tables import PRIORITY_RANK, cases
from service.record.entry import Outcome
from service.review.cases import DAY_SECONDS, newest_time

PAGE_ROWS = 50
CONTROL_SUFFIX = ("0", "1", "2", "3")
"""Ids end in a random digit: a quarter of the agreeing cases can be a control."""

Rank = dict[int, str]
RANK_NAME: Rank = {rank: priority.value for priority, rank in PRIORITY_RANK.items()}
LABEL_NAME = {1: "positive", 0: "negative", -1: "unclear"}


class Filters(BaseModel):
    """What a worklist shows; empty shows everything of the last day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(1, ge=1, le=3650)
    scanner: str = Field("", max_length=64)
    model: str = Field("", max_length=128)
    priority: Literal["", "urgent", "review", "routine"] = ""
    flag: Literal["", "pneumonia", "tuberculosis"] = ""
    warning: str = Field("", max_length=64)
    only: Literal["", "disagreement", "not_evaluated", "candidate_differs"] = ""
    after: str = Field("", max_length=64, pattern=r"^([0-2]:[0-9.]+:[0-9]+)?$")


@dataclass(frozen=True, slots=True)
class Row:
    """One radiograph of a worklist."""

    id: str
    received_at: str
    scanner: str
    age_band: str
    model: str
    outcome: str
    reason: str | None
    priority: str | None
    flags: tuple[str, ...]
    scores: dict[str, float | None]
    reports: dict[str, str | None]
    candidate_flags: tuple[str, ...] | None
    warnings: tuple[str, ...]
    disagrees: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and where the next page begins; None at the end."""

    rows: tuple[Row, ...]
    next: str | None
    totals: dict[str, int]

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def read_page(connection: Connection, filters: Filters, *, page_rows: int = PAGE_ROWS) -> Page:
    """Read the page after `filters.after`: urgent first, and within a priority the newest."""
    conditions = _conditions(connection, filters)
    found: list[Any] = []
    for rank in RANK_NAME:
        missing = page_rows + 1 - len(found)
        if missing > 0:
            found += connection.execute(_of_rank(rank, conditions, filters.after, missing)).all()
    rows, last = found[:page_rows], None
    if len(found) > page_rows:
        last = f"{rows[-1].rank}:{rows[-1].received!r}:{rows[-1].sequence}"
    return Page(tuple(_row(row) for row in rows), last, _totals(connection, conditions))


def read_choices(connection: Connection) -> dict[str, list[str]]:
    """Values that the filters can take."""
    names = {"scanner": cases.c.scanner, "model": cases.c.model}
    return {name: sorted(_distinct(connection, column)) for name, column in names.items()}


def read_one(connection: Connection, entry_id: str) -> Row | None:
    """One radiograph by its id."""
    row = connection.execute(select(cases).where(cases.c.id == entry_id)).first()
    return None if row is None else _row(row)


def to_adjudicate(connection: Connection, limit: int = PAGE_ROWS) -> list[Row]:
    """Cases for a second reading: disagreements, and as many where model and report agree.

    Without the others, being on the list would tell the reader that somebody was wrong.
    """
    waiting = select(cases).where(cases.c.adjudicated == 0, cases.c.outcome == "evaluated")
    newest = waiting.order_by(cases.c.received.desc())
    disputed = connection.execute(newest.where(cases.c.disagrees == 1).limit(limit // 2)).all()
    since = min((row.received for row in disputed), default=0.0)
    controls = newest.where(
        cases.c.disagrees == 0,
        cases.c.read.is_not(None),
        cases.c.received >= since,
        or_(*(cases.c.id.endswith(digit) for digit in CONTROL_SUFFIX)),
    )
    agreed = connection.execute(controls.limit(len(disputed))).all()
    mixed = sorted([*disputed, *agreed], key=lambda row: row.id[-6:])
    return [_row(row) for row in mixed]


def adjudicated(connection: Connection, limit: int = PAGE_ROWS) -> list[tuple[Row, dict[str, str]]]:
    """The newest cases that have a verdict, with it."""
    done = select(cases).where(cases.c.adjudicated == 1).order_by(cases.c.received.desc())
    return [
        (_row(row), {f.value: _label(getattr(row, f"verdict_{f}")) or "none" for f in ABNORMAL})
        for row in connection.execute(done.limit(limit))
    ]


def count_disagreements(connection: Connection) -> tuple[int, int]:
    """Open and adjudicated disagreements."""
    counted = (
        select(cases.c.adjudicated, func.count())
        .where(cases.c.disagrees == 1)
        .group_by(cases.c.adjudicated)
    )
    found = {row[0]: row[1] for row in connection.execute(counted)}
    return found.get(0, 0), found.get(1, 0)


def _distinct(connection: Connection, column: ColumnElement[str]) -> Iterator[str]:
    """Step from value to value; a plain DISTINCT reads every row."""
    recent = select(cases.c.sequence).order_by(cases.c.sequence.desc()).limit(20_000).subquery()
    values = select(column).where(cases.c.sequence.in_(select(recent.c.sequence))).distinct()
    yield from (row[0] for row in connection.execute(values))


def _conditions(connection: Connection, filters: Filters) -> list[ColumnElement[bool]]:
    since = (newest_time(connection) or 0.0) - filters.days * DAY_SECONDS
    flags = {finding.value: cases.c[f"flag_{finding}"] == 1 for finding in ABNORMAL}
    differs = or_(*(cases.c[f"flag_{f}"] != cases.c[f"candidate_flag_{f}"] for f in ABNORMAL))
    asked: dict[str, tuple[bool, ColumnElement[bool]]] = {
        "since": (True, cases.c.received >= since),
        "scanner": (bool(filters.scanner), cases.c.scanner == filters.scanner),
        "model": (bool(filters.model), cases.c.model == filters.model),
        "priority": (
            bool(filters.priority),
            cases.c.rank == (PRIORITY_RANK[Priority(filters.priority)] if filters.priority else 0),
        ),
        "flag": (bool(filters.flag), flags[filters.flag or "pneumonia"]),
        "warning": (
            bool(filters.warning),
            cases.c.warnings.contains(f",{filters.warning},", autoescape=True),
        ),
        "disagreement": (filters.only == "disagreement", cases.c.disagrees == 1),
        "not_evaluated": (
            filters.only == "not_evaluated", cases.c.outcome == Outcome.NOT_EVALUATED.value,
        ),
        "differs": (filters.only == "candidate_differs", differs),
        "shown": (True, cases.c.outcome.in_(("evaluated", "not_evaluated"))),
    }  # fmt: skip
    return [condition for is_asked, condition in asked.values() if is_asked]


def _of_rank(rank: int, conditions: list[ColumnElement[bool]], after: str, limit: int) -> Any:
    page = select(cases).where(cases.c.rank == rank, *conditions)
    if after:
        last_rank, received, sequence = after.split(":")
        if rank < int(last_rank):
            page = page.where(cases.c.sequence < 0)
        elif rank == int(last_rank):
            page = page.where(
                or_(
                    cases.c.received < float(received),
                    and_(cases.c.received == float(received), cases.c.sequence < int(sequence)),
                )
            )
    return page.order_by(cases.c.received.desc(), cases.c.sequence.desc()).limit(limit)


def _totals(connection: Connection, conditions: list[ColumnElement[bool]]) -> dict[str, int]:
    counted = select(cases.c.rank, func.count()).where(*conditions).group_by(cases.c.rank)
    found = {row[0]: row[1] for row in connection.execute(counted)}
    return {name: found.get(rank, 0) for rank, name in RANK_NAME.items()}


def _row(row: Any) -> Row:
    is_evaluated = row.outcome == Outcome.EVALUATED.value
    values = row._mapping
    candidate = None
    if row.candidate is not None:
        candidate = tuple(f.value for f in ABNORMAL if values[f"candidate_flag_{f}"])
    return Row(
        id=row.id,
        received_at=datetime.fromtimestamp(row.received, UTC).isoformat(timespec="seconds"),
        scanner=row.scanner,
        age_band=row.age_band,
        model=row.model,
        outcome=row.outcome,
        reason=row.reason,
        priority=RANK_NAME[row.rank] if is_evaluated else None,
        flags=tuple(f.value for f in ABNORMAL if values[f"flag_{f}"]),
        scores={f.value: values[f"score_{f}"] for f in ABNORMAL},
        reports={f.value: _label(values[f"report_{f}"]) for f in ABNORMAL},
        candidate_flags=candidate,
        warnings=tuple(code for code in row.warnings.split(",") if code),
        disagrees=bool(row.disagrees),
    )


def _label(number: int | None) -> str | None:
    return None if number is None else LABEL_NAME[number]
