"""The case index -> columns of one window of time, which every statistic starts from."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, func, select

from service.core.findings import Finding
from service.record.case_columns import NONE, Coded, read_columns
from service.record.case_tables import IS_REPORTED, cases
from service.record.entry import Outcome

DAY_SECONDS = 86_400
WINDOW_DAYS = (1, 7, 30, 90, 365, 3650)
NO_LABEL = NONE
"""In label arrays; -1 is unclear, 0 negative, 1 positive."""

EVERYONE = ("sequence", "received", "counts")
"""Columns that every question needs."""

CHOSEN_BY = ("outcome", "model")
"""Columns that decide which cases a question is about."""

FindIds = Callable[[Sequence[int]], Mapping[int, str]]
"""Ids of cases by their sequence numbers; a page shows a few dozen of them."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time from and to, in seconds since 1970.

    Attributes
    ----------
    logged
        When the model's first radiograph came; it may lie before the start, or within.
    """

    start: float
    end: float
    logged: float = -math.inf

    @property
    def days(self) -> float:
        """How many of its days were logged; at least 1, so that no rate is made of an hour."""
        return max((self.end - max(self.start, self.logged)) / DAY_SECONDS, 1.0)


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases of a window, oldest first.

    Attributes
    ----------
    columns
        Arrays of one length by name. NULL is NaN in floats and -2 in small integers.
    """

    span: Span
    model: str | None
    columns: Mapping[str, NDArray[Any] | Coded] = field(repr=False)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One column of numbers."""
        column = self.columns[name]
        return column.codes if isinstance(column, Coded) else column

    def texts(self, name: str) -> Coded:
        """One column of words."""
        column = self.columns[name]
        if not isinstance(column, Coded):
            raise TypeError(f"{name} is no text")
        return column

    def __len__(self) -> int:
        """How many cases."""
        return len(self["sequence"])

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Cases":
        """The cases that are marked or numbered."""
        if isinstance(chosen, np.ndarray) and chosen.dtype == np.bool_ and chosen.all():
            return self
        return Cases(self.span, self.model, {n: c[chosen] for n, c in self.columns.items()})

    def labels(self, finding: Finding, *, use_verdicts: bool = False) -> NDArray[np.int8]:
        """What the reports say; with `use_verdicts` the second reader's word stands above them."""
        told = self[f"report_{finding}"]
        if use_verdicts:
            verdicts = self[f"verdict_{finding}"]
            told = np.where(verdicts == NO_LABEL, told, verdicts)
        return np.asarray(told, np.int8)


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
    newest = told.order_by(cases.c.received.desc())
    reported = newest.where(IS_REPORTED)
    row = connection.execute(reported).first() or connection.execute(newest).first()
    return None if row is None else (row[0], row[1], row[2])


def newest_flagged(
    connection: Connection, finding: Finding, model: tuple[str, str, str]
) -> str | None:
    """Id of the newest radiograph that a model flagged for a finding."""
    flagged = select(cases.c.id).where(
        cases.c.model_digest == model[1],
        cases.c.threshold_digest == model[2],
        cases.c[f"flag_{finding}"] == 1,
    )
    return connection.scalar(flagged.order_by(cases.c.received.desc()).limit(1))


def span_of(connection: Connection, days: int, model: tuple[str, str, str] | None) -> Span:
    """The last days in which a model read; so the log of a retired model still shows them."""
    logged, end = (_extreme(connection, of, model) for of in (func.min, func.max))
    return Span(end - days * DAY_SECONDS, end, logged)


def _extreme(
    connection: Connection,
    of: Callable[[ColumnElement[float]], ColumnElement[float]],
    model: tuple[str, str, str] | None,
) -> float:
    """First or last time of a model; asked apart, since both at once read every row."""
    asked = select(of(cases.c.received))
    if model is not None:
        asked = asked.where(cases.c.model_digest == model[1], cases.c.threshold_digest == model[2])
    return connection.scalar(asked) or 0.0


def load_window(connection: Connection, span: Span, names: Sequence[str]) -> Cases:
    """Read all cases of a window, whatever became of them, oldest first."""
    return _in_order(_read_window(connection, span, names))


def load_cases(
    connection: Connection,
    span: Span,
    *,
    model: str | None = None,
    names: Sequence[str],
    limit: int | None = None,
    only_counted: bool = False,
    outcomes: tuple[Outcome, ...] = (Outcome.EVALUATED,),
) -> Cases:
    """Read cases, oldest first; unless other outcomes are asked for, the evaluated ones.

    Parameters
    ----------
    limit
        Takes the newest so many.
    only_counted
        Leaves out the further images of a study.
    """
    window = _read_window(connection, span, (*names, *CHOSEN_BY))
    chosen = window.texts("outcome").among(*(outcome.value for outcome in outcomes))
    if model is not None:
        chosen &= window.texts("model").among(model)
    if only_counted:
        chosen &= window["counts"] == 1
    kept = Cases(span, model, {name: window.columns[name] for name in names})
    # Replays, the usual ones out of order, are left out before anything is put in order.
    ordered = _in_order(kept.where(chosen))
    return ordered if limit is None else ordered.where(slice(-limit, None))


def find_ids(connection: Connection, sequences: Iterable[int]) -> dict[int, str]:
    """Ids of a few cases."""
    wanted = select(cases.c.sequence, cases.c.id).where(cases.c.sequence.in_(list(sequences)))
    return {row.sequence: row.id for row in connection.execute(wanted)}


def _read_window(connection: Connection, span: Span, names: Sequence[str]) -> Cases:
    """Read all cases of a window in the order of the log."""
    asked = tuple(dict.fromkeys((*EVERYONE, *names)))
    table = read_columns(connection, asked, since=span.start, until=span.end)
    window = Cases(span, None, table)
    received = window["received"]
    return window.where((received >= span.start) & (received <= span.end))


def _in_order(window: Cases) -> Cases:
    if np.all(np.diff(window["received"]) >= 0):
        return window
    return window.where(np.lexsort((window["sequence"], window["received"])))
