"""Replays the log's arrivals through a reading room: who would have waited how long."""

from collections import deque
from collections.abc import Generator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from service.core.findings import ABNORMAL
from service.review.cases import Cases

RANKS = 3
SEED = 1
"""Every discipline reads the same radiographs in the same times."""

Floats = NDArray[np.float64]
_Process = Generator[simpy.Event, Any, None]


class Discipline(StrEnum):
    """Who is read next."""

    FIRST_COME = "first_come"
    PRIORITY = "priority"
    CAPPED = "capped"
    """By priority, but who has waited longer than the cap goes first."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Minutes from arrival to the start of reading, of one group; None without a case."""

    cases: int
    mean: float | None
    p95: float | None
    longest: float | None


@dataclass(frozen=True, slots=True)
class DisciplineResult:
    """One discipline: all cases, the positive ones, and those that the model missed."""

    discipline: Discipline
    everyone: Waits
    positive: Waits
    missed: Waits


@dataclass(frozen=True, slots=True)
class QueueReport:
    """The reading room under each discipline."""

    model: str | None
    cases: int
    readers: int
    utilisation: float
    reading_minutes: float
    cap_minutes: float
    results: tuple[DisciplineResult, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def replay(cases: Cases, *, readers: int, utilisation: float, cap_minutes: float) -> QueueReport:
    """Send the arrivals of the log through the reading room under each discipline.

    Parameters
    ----------
    utilisation
        Share of their time that the readers read; it sets how long one reading takes on average.
        Single reading times are drawn from an exponential distribution.
    """
    arrivals = (cases["received"] - cases.span.start) / 60
    room_minutes = float(arrivals[-1] - arrivals[0]) if len(cases) > 1 else 0.0
    mean = utilisation * readers * room_minutes / max(1, len(cases))
    readings = np.random.default_rng(SEED).exponential(mean, len(cases)) if mean else arrivals * 0
    ranks = cases["rank"].astype(np.int64)
    positive = np.any([cases.labels(finding) == 1 for finding in ABNORMAL], axis=0)
    missed = np.any([(cases.labels(f) == 1) & (cases[f"flag_{f}"] == 0) for f in ABNORMAL], axis=0)
    results = []
    for discipline in Discipline:
        waits = simulate_waits(
            arrivals, ranks, readings, readers=readers, discipline=discipline,
            cap_minutes=cap_minutes,
        )  # fmt: skip
        results.append(
            DisciplineResult(
                discipline, _waits(waits), _waits(waits[positive]), _waits(waits[missed])
            )
        )
    return QueueReport(
        cases.model, len(cases), readers, utilisation, mean, cap_minutes, tuple(results)
    )


def simulate_waits(
    arrivals: Floats,
    ranks: NDArray[np.int64],
    readings: Floats,
    *,
    readers: int,
    discipline: Discipline,
    cap_minutes: float,
) -> Floats:
    """Minutes that each case waits, in the order of arrival.

    Parameters
    ----------
    arrivals
        (N,) minutes, ascending.
    ranks
        (N,) 0 is read first; only the disciplines with a priority look at it.
    readings
        (N,) minutes that each reading takes.
    """
    room = _ReadingRoom(arrivals, ranks, readings, discipline, cap_minutes)
    for _ in range(readers):
        room.environment.process(room.read())
    room.environment.process(room.arrive())
    room.environment.run()
    return room.waits


class _ReadingRoom:
    def __init__(
        self,
        arrivals: Floats,
        ranks: NDArray[np.int64],
        readings: Floats,
        discipline: Discipline,
        cap_minutes: float,
    ) -> None:
        self.environment = simpy.Environment()
        self.waits = np.zeros(len(arrivals))
        self._arrivals = arrivals.tolist()
        self._ranks = [0] * len(arrivals) if discipline is Discipline.FIRST_COME else ranks.tolist()
        self._readings = readings.tolist()
        self._cap = cap_minutes if discipline is Discipline.CAPPED else np.inf
        self._lines: tuple[deque[int], ...] = tuple(deque() for _ in range(RANKS))
        self._work = simpy.Store(self.environment)

    def arrive(self) -> _Process:
        """Each case joins the line of its rank at its time."""
        for case, at in enumerate(self._arrivals):
            if at > self.environment.now:
                yield self.environment.timeout(at - self.environment.now)
            self._lines[self._ranks[case]].append(case)
            self._work.put(None)

    def read(self) -> _Process:
        """One reader: take the next case, read it, and so on."""
        while True:
            yield self._work.get()
            case = self._next()
            self.waits[case] = self.environment.now - self._arrivals[case]
            yield self.environment.timeout(self._readings[case])

    def _next(self) -> int:
        standing = [line for line in self._lines if line]
        oldest = min(standing, key=lambda line: line[0])
        if self.environment.now - self._arrivals[oldest[0]] > self._cap:
            return oldest.popleft()
        return standing[0].popleft()


def _waits(minutes: Floats) -> Waits:
    if not len(minutes):
        return Waits(0, None, None, None)
    return Waits(
        len(minutes),
        float(minutes.mean()),
        float(np.percentile(minutes, 95)),
        float(minutes.max()),
    )
