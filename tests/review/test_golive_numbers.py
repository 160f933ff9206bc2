"""The Go-live page against counts by hand and the likelihoods of scipy."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from service.review.statistics import still_needed
from tests.review.conftest import Ask
from tests.support.counted import Seen
from tests.support.page_text import percent, row_of
from tests.support.simulated import read_log

CONFIDENCE = 0.95
GRID = np.linspace(1e-6, 1 - 1e-6, 2_000_001)
STEP = float(GRID[1] - GRID[0])
Count = tuple[int, int]


def _sequence(count: Count, confidence: float) -> tuple[float, float]:
    """Shares that a Beta-binomial with Jeffreys' prior is not 1/alpha times likelier than."""
    successes, total = count
    mixture = stats.betabinom(total, 0.5, 0.5).logpmf(successes)
    held = mixture - stats.binom(total, GRID).logpmf(successes) < -np.log(1 - confidence)
    return float(GRID[held][0]), float(GRID[held][-1])


def _counts(radiographs: list[Seen]) -> dict[tuple[str, str | None], Count]:
    studies = [one for one in radiographs if one.is_first and one.report]
    counts: dict[tuple[str, str | None], Count] = {}
    for finding in ("pneumonia", "tuberculosis"):
        for name, label in (("sensitivity", "positive"), ("specificity", "negative")):
            told = [one for one in studies if (one.report or {})[finding] == label]
            right = [one for one in told if (finding in one.flags) == (label == "positive")]
            counts[name, finding] = len(right), len(told)
    evaluated = [one for one in radiographs if one.outcome == "evaluated"]
    counts["evaluated", None] = len(evaluated), len(radiographs)
    return counts


@pytest.fixture(scope="module")
def registered(simulated_log: Path) -> dict[str, Any]:
    """The criteria of the log, by hand."""
    ((body, at),) = read_log(
        f"sqlite:///{simulated_log}/shadow.db",
        "SELECT body, recorded_at FROM evidence_log WHERE kind='criteria'",
    )
    criteria: dict[str, Any] = json.loads(str(body))
    return criteria | {"at": datetime.fromisoformat(str(at))}


async def test_every_criterion_is_counted_and_bounded_as_by_hand(
    ask: Ask, radiographs: list[Seen], registered: dict[str, Any]
) -> None:
    (answer,) = await ask("/review/api/golive")
    told = answer.json()

    assert min(one.received for one in radiographs) > registered["at"]
    counts = _counts(radiographs)
    assert [(row["name"], row["finding"]) for row in told["criteria"]] == list(counts)
    for row in told["criteria"]:
        count = counts[row["name"], row["finding"]]
        assert (row["successes"], row["total"]) == count
        assert row["value"] == pytest.approx(count[0] / count[1])
        assert (row["low"], row["high"]) == pytest.approx(_sequence(count, CONFIDENCE), abs=STEP)


async def test_the_decision_follows_from_the_bounds(
    ask: Ask, radiographs: list[Seen], registered: dict[str, Any]
) -> None:
    (answer,) = await ask("/review/api/golive")

    counts, decisions = _counts(radiographs), []
    shared = 1 - (1 - CONFIDENCE) / len(counts)
    targets = {
        (name, one["finding"]): one[name]
        for one in registered["findings"]
        for name in ("sensitivity", "specificity")
    } | {("evaluated", None): registered["evaluated"]}
    for key, count in counts.items():
        is_proven = _sequence(count, CONFIDENCE)[0] >= targets[key]
        is_refuted = _sequence(count, shared)[1] < targets[key]
        decisions.append("GO" if is_proven else "NO-GO" if is_refuted else "EXTEND")
    overall = "NO-GO" if "NO-GO" in decisions else "GO" if set(decisions) == {"GO"} else "EXTEND"
    told = answer.json()
    assert [row["decision"] for row in told["criteria"]] == decisions
    assert told["decision"] == overall


@pytest.mark.parametrize(
    ("successes", "total", "target"),
    [(95, 100, 0.9), (31, 32, 0.8), (12, 12, 0.9), (610, 700, 0.85)],
)
def test_further_cases_are_the_fewest_that_prove_it(
    successes: int, total: int, target: float
) -> None:
    needed = still_needed(successes, total, target, CONFIDENCE)

    assert needed
    share = (successes + 0.5) / (total + 1)
    one_less, enough = (
        _sequence((round(share * seen), seen), CONFIDENCE)[0]
        for seen in (total + needed - 1, total + needed)
    )
    assert one_less < target <= enough


async def test_what_was_judged_is_counted_in_the_rows(ask: Ask, radiographs: list[Seen]) -> None:
    (answer,) = await ask("/review/api/golive")
    told = answer.json()

    reported = [one.report for one in radiographs if one.is_first and one.report]
    assert told["radiographs"] == len(radiographs)
    assert told["reported"] == len(reported)
    assert told["unclear"] == sum("unclear" in report.values() for report in reported)


async def test_the_page_shows_these_numbers(ask: Ask, radiographs: list[Seen]) -> None:
    (page,) = await ask("/review/golive")

    for (name, finding), (successes, total) in _counts(radiographs).items():
        row = row_of(page.text, f"{finding.capitalize()} {name}" if finding else "Radiographs")
        low, high = _sequence((successes, total), CONFIDENCE)
        assert row[3] == f"{percent(successes / total)}{successes:,} of {total:,}"
        assert row[4] == f"{percent(low)} \N{EN DASH} {percent(high)}"
