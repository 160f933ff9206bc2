"""Batches form as promised, and who leaves the queue disturbs nobody.

Time is virtual: the scripted engine takes one second a call, and no test takes one.
"""

import asyncio
import threading

import numpy as np

from service.turns import Turn
from tests.support.engines import (
    ScriptedEngine,
    radiograph,
    scores_of,
    send_all,
    start_batcher,
)
from tests.support.virtual_time import now, until, virtual

# ---------------------------------------------------------------- when a batch starts


@virtual
async def test_lone_radiograph_is_scored_without_waiting() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_wait_seconds=10)

    scored = await batcher.submit(radiograph(1))

    assert (scored.queue_seconds, scored.inference_seconds, scored.batch_images) == (0, 1, 1)
    np.testing.assert_array_equal(scored.scores.probabilities, scores_of(1).probabilities)


@virtual
async def test_radiographs_that_come_while_the_engine_is_busy_share_the_next_batch() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine)
    (first,) = await send_all(batcher, 1)
    await until(0.5)

    rest = await send_all(batcher, 2, 3, 4)
    scored = await asyncio.gather(first, *rest)

    assert engine.batches == [(1,), (2, 3, 4)]
    assert [one.queue_seconds for one in scored] == [0, 0.5, 0.5, 0.5]


@virtual
async def test_what_queued_up_behind_a_busy_engine_goes_at_once() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_images=2, max_wait_seconds=30)

    scored = await asyncio.gather(*await send_all(batcher, 1, 2, 3))

    assert [one.queue_seconds for one in scored] == [0, 0, 1]


@virtual
async def test_batch_holds_the_oldest_and_no_more_than_allowed() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_images=2)

    await asyncio.gather(*await send_all(batcher, 1, 2, 3, 4, 5))

    assert engine.batches == [(1, 2), (3, 4), (5,)]


@virtual
async def test_wait_for_company_ends_when_as_many_came_as_before() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_wait_seconds=0.5)
    await asyncio.gather(*await send_all(batcher, 1, 2))

    early = await send_all(batcher, 3)
    await until(1.25)
    late = await send_all(batcher, 4)
    scored = await asyncio.gather(*early, *late)

    assert engine.batches == [(1, 2), (3, 4)]
    assert [one.queue_seconds for one in scored] == [0.25, 0]


@virtual
async def test_wait_for_company_that_does_not_come_ends_after_max_wait() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_wait_seconds=0.5)
    await asyncio.gather(*await send_all(batcher, 1, 2))

    scored = await batcher.submit(radiograph(3))

    assert scored.queue_seconds == 0.5


@virtual
async def test_wait_for_company_costs_nobody_a_deadline() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_wait_seconds=30)
    await asyncio.gather(*await send_all(batcher, 1, 2))

    scored = await batcher.submit(radiograph(3), deadline=now() + 1.25)

    assert scored.queue_seconds <= 0.75


@virtual
async def test_engine_of_one_lane_runs_on_one_thread_that_is_not_the_event_loop() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine)

    for number in range(3):
        await batcher.submit(radiograph(number))

    assert len(engine.threads) == 1
    assert threading.get_ident() not in engine.threads


# ---------------------------------------------------------------- several lanes


@virtual
async def test_lanes_score_side_by_side_and_share_what_waits() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, lanes=2)

    await asyncio.gather(*await send_all(batcher, 1, 2, 3))

    assert sorted(engine.batches) == [(1, 2), (3,)]
    assert now() == 1


@virtual
async def test_lane_that_is_done_does_not_wait_for_the_other() -> None:
    engine = ScriptedEngine(call_seconds=0, image_seconds=1)
    batcher = await start_batcher(engine, lanes=2)
    first = await send_all(batcher, 1, 2, 3)
    await until(0.5)

    (late,) = await send_all(batcher, 4)
    await asyncio.gather(*first, late)

    assert late.result().queue_seconds == 0.5
    assert now() == 2


# ---------------------------------------------------------------- whose turn it is


@virtual
async def test_urgent_radiograph_goes_before_those_that_came_earlier() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_images=2)
    first = await send_all(batcher, 1)
    await until(0.5)

    routine = await send_all(batcher, 2, 3)
    urgent = await send_all(batcher, 4, turn=Turn("emergency", is_urgent=True))
    await asyncio.gather(*first, *routine, *urgent)

    assert engine.batches == [(1,), (4, 2), (3,)]


@virtual
async def test_caller_with_one_radiograph_is_not_delayed_by_another_with_many() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_images=2)
    first = await send_all(batcher, 1)
    await until(0.5)

    archive = await send_all(batcher, 2, 3, 4, 5, turn=Turn("archive"))
    ward = await send_all(batcher, 6, turn=Turn("ward"))
    await asyncio.gather(*first, *archive, *ward)

    assert engine.batches == [(1,), (2, 6), (3, 4), (5,)]


@virtual
async def test_deadline_that_the_turn_of_the_caller_can_meet_is_not_refused() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_images=1)
    await batcher.submit(radiograph(1))
    archive = await send_all(batcher, 2, 3, 4, 5, turn=Turn("archive"))

    (ward,) = await send_all(batcher, 6, turn=Turn("ward"), deadline=now() + 3.5)
    await asyncio.gather(*archive, ward)

    assert engine.batches[1:4] == [(2,), (3,), (6,)]
    assert ward.result().queue_seconds <= 2


# ---------------------------------------------------------------- cancellation


@virtual
async def test_third_is_answered_when_the_second_is_cancelled() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine)
    (first,) = await send_all(batcher, 1)
    second, third = await send_all(batcher, 2, 3)

    second.cancel()
    scored = await asyncio.gather(first, third)

    assert engine.batches == [(1,), (3,)]
    assert scored[1].queue_seconds == 1
    assert second.cancelled()


@virtual
async def test_cancelled_client_does_not_delay_its_batch() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_wait_seconds=10)
    await asyncio.gather(*await send_all(batcher, 1, 2))
    (leaves,) = await send_all(batcher, 3)
    await until(2)

    leaves.cancel()
    scored = await batcher.submit(radiograph(4))

    assert engine.batches == [(1, 2), (4,)]
    assert scored.queue_seconds == 0


@virtual
async def test_client_cancelled_during_its_batch_does_not_disturb_its_neighbour() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine)
    leaves, stays = await send_all(batcher, 1, 2)
    await until(0.5)

    leaves.cancel()
    scored = await stays
    after = await batcher.submit(radiograph(3))

    np.testing.assert_array_equal(scored.scores.probabilities, scores_of(2).probabilities)
    np.testing.assert_array_equal(after.scores.probabilities, scores_of(3).probabilities)


@virtual
async def test_batch_whose_clients_all_left_is_not_scored() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine)
    (first,) = await send_all(batcher, 1)
    gone = await send_all(batcher, 2, 3)

    for task in gone:
        task.cancel()
    await first
    await batcher.submit(radiograph(4))

    assert engine.batches == [(1,), (4,)]


@virtual
async def test_cancelled_client_gives_its_place_in_the_queue_back_at_once() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_queued=1)
    (first,) = await send_all(batcher, 1)
    await until(0.5)
    (second,) = await send_all(batcher, 2)

    second.cancel()
    await batcher.submit(radiograph(3))

    assert engine.batches == [(1,), (3,)]
    assert first.done()


@virtual
async def test_cancelled_client_is_no_longer_counted_as_queued() -> None:
    batcher = await start_batcher(ScriptedEngine())
    (first,) = await send_all(batcher, 1)
    await until(0.5)
    (second,) = await send_all(batcher, 2)

    second.cancel()
    await until(0.75)

    assert batcher.queued == 0
    await first
