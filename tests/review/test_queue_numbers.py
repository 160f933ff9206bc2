"""The Queue page against the recursion of Kiefer and Wolfowitz, and a queue kept in a heap."""

import heapq
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.review.conftest import Ask
from tests.support.counted import Seen
from tests.support.page_text import row_of

Floats = NDArray[np.float64]
RANKS = {"urgent": 0, "review": 1, "not evaluated": 1, "routine": 2}
DAYS, CAP = 3650, 60.0


def _first_come(arrivals: Floats, readings: Floats, readers: int) -> Floats:
    """Kiefer and Wolfowitz, Trans Am Math Soc 1955;78:1-18: the sorted work ahead of each case."""
    ahead, waits = np.zeros(readers), np.zeros(len(arrivals))
    for case, gap in enumerate(np.diff(arrivals, prepend=arrivals[0])):
        ahead = np.sort(np.maximum(ahead - gap, 0))
        waits[case] = ahead[0]
        ahead[0] += readings[case]
    return waits


def _by_rank(arrivals: Floats, ranks: list[int], readings: Floats, readers: int) -> Floats:
    """Who is free takes the lowest rank of those who have come, and the earliest among them."""
    line: list[tuple[int, int]] = []
    free, waits, come, now = [0.0] * readers, np.zeros(len(arrivals)), 0, 0.0
    for _ in range(len(arrivals)):
        now = max(now, heapq.heappop(free))
        if not line:
            now = max(now, arrivals[come])
        while come < len(arrivals) and arrivals[come] <= now:
            heapq.heappush(line, (ranks[come], come))
            come += 1
        _, case = heapq.heappop(line)
        waits[case] = now - arrivals[case]
        heapq.heappush(free, now + readings[case])
    return waits


def _capped(arrivals: Floats, ranks: list[int], readings: Floats, readers: int) -> Floats:
    """As by rank, but the earliest goes first once it has waited beyond the cap."""
    free, waiting, waits = [0.0] * readers, list(range(len(arrivals))), np.zeros(len(arrivals))
    while waiting:
        now = max(heapq.heappop(free), arrivals[waiting[0]])
        come = [case for case in waiting[:200] if arrivals[case] <= now]
        is_late = now - arrivals[come[0]] > CAP
        case = come[0] if is_late else min(come, key=lambda one: (ranks[one], one))
        waiting.remove(case)
        waits[case] = now - arrivals[case]
        heapq.heappush(free, now + readings[case])
    return waits


def _arrivals(radiographs: list[Seen]) -> tuple[list[Seen], Floats]:
    assert {one.outcome for one in radiographs} == {"evaluated", "not_evaluated"}
    room = sorted(radiographs, key=lambda one: one.received)
    seconds = np.array([one.received.timestamp() for one in room])
    return room, (seconds - (seconds[-1] - DAYS * 86_400)) / 60


@pytest.mark.parametrize("readers", [1, 3])
async def test_every_wait_is_that_of_a_queue_by_hand(
    ask: Ask, radiographs: list[Seen], readers: int
) -> None:
    query = f"days={DAYS}&readers={readers}&utilisation=0.9&cap_minutes={CAP}"
    (answer,) = await ask(f"/review/api/queue?{query}")
    told = answer.json()

    room, arrivals = _arrivals(radiographs)
    mean = 0.9 * readers * (arrivals[-1] - arrivals[0]) / len(room)
    readings = np.random.default_rng(1).exponential(mean, len(room))
    ranks = [RANKS[one.priority or "not evaluated"] for one in room]
    found = [_positive(one) for one in room]
    positive = np.array([bool(names) for names in found])
    missed = np.array([
        one.outcome == "evaluated" and bool(names - one.flags)
        for names, one in zip(found, room, strict=True)
    ])  # fmt: skip
    disciplines: dict[str, Callable[[], Floats]] = {
        "first_come": lambda: _first_come(arrivals, readings, readers),
        "priority": lambda: _by_rank(arrivals, ranks, readings, readers),
        "capped": lambda: _capped(arrivals, ranks, readings, readers),
    }
    assert told["reading_minutes"] == pytest.approx(mean)
    assert [result["discipline"] for result in told["results"]] == list(disciplines)
    for result in told["results"]:
        waits = disciplines[result["discipline"]]()
        for name, group in (("everyone", waits), ("positive", waits[positive]),
                            ("missed", waits[missed])):  # fmt: skip
            shown = result[name]
            assert shown["cases"] == len(group)
            assert (shown["mean"], shown["p95"], shown["longest"]) == pytest.approx(
                (group.mean(), np.quantile(group, 0.95), group.max()), abs=1e-6
            )


def _positive(one: Seen) -> frozenset[str]:
    return frozenset(name for name, told in (one.report or {}).items() if told == "positive")


async def test_the_page_shows_these_waits(ask: Ask, radiographs: list[Seen]) -> None:
    (page,) = await ask(f"/review/queue?days={DAYS}&utilisation=0.9")

    room, arrivals = _arrivals(radiographs)
    mean = 0.9 * (arrivals[-1] - arrivals[0]) / len(room)
    readings = np.random.default_rng(1).exponential(mean, len(room))
    waits = _first_come(arrivals, readings, 1)
    shown = [
        f"{told:.0f} min" if told < 120 else f"{told / 60:.1f} h"
        for told in (waits.mean(), np.quantile(waits, 0.95), waits.max())
    ]
    assert row_of(page.text, "First come")[1:4] == shown
    assert f"{mean:.1f} min on average" in page.text
