"""Rows of the case index by priority, in pages that cost the same however far one has turned."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, func, select

from service.core.findings import ABNORMAL, Finding
from service.core.triage import Priority
from service.record.case_columns import NONE, read_words
from service.record.case_tables import IS_REPORTED, PRIORITY_RANK, cases
from service.record.entry import Outcome
from service.review.cases import DAY_SECONDS, Cases, Span, load_window, newest_time

PAGE_ROWS = 50
DISPUTES_LISTED = PAGE_ROWS // 2
"""As many agreeing cases stand beside them."""

CONTROL_POOL = 4000
"""Newest agreeing cases that lots are drawn among; some milliseconds."""

CURSOR = r"^([0-2]:[0-9]{1,15}(\.[0-9]{1,17})?:[0-9]{1,18})?$"
"""Rank, seconds since 1970 and sequence number of the last row that was shown."""

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
    after: str = Field("", max_length=64, pattern=CURSOR)


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
    first: int
    """Place of the first row among all that the filters let through, from 1."""
    until: str | None
    """When the newest radiograph came, where the window ends; None of an empty log."""

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def read_page(connection: Connection, filters: Filters, *, page_rows: int = PAGE_ROWS) -> Page:
    """Read the page after `filters.after`: urgent first, and within a priority the newest."""
    newest = newest_time(connection)
    end = newest or 0.0
    span = Span(end - filters.days * DAY_SECONDS, end)
    window = load_window(connection, span, ("rank", "outcome", *_asked(filters)))
    chosen = window.where(_marked(window, filters))
    following = _following(chosen, filters.after)
    order = following[: page_rows + 1]
    sequences = chosen["sequence"][order[:page_rows]].tolist()
    found = connection.execute(select(cases).where(cases.c.sequence.in_(sequences)))
    rows = {row.sequence: row for row in found}
    last = None
    if len(order) > page_rows:
        ending = rows[sequences[-1]]
        last = f"{ending.rank}:{ending.received!r}:{ending.sequence}"
    totals = np.bincount(chosen["rank"], minlength=len(RANK_NAME))
    return Page(
        tuple(_row(rows[sequence]) for sequence in sequences),
        last,
        {name: int(totals[rank]) for rank, name in RANK_NAME.items()},
        len(chosen) - len(following) + 1,
        None if newest is None else _moment(newest),
    )


def read_choices(connection: Connection) -> dict[str, list[str]]:
    """Values that the filters can take, however long ago they last came."""
    return {name: sorted(read_words(connection, name)) for name in ("scanner", "model")}


def read_one(connection: Connection, entry_id: str) -> Row | None:
    """One radiograph by its id."""
    row = connection.execute(select(cases).where(cases.c.id == entry_id)).first()
    return None if row is None else _row(row)


def to_adjudicate(
    connection: Connection, draw: Callable[[str], str], limit: int = DISPUTES_LISTED
) -> list[Row]:
    """Cases for a second reading: disagreements, and as many where model and report agree.

    Without the others, being on the list would tell the reader that somebody was wrong.

    Parameters
    ----------
    draw
        Lot of an id, which no reader can guess: what told a control would tell the answer.
    """
    waiting = select(cases).where(cases.c.adjudicated == 0, cases.c.outcome == "evaluated")
    newest = waiting.order_by(cases.c.received.desc())
    disputed = connection.execute(newest.where(cases.c.disagrees == 1).limit(limit)).all()
    since = min((row.received for row in disputed), default=0.0)
    controls = _draw_controls(connection, draw, since, len(disputed))
    agreed = connection.execute(newest.where(cases.c.sequence.in_(controls))).all()
    # By another lot: the controls had the lowest of the first.
    mixed = sorted([*disputed, *agreed], key=lambda row: draw(f"place {row.id}"))
    return [_row(row) for row in mixed]


def _draw_controls(
    connection: Connection, draw: Callable[[str], str], since: float, number: int
) -> list[int]:
    """Sequences of as many agreeing cases of the same days, by lot."""
    pool = (
        select(cases.c.sequence, cases.c.id)
        .where(
            cases.c.adjudicated == 0,
            cases.c.outcome == "evaluated",
            cases.c.disagrees == 0,
            IS_REPORTED,
            cases.c.received >= since,
        )
        .order_by(cases.c.received.desc())
        .limit(CONTROL_POOL)
    )
    lots = sorted((draw(str(row.id)), int(row.sequence)) for row in connection.execute(pool))
    return [sequence for _, sequence in lots[:number]]


def adjudicated(connection: Connection, limit: int = PAGE_ROWS) -> list[tuple[Row, dict[str, str]]]:
    """The newest cases that have a verdict, with it."""
    done = select(cases).where(cases.c.adjudicated == 1).order_by(cases.c.received.desc())
    return [
        (_row(row), {f.value: _label(getattr(row, f"verdict_{f}")) or "none" for f in ABNORMAL})
        for row in connection.execute(done.limit(limit))
    ]


@dataclass(frozen=True, slots=True)
class Readings:
    """How many second readings are open, and how many were given.

    Attributes
    ----------
    open, adjudicated
        Disagreements without a verdict, and with one.
    verdicts
        Radiographs with a verdict, those on which model and report agree among them.
    """

    open: int
    adjudicated: int
    verdicts: int


def count_readings(connection: Connection) -> Readings:
    """Count disagreements and verdicts."""
    counted = (
        select(cases.c.adjudicated, func.count())
        .where(cases.c.disagrees == 1)
        .group_by(cases.c.adjudicated)
    )
    found = {row[0]: row[1] for row in connection.execute(counted)}
    given = select(func.count()).select_from(cases).where(cases.c.adjudicated == 1)
    return Readings(found.get(0, 0), found.get(1, 0), connection.scalar(given) or 0)


def _asked(filters: Filters) -> list[str]:
    """Columns that the filters look at."""
    columns = {
        "scanner": filters.scanner,
        "model": filters.model,
        "warnings": filters.warning,
        "disagrees": filters.only == "disagreement",
        f"flag_{filters.flag}": filters.flag,
    }
    names = [name for name, is_asked in columns.items() if is_asked]
    if filters.only == "candidate_differs":
        names += [f"{part}_{f}" for f in ABNORMAL for part in ("flag", "candidate_flag")]
    return names


def _marked(window: Cases, filters: Filters) -> NDArray[np.bool_]:
    """Which cases the filters let through; replays and conflicts are never shown."""
    shown = (Outcome.EVALUATED.value, Outcome.NOT_EVALUATED.value)
    marked = window.texts("outcome").among(
        *(shown[1:] if filters.only == "not_evaluated" else shown)
    )
    if filters.scanner:
        marked &= window.texts("scanner").among(filters.scanner)
    if filters.model:
        marked &= window.texts("model").among(filters.model)
    if filters.priority:
        marked &= window["rank"] == PRIORITY_RANK[Priority(filters.priority)]
    if filters.flag:
        marked &= window[f"flag_{filters.flag}"] == 1
    if filters.warning:
        warnings = window.texts("warnings")
        holding = [text for text in warnings.words if f",{filters.warning}," in str(text)]
        marked &= warnings.among(*holding)
    if filters.only == "disagreement":
        marked &= window["disagrees"] == 1
    if filters.only == "candidate_differs":
        marked &= np.any([_differs(window, finding) for finding in ABNORMAL], axis=0)
    return marked


def _differs(window: Cases, finding: Finding) -> NDArray[np.bool_]:
    flag, candidate = window[f"flag_{finding}"], window[f"candidate_flag_{finding}"]
    return np.asarray((flag != candidate) & (flag != NONE) & (candidate != NONE), np.bool_)


def _following(chosen: Cases, after: str) -> NDArray[np.intp]:
    """Places of the cases that follow the cursor, in the order of the worklist."""
    ranks, received = chosen["rank"], chosen["received"]
    last_rank, last_received, last_sequence = after.split(":") if after else ("-1", "0", "0")
    lines = []
    for rank in range(max(0, int(last_rank)), len(RANK_NAME)):
        line = np.flatnonzero(ranks == rank)[::-1]
        if rank == int(last_rank):
            moment, sequences = float(last_received), chosen["sequence"][line]
            is_later = (received[line] == moment) & (sequences < int(last_sequence))
            line = line[(received[line] < moment) | is_later]
        lines.append(line)
    return np.concatenate(lines)


def _row(row: Any) -> Row:
    is_evaluated = row.outcome == Outcome.EVALUATED.value
    values = row._mapping
    candidate = None
    if row.candidate is not None and values[f"candidate_flag_{ABNORMAL[0]}"] is not None:
        candidate = tuple(f.value for f in ABNORMAL if values[f"candidate_flag_{f}"])
    return Row(
        id=row.id,
        received_at=_moment(row.received),
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


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
