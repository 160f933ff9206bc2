"""What the first answers can do without is opened a moment later, or not at all."""

import asyncio
import threading

from service.serving import Finishing


async def test_it_is_opened_a_moment_after_the_service_is_up() -> None:
    done = threading.Event()
    finishing = Finishing(done.set, after_seconds=0.01)
    is_at_once = done.is_set()

    is_done = await asyncio.to_thread(done.wait, 10)
    await finishing.close()

    assert not is_at_once
    assert is_done


async def test_a_service_that_ends_before_does_not_wait_for_it() -> None:
    done = threading.Event()
    finishing = Finishing(done.set, after_seconds=3600)

    async with asyncio.timeout(10):
        await finishing.close()

    assert not done.is_set()


async def test_what_is_under_way_is_over_before_the_engine_may_close() -> None:
    begun, may_end, done = threading.Event(), threading.Event(), threading.Event()

    def finish() -> None:
        begun.set()
        may_end.wait(10)
        done.set()

    finishing = Finishing(finish, after_seconds=0)
    await asyncio.to_thread(begun.wait, 10)
    closing = asyncio.create_task(finishing.close())
    await asyncio.sleep(0)
    is_over_early = closing.done()
    may_end.set()
    await closing

    assert not is_over_early
    assert done.is_set()
