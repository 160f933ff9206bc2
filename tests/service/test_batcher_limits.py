"""Who comes too many or too late is told so at once, and costs the others nothing.

Time is virtual: the scripted engine takes one second a call, and no test takes one.
"""

import asyncio

import numpy as np
import pytest

from service.core.errors import DeadlineExceeded, QueueFull
from service.turns import SPARE_PLACES, Turn
from tests.support.clocks import ManualClock
from tests.support.engines import (
    ScriptedEngine,
    ending_of,
    radiograph,
    scores_of,
    send,
    send_all,
    start_batcher,
)
from tests.support.virtual_time import now, until, virtual


@virtual
async def test_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_images=2, max_queued=4)
    await batcher.submit(radiograph(1))
    accepted = await send_all(batcher, 2)
    accepted += await send_all(batcher, 3, 4, 5, 6)

    with pytest.raises(QueueFull) as refused:
        await batcher.submit(radiograph(7))

    assert now() == 1
    assert batcher.is_full
    assert refused.value.retry_after_seconds == 2
    assert len(await asyncio.gather(*accepted)) == 5


@virtual
async def test_full_queue_has_places_left_for_urgent_radiographs_and_not_without_end() -> None:
    batcher = await start_batcher(ScriptedEngine(), max_images=1, max_queued=1)
    waiting = await send_all(batcher, 1)
    await until(0.5)
    waiting += await send_all(batcher, 2)
    urgent = Turn("emergency", is_urgent=True)

    waiting += await send_all(batcher, *range(3, 3 + SPARE_PLACES), turn=urgent)

    with pytest.raises(QueueFull):
        await batcher.submit(radiograph(99), turn=urgent)
    assert len(await asyncio.gather(*waiting)) == 2 + SPARE_PLACES


@virtual
async def test_full_queue_has_places_left_for_the_first_of_another_caller() -> None:
    batcher = await start_batcher(ScriptedEngine(), max_images=1, max_queued=1)
    waiting = await send_all(batcher, 1)
    await until(0.5)
    waiting += await send_all(batcher, 2)

    waiting += await send_all(batcher, 3, turn=Turn("ward"))

    with pytest.raises(QueueFull):
        await batcher.submit(radiograph(99), turn=Turn("ward"))
    assert len(await asyncio.gather(*waiting)) == 3


@virtual
async def test_deadline_in_the_queue_is_told_when_it_passes() -> None:
    engine = ScriptedEngine(call_seconds=60)
    batcher = await start_batcher(engine)
    (first,) = await send_all(batcher, 1)
    await until(1)

    with pytest.raises(DeadlineExceeded):
        await batcher.submit(radiograph(2), deadline=5)

    assert now() == 5
    await first
    assert engine.batches == [(1,)]


@virtual
async def test_deadline_that_passed_unnoticed_is_seen_when_the_batch_forms() -> None:
    engine, clock = ScriptedEngine(), ManualClock()
    batcher = await start_batcher(engine, clock=clock)
    (first,) = await send_all(batcher, 1)
    await until(0.5)
    late = send(batcher, 2, deadline=clock() + 10)
    await asyncio.sleep(0)

    clock.advance(10)

    assert isinstance(await ending_of(late), DeadlineExceeded)
    assert now() == 1
    assert engine.batches == [(1,)]
    assert first.done()


@virtual
async def test_deadline_that_cannot_be_met_is_refused_at_once() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_images=1)
    await batcher.submit(radiograph(1))
    running = await send_all(batcher, 2, 3)
    await until(1.5)

    with pytest.raises(DeadlineExceeded):
        await batcher.submit(radiograph(4), deadline=3.9)

    assert now() == 1.5
    in_time = await batcher.submit(radiograph(5), deadline=4.1)
    assert in_time.queue_seconds == 1.5
    await asyncio.gather(*running)


@virtual
async def test_idle_engine_is_given_a_chance_after_a_slow_batch() -> None:
    engine = ScriptedEngine(call_seconds=60)
    batcher = await start_batcher(engine)
    await batcher.submit(radiograph(1))
    engine.call_seconds = 0.1

    scored = await batcher.submit(radiograph(2), deadline=now() + 1)

    assert scored.batch_images == 1


@virtual
async def test_deadline_that_passes_during_the_batch_still_gets_its_scores() -> None:
    batcher = await start_batcher(ScriptedEngine())

    scored = await batcher.submit(radiograph(1), deadline=0.5)

    np.testing.assert_array_equal(scored.scores.probabilities, scores_of(1).probabilities)


@virtual
async def test_deadline_that_has_passed_is_refused() -> None:
    batcher = await start_batcher(ScriptedEngine())
    await until(2)

    with pytest.raises(DeadlineExceeded):
        await batcher.submit(radiograph(1), deadline=1)
