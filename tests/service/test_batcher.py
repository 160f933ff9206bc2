"""Batches form as promised, and whatever happens to one radiograph stays with it.

Time is virtual: the scripted engine takes one second a call, and no test takes one.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps

import numpy as np
import pytest

from service.batcher import Batcher, Scored
from service.core.errors import DeadlineExceeded, EngineFailed, QueueFull, ShuttingDown
from tests.support.engines import EngineBroke, ScriptedEngine, radiograph, scores_of, start_batcher
from tests.support.virtual_time import run_virtual


def virtual(scenario: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run an async test in virtual time; a test that would hang fails at once."""

    @wraps(scenario)
    def test() -> None:
        run_virtual(scenario())

    return test


def send(
    batcher: Batcher, number: int, deadline: float | None = None
) -> asyncio.Task[Scored]:
    return asyncio.create_task(batcher.submit(radiograph(number), deadline=deadline))


async def send_all(batcher: Batcher, *numbers: int) -> list[asyncio.Task[Scored]]:
    """Submit them in order, and return when all are queued."""
    tasks = [send(batcher, number) for number in numbers]
    await asyncio.sleep(0)
    return tasks


async def until(seconds: float) -> None:
    """Let virtual time come."""
    await asyncio.sleep(seconds - asyncio.get_running_loop().time())


def now() -> float:
    return asyncio.get_running_loop().time()


async def ending_of(request: Awaitable[Scored]) -> Scored | BaseException:
    (ending,) = await asyncio.gather(request, return_exceptions=True)
    return ending


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
async def test_engine_runs_on_one_thread_that_is_not_the_event_loop() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine)

    for number in range(3):
        await batcher.submit(radiograph(number))

    assert len(engine.threads) == 1
    assert threading.get_ident() not in engine.threads


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
async def test_cancelled_client_gives_its_place_in_the_queue_back() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_queued=1)
    (first,) = await send_all(batcher, 1)
    (second,) = await send_all(batcher, 2)

    second.cancel()
    (third,) = await send_all(batcher, 3)
    await asyncio.gather(first, third)

    assert engine.batches == [(1,), (3,)]


# ---------------------------------------------------------------- limits and deadlines


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


# ---------------------------------------------------------------- a failing engine


@virtual
async def test_poisonous_radiograph_fails_alone() -> None:
    engine = ScriptedEngine(poisonous=frozenset({2}))
    batcher = await start_batcher(engine)

    healthy, poisonous, other = await send_all(batcher, 1, 2, 3)
    failure = await ending_of(poisonous)

    assert isinstance(failure, EngineFailed)
    assert isinstance(failure.__cause__, EngineBroke)
    for number, task in {1: healthy, 3: other}.items():
        probabilities = (await task).scores.probabilities
        np.testing.assert_array_equal(probabilities, scores_of(number).probabilities)


@virtual
async def test_engine_error_fails_its_batch_and_the_next_one_is_scored() -> None:
    engine = ScriptedEngine(poisonous=frozenset({1, 2}))
    batcher = await start_batcher(engine)
    failing = await send_all(batcher, 1, 2)
    await until(0.5)

    (next_one,) = await send_all(batcher, 3)

    assert [type(await ending_of(task)) for task in failing] == [EngineFailed, EngineFailed]
    scored = await next_one
    np.testing.assert_array_equal(scored.scores.probabilities, scores_of(3).probabilities)


@virtual
async def test_scores_that_are_not_numbers_fail_alone() -> None:
    engine = ScriptedEngine(nameless=frozenset({2}))
    batcher = await start_batcher(engine)

    healthy, broken = await send_all(batcher, 1, 2)

    assert isinstance(await ending_of(broken), EngineFailed)
    assert (await healthy).batch_images == 2
    assert engine.batches == [(1, 2)]


@virtual
async def test_wrong_number_of_scores_is_never_handed_out() -> None:
    engine = ScriptedEngine(short=frozenset({2}))
    batcher = await start_batcher(engine)

    first, short = await send_all(batcher, 1, 2)

    assert isinstance(await ending_of(short), EngineFailed)
    probabilities = (await first).scores.probabilities
    np.testing.assert_array_equal(probabilities, scores_of(1).probabilities)


@virtual
async def test_observer_learns_of_every_batch() -> None:
    seen: list[tuple[int, float]] = []
    batcher = await start_batcher(
        ScriptedEngine(image_seconds=0.5), on_batch=lambda *batch: seen.append(batch)
    )

    await asyncio.gather(*await send_all(batcher, 1, 2))
    await batcher.submit(radiograph(3))

    assert seen == [(2, 2.0), (1, 1.5)]


@virtual
async def test_failing_observer_does_not_stop_the_scoring() -> None:
    def observe(_images: int, _seconds: float) -> None:
        raise LookupError("no such metric")

    batcher = await start_batcher(ScriptedEngine(), on_batch=observe)
    await batcher.submit(radiograph(1))

    scored = await batcher.submit(radiograph(2))

    np.testing.assert_array_equal(scored.scores.probabilities, scores_of(2).probabilities)


# ---------------------------------------------------------------- closing


@virtual
async def test_close_answers_everything_accepted_and_nothing_new() -> None:
    engine = ScriptedEngine()
    batcher = await start_batcher(engine, max_images=2)
    accepted = await send_all(batcher, 1, 2, 3, 4, 5)

    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    refused = await ending_of(batcher.submit(radiograph(6)))
    await closing

    assert isinstance(refused, ShuttingDown)
    assert [task.result().batch_images for task in accepted] == [2, 2, 2, 2, 1]


@virtual
async def test_close_does_not_wait_for_company() -> None:
    batcher = await start_batcher(ScriptedEngine(), max_wait_seconds=30)
    await asyncio.gather(*await send_all(batcher, 1, 2))
    (last,) = await send_all(batcher, 3)

    await batcher.close()

    assert now() == 2
    assert last.result().batch_images == 1


@virtual
async def test_drain_that_is_given_up_leaves_nobody_waiting() -> None:
    batcher = await start_batcher(ScriptedEngine(call_seconds=60), max_images=1)
    tasks = await send_all(batcher, 1, 2)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(batcher.close(), 5)
    endings = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(ending) for ending in endings] == [ShuttingDown, ShuttingDown]
    assert now() == 5


@virtual
async def test_closing_twice_is_closing_once() -> None:
    batcher = await start_batcher(ScriptedEngine())

    await batcher.close()
    await batcher.close()

    assert isinstance(await ending_of(batcher.submit(radiograph(1))), ShuttingDown)


@virtual
async def test_nothing_is_accepted_before_the_start() -> None:
    batcher = Batcher(score=ScriptedEngine(), max_images=1, max_wait_seconds=0, max_queued=1)

    ending = await ending_of(batcher.submit(radiograph(1)))

    assert isinstance(ending, ShuttingDown)
