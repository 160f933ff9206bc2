"""Any mix of arrivals, cancellations, deadlines and engine errors, in virtual time."""

import asyncio
import heapq
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.batch import Scored
from service.core.errors import CapacityError, DeadlineExceeded, EngineFailed, QueueFull
from tests.support.engines import ScriptedEngine, radiograph, scores_of, start_batcher
from tests.support.virtual_time import run_virtual

TICK = 0.25
"""All times are multiples, so that sums are exact and coincidences frequent."""

Ending = Scored | CapacityError | asyncio.CancelledError


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, as planned; times in seconds after its arrival."""

    arrives: float
    leaves_after: float | None
    deadline_after: float | None
    behaviour: str


@dataclass(frozen=True, slots=True)
class Site:
    """The batcher's settings, and how fast the engine is."""

    max_images: int
    max_wait_seconds: float
    max_queued: int
    call_seconds: float
    image_seconds: float
    lanes: int


@dataclass(frozen=True, slots=True)
class Day:
    """What happened: how each visit ended and when, and what the engine was asked."""

    endings: list[Ending]
    ended_at: list[float]
    engine: ScriptedEngine


def ticks(most: int, least: int = 0) -> st.SearchStrategy[float]:
    return st.integers(least, most).map(lambda count: count * TICK)


VISITS = st.lists(
    st.builds(
        Visit,
        arrives=ticks(24),
        leaves_after=st.none() | ticks(16),
        deadline_after=st.none() | ticks(24),
        behaviour=st.sampled_from(["healthy"] * 6 + ["poisonous", "nameless", "short"]),
    ),
    min_size=1,
    max_size=16,
)
SITES = st.builds(
    Site,
    max_images=st.integers(1, 5),
    max_wait_seconds=ticks(6),
    max_queued=st.integers(1, 10),
    call_seconds=ticks(8, least=1),
    image_seconds=ticks(2),
    lanes=st.integers(1, 3),
)


async def live_through(visits: list[Visit], site: Site) -> Day:
    """Play the visits, then close; hangs are found by the virtual loop."""
    engine = ScriptedEngine(
        site.call_seconds,
        site.image_seconds,
        poisonous=_who_are(visits, "poisonous"),
        nameless=_who_are(visits, "nameless"),
        short=_who_are(visits, "short"),
    )
    batcher = await start_batcher(
        engine,
        max_images=site.max_images,
        max_wait_seconds=site.max_wait_seconds,
        max_queued=site.max_queued,
        lanes=site.lanes,
    )
    loop = asyncio.get_running_loop()
    ended_at = [-1.0] * len(visits)

    async def play(number: int, visit: Visit) -> Scored:
        await asyncio.sleep(visit.arrives)
        deadline = None if visit.deadline_after is None else visit.arrives + visit.deadline_after
        request = asyncio.create_task(batcher.submit(radiograph(number), deadline=deadline))
        if visit.leaves_after is not None:
            loop.call_later(visit.leaves_after, request.cancel)
        try:
            return await request
        finally:
            ended_at[number] = loop.time()

    played = [play(number, visit) for number, visit in enumerate(visits)]
    endings = await asyncio.gather(*played, return_exceptions=True)
    await batcher.close()
    return Day([_known(ending) for ending in endings], ended_at, engine)


def _who_are(visits: list[Visit], behaviour: str) -> frozenset[int]:
    return frozenset(n for n, visit in enumerate(visits) if visit.behaviour == behaviour)


def _known(ending: Scored | BaseException) -> Ending:
    assert isinstance(ending, Scored | CapacityError | asyncio.CancelledError), ending
    return ending


@settings(deadline=None, max_examples=60)
@given(visits=VISITS, site=SITES)
def test_every_request_ends_once_with_its_own_score_or_a_reason(
    visits: list[Visit], site: Site
) -> None:
    day = run_virtual(live_through(visits, site))

    for number, (visit, ending) in enumerate(zip(visits, day.endings, strict=True)):
        match ending:
            case Scored():
                assert visit.behaviour == "healthy"
                own = scores_of(number).probabilities
                np.testing.assert_array_equal(ending.scores.probabilities, own)
            case EngineFailed():
                assert visit.behaviour != "healthy"
            case asyncio.CancelledError():
                assert visit.leaves_after is not None
            case DeadlineExceeded():
                assert visit.deadline_after is not None
            case _:
                assert isinstance(ending, QueueFull)
                assert len(visits) > site.max_queued


@settings(deadline=None, max_examples=60)
@given(visits=VISITS, site=SITES)
def test_nobody_waits_for_a_neighbour_who_left_or_for_an_idle_engine(
    visits: list[Visit], site: Site
) -> None:
    day = run_virtual(live_through(visits, site))

    free_at = [0.0] * site.lanes
    for numbers, start, end in _batches(day.engine):
        lane_is_free_at = heapq.heapreplace(free_at, end)
        for number in numbers:
            arrived = visits[number].arrives
            assert start <= max(lane_is_free_at, arrived + site.max_wait_seconds)


@settings(deadline=None, max_examples=60)
@given(visits=VISITS, site=SITES)
def test_engine_is_never_asked_for_more_at_a_time_than_it_has_lanes(
    visits: list[Visit], site: Site
) -> None:
    batches = _batches(run_virtual(live_through(visits, site)).engine)

    for _, start, _ in batches:
        assert sum(began <= start < end for _, began, end in batches) <= site.lanes


@settings(deadline=None, max_examples=60)
@given(visits=VISITS, site=SITES)
def test_batches_take_the_oldest_who_are_still_there_and_in_time(
    visits: list[Visit], site: Site
) -> None:
    day = run_virtual(live_through(visits, site))

    for numbers, start, _ in _batches(day.engine):
        assert len(numbers) <= site.max_images
        for number in numbers:
            assert day.ended_at[number] >= start
            assert _deadline(visits[number]) > start
        left_behind = [
            number
            for number, visit in enumerate(visits)
            if visit.arrives < start < day.ended_at[number]
            and _first_start(day.engine, number) > start
        ]
        youngest = max(visits[number].arrives for number in numbers)
        assert all(visits[number].arrives >= youngest for number in left_behind)
        assert not left_behind or len(numbers) == site.max_images


def _deadline(visit: Visit) -> float:
    return float("inf") if visit.deadline_after is None else visit.arrives + visit.deadline_after


def _batches(engine: ScriptedEngine) -> list[tuple[tuple[int, ...], float, float]]:
    """Numbers, start and end of each batch; scoring its members again, alone, belongs to it."""
    batches: dict[frozenset[int], tuple[float, float]] = {}
    for call in sorted(engine.calls, key=lambda call: call.start):
        own = frozenset(call.numbers)
        whole = next((batch for batch in batches if own <= batch), own)
        start, _ = batches.get(whole, (call.start, call.end))
        batches[whole] = (start, call.end)
    return [(tuple(numbers), *times) for numbers, times in batches.items()]


def _first_start(engine: ScriptedEngine, number: int) -> float:
    starts = [call.start for call in engine.calls if number in call.numbers]
    return min(starts, default=float("inf"))
