"""The case index -> columns of one window of time, which every statistic starts from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, func, select

from service.core.findings import Finding
from service.record.case_tables import cases
from service.record.entry import Outcome

DAY_SECONDS = 86_400
WINDOW_DAYS = (1, 7, 30, 90, 365, 3650)
NO_LABEL = -2
"""In label arrays; -1 is unclear, 0 negative, 1 positive."""

EVERYONE = ("sequence", "received", "counts")
"""Columns that every question needs."""

TEXTS = ("id", "scanner", "age_band", "model", "candidate")


@dataclass(frozen=True, slots=True)
class Span:
    """A time from and to, in seconds since 1970."""

    start: float
    end: float

    @property
    def days(self) -> float:
        """Its length; never 0."""
        return max(self.end - self.start, 1.0) / DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Cases:
    """Evaluated cases of one model in a window.

    Attributes
    ----------
    columns
        Arrays of one length by name; numbers are float64 with NaN for NULL.
    """

    span: Span
    model: str | None
    columns: Mapping[str, NDArray[Any]] = field(repr=False)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One column."""
        return self.columns[name]

    def __len__(self) -> int:
        """How many cases."""
        return len(self.columns["sequence"])

    def where(self, chosen: NDArray[np.bool_]) -> "Cases":
        """The cases that are marked."""
        return Cases(self.span, self.model, {n: c[chosen] for n, c in self.columns.items()})

    def labels(self, finding: Finding, *, use_verdicts: bool = False) -> NDArray[np.int8]:
        """What the reports say; with `use_verdicts` the second reader's word stands above them."""
        told = self[f"report_{finding}"]
        if use_verdicts:
            verdicts = self[f"verdict_{finding}"]
            told = np.where(np.isnan(verdicts), told, verdicts)
        return np.asarray(np.nan_to_num(told, nan=NO_LABEL), np.int8)


def newest_time(connection: Connection) -> float | None:
    """When the newest radiograph came; the worklist ends there."""
    newest: float | None = connection.scalar(select(func.max(cases.c.received)))
    return newest


def newest_model(connection: Connection) -> tuple[str, str, str] | None:
    """Name, digest and threshold digest of the model that is reviewed.

    The model of the newest radiograph that has a report; before the first report, of the newest.
    So an upload that somebody tries does not empty every page.
    """
    told = select(cases.c.model, cases.c.model_digest, cases.c.threshold_digest).limit(1)
    reported = told.where(cases.c.read.is_not(None)).order_by(cases.c.read.desc())
    newest = told.order_by(cases.c.received.desc())
    row = connection.execute(reported).first() or connection.execute(newest).first()
    return None if row is None else (row[0], row[1], row[2])


def span_of(connection: Connection, days: int, model: tuple[str, str, str] | None) -> Span:
    """The last days in which a model read; so the log of a retired model still shows them."""
    newest = select(func.max(cases.c.received))
    if model is not None:
        newest = newest.where(
            cases.c.model_digest == model[1], cases.c.threshold_digest == model[2]
        )
    end = connection.scalar(newest) or 0.0
    return Span(end - days * DAY_SECONDS, end)


def load_cases(
    connection: Connection,
    span: Span,
    *,
    model: str | None = None,
    names: Sequence[str],
    limit: int | None = None,
) -> Cases:
    """Read evaluated cases, oldest first.

    Parameters
    ----------
    limit
        Takes the newest so many.
    """
    page: Select[Any] = select(*(cases.c[name] for name in names)).where(
        cases.c.received >= span.start,
        cases.c.received <= span.end,
        cases.c.outcome == Outcome.EVALUATED.value,
    )
    if model is not None:
        page = page.where(cases.c.model == model)
    newest = page.order_by(cases.c.received.desc(), cases.c.sequence.desc())
    rows = connection.execute(newest if limit is None else newest.limit(limit)).all()
    columns = list(zip(*reversed(rows), strict=True)) or [()] * len(names)
    return Cases(
        span,
        model,
        {name: _array(name, column) for name, column in zip(names, columns, strict=True)},
    )


def _array(name: str, column: Sequence[Any]) -> NDArray[Any]:
    if name in TEXTS:
        return np.array(column, dtype=object)
    return np.array(column, dtype=np.float64)
