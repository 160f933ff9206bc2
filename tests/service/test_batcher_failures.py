"""An engine error stays with the radiographs that caused it, and closing leaves nobody waiting.

Time is virtual: the scripted engine takes one second a call, and no test takes one.
"""

import asyncio

import numpy as np
import pytest

from service.batcher import Batcher
from service.core.errors import EngineFailed, ShuttingDown
from tests.support.engines import (
    EngineBroke,
    ScriptedEngine,
    ending_of,
    radiograph,
    scores_of,
    send_all,
    start_batcher,
)
from tests.support.virtual_time import now, until, virtual

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


@virtual
async def test_batches_of_which_nothing_was_scored_are_counted() -> None:
    engine = ScriptedEngine(poisonous=frozenset({2, 3}))
    batcher = await start_batcher(engine)
    await asyncio.gather(*map(ending_of, await send_all(batcher, 1, 2)))
    after_one_of_two = batcher.failed_batches
    await asyncio.gather(*map(ending_of, await send_all(batcher, 3)))

    assert (after_one_of_two, batcher.failed_batches) == (0, 1)
