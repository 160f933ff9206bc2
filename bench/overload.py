"""More than the service can do: what is answered is answered in time, and the rest is told early.

Arrivals are random and do not wait for answers, as those of a hospital do not; how many there are
is not left to chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import Running
from bench.load import Report
from bench.serving import send
from bench.traffic import EARLY, GAVE_UP, GOOD

DEADLINE_MS = 2000
FACTORS = (0.5, 0.9, 1.2, 2.0)
"""Of the throughput at 32 clients."""


@dataclass(frozen=True, slots=True)
class Overloaded:
    """One rate of arrival.

    Attributes
    ----------
    rate
        Requests that were sent each second.
    goodput
        Answers in time, each second.
    refused, late
        Early 503; answers of any kind after the deadline.
    unanswered, errors
        Requests that got no answer; answers that are neither 200 nor 503.
    """

    factor: float
    rate: float
    goodput: float
    p99_seconds: float
    refused: int
    refused_p99_seconds: float
    late: int
    unanswered: int
    errors: int
    sent: int


def measure_capacity(server: Running, bodies: Path, seconds: float) -> float:
    """Answers a second of 32 callers who wait, with the limits of the service as they are."""
    return send(
        server, bodies, "--clients", "32", "--seconds", str(seconds), "--warm-seconds", "2"
    ).per_second


def overload(
    server: Running, bodies: Path, *, capacity: float, seconds: float,
    factors: Sequence[float] = FACTORS,
) -> list[Overloaded]:  # fmt: skip
    """Every rate in turn."""
    found = []
    for factor in factors:
        report = send(
            server, bodies, "--rate", str(factor * capacity), "--seconds", str(seconds),
            "--warm-seconds", "4", "--deadline-ms", str(DEADLINE_MS),
        )  # fmt: skip
        found.append(_describe(factor, report))
    return found


def _describe(factor: float, report: Report) -> Overloaded:
    good, refused, unanswered = (
        report.statuses.get(str(status), 0) for status in (GOOD, EARLY, GAVE_UP)
    )
    return Overloaded(
        factor=factor, rate=report.offered_per_second, goodput=report.in_time_per_second,
        p99_seconds=report.seconds["p99"], refused=refused,
        refused_p99_seconds=report.early_p99_seconds, late=report.late, unanswered=unanswered,
        errors=report.sent - good - refused - unanswered, sent=report.sent,
    )  # fmt: skip
