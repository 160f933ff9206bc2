"""Draws months of a hospital that never was: arrivals, scanners, truth, scores, reports, drift.

Nothing here is measured; the numbers are chosen so that every review page has something to show:
one finding that is common enough to judge, one that is rare, and one scanner whose new software
raises false flags from two thirds of the time on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from service.core.findings import ABNORMAL, Finding

HOURLY = np.array([
    2, 2, 2, 2, 2, 3, 5, 9, 14, 17, 18, 16, 13, 14, 15, 14, 12, 9, 7, 6, 5, 4, 3, 3,
]) / 197  # fmt: skip
"""Share of a weekday's radiographs in each hour."""

WEEKEND_RATIO = 0.45
SCANNERS = {"er-1": 0.38, "er-2": 0.24, "ward-mobile": 0.22, "outpatient": 0.16}
DRIFTING = "er-2"
DRIFT_STARTS = 0.66
DRIFT_LOG_ODDS = 1.4

PREVALENCE = {Finding.PNEUMONIA: 0.09, Finding.TUBERCULOSIS: 0.012}
WINTER_RATIO = 0.35
"""Pneumonia swings by this share over the year."""

EVIDENCE = {
    Finding.PNEUMONIA: ((-3.0, 1.5), (2.4, 1.7)),
    Finding.TUBERCULOSIS: ((-4.4, 1.4), (1.9, 1.8)),
}
"""Log-odds against the rest: mean and deviation without the finding, and with it."""

CANDIDATE_GAIN = 0.45
CANDIDATE_OWN_NOISE = 0.8
REASONS = ("VIEW_LATERAL", "AGE_OUT_OF_SCOPE", "NOT_A_CHEST_RADIOGRAPH", "FOR_PROCESSING")
WARNINGS = ("VIEW_AP", "AGE_UNKNOWN", "LOSSY_COMPRESSION", "BURNED_IN_ANNOTATION")
AGE_SHAPE = (62.0, 19.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SimulatedStudy:
    """One radiograph of the simulation.

    Attributes
    ----------
    log_odds, candidate_log_odds
        By finding, for champion and candidate.
    reason
        Why it is not evaluated; None for most.
    read_seconds
        From arrival to report; None where no report ever comes.
    outcomes
        What the report says: positive, negative or unclear.
    """

    received_at: datetime
    scanner: str
    age_years: float | None
    truth: dict[Finding, bool]
    log_odds: dict[Finding, float]
    candidate_log_odds: dict[Finding, float]
    reason: str | None
    warnings: tuple[str, ...]
    read_seconds: float | None
    outcomes: dict[Finding, str]


def draw_days(
    *, start: datetime, days: int, per_day: float, random: np.random.Generator
) -> Iterator[list[SimulatedStudy]]:
    """Yield the radiographs of one day after the other, each day in order of arrival."""
    for day in range(days):
        midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        midnight += timedelta(days=day)
        weekday = WEEKEND_RATIO if midnight.weekday() >= 5 else 1.0
        count = int(random.poisson(per_day * weekday * 7 / (5 + 2 * WEEKEND_RATIO)))
        hours = np.sort(random.choice(24, count, p=HOURLY) + random.random(count))
        has_drifted = day >= DRIFT_STARTS * days
        yield [
            _draw_study(midnight + timedelta(hours=float(hour)), has_drifted, random)
            for hour in hours
        ]


def _draw_study(
    received_at: datetime, has_drifted: bool, random: np.random.Generator
) -> SimulatedStudy:
    scanner = str(random.choice(list(SCANNERS), p=list(SCANNERS.values())))
    truth = _draw_truth(received_at, scanner, random)
    shift = DRIFT_LOG_ODDS if has_drifted and scanner == DRIFTING else 0.0
    log_odds, candidate = {}, {}
    for finding in ABNORMAL:
        mean, deviation = EVIDENCE[finding][truth[finding]]
        noise = random.normal()
        log_odds[finding] = mean + deviation * noise + shift
        sign = 1 if truth[finding] else -1
        own = random.normal() * CANDIDATE_OWN_NOISE
        candidate[finding] = mean + deviation * noise + sign * CANDIDATE_GAIN + own + shift / 4
    is_read = random.random() < 0.94
    return SimulatedStudy(
        received_at=received_at,
        scanner=scanner,
        age_years=_draw_age(random),
        truth=truth,
        log_odds=log_odds,
        candidate_log_odds=candidate,
        reason=str(random.choice(REASONS)) if random.random() < 0.035 else None,
        warnings=tuple(code for code in WARNINGS if random.random() < 0.05),
        read_seconds=_draw_reading(received_at, random) if is_read else None,
        outcomes={finding: _draw_outcome(truth[finding], random) for finding in ABNORMAL},
    )


def _draw_truth(
    received_at: datetime, scanner: str, random: np.random.Generator
) -> dict[Finding, bool]:
    """At most one finding; the emergency room sees more of both, winter more pneumonia."""
    season = np.cos(2 * np.pi * (received_at.timetuple().tm_yday - 20) / 365)
    ratios = {
        Finding.PNEUMONIA: (1 + WINTER_RATIO * season) * (1.25 if scanner != "outpatient" else 0.4),
        Finding.TUBERCULOSIS: 1.6 if scanner == "outpatient" else 0.9,
    }
    draw, passed = random.random(), 0.0
    truth = dict.fromkeys(ABNORMAL, False)
    for finding in ABNORMAL:
        share = PREVALENCE[finding] * ratios[finding]
        truth[finding] = bool(passed <= draw < passed + share)
        passed += share
    return truth


def _draw_age(random: np.random.Generator) -> float | None:
    if random.random() < 0.03:
        return None
    return float(np.clip(random.normal(*AGE_SHAPE), 18, 99))


def _draw_reading(received_at: datetime, random: np.random.Generator) -> float:
    """By night a radiograph waits for the morning."""
    median_hours = 1.5 if 7 <= received_at.hour < 18 else 5.0
    return float(3600 * median_hours * random.lognormal(0.0, 0.7))


def _draw_outcome(is_positive: bool, random: np.random.Generator) -> str:
    """Reports are no gold standard: some hedge, some miss, few overcall."""
    draw = random.random()
    if draw < (0.06 if is_positive else 0.015):
        return "unclear"
    is_wrong = draw > (0.985 if is_positive else 0.995)
    return "positive" if is_positive != is_wrong else "negative"
