"""Who waits for a decoding thread is served by turns, and nobody who leaves keeps one."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from service.decoders import Decoders
from service.turns import ANYBODY, Turn
from tests.support.gates import Gate


@pytest.fixture
async def decoders() -> AsyncIterator[Decoders]:
    opened = Decoders(1)
    yield opened
    opened.close()


async def _queue(
    decoders: Decoders, order: list[str], *names: str, turn: Turn = ANYBODY, has_begun: bool = False
) -> list[asyncio.Task[None]]:
    """One task for each name, which notes it when its turn has come."""
    tasks = [
        asyncio.create_task(decoders.run(order.append, name, turn=turn, has_begun=has_begun))
        for name in names
    ]
    await asyncio.sleep(0)
    return tasks


async def test_callers_take_turns_whoever_came_first(decoders: Decoders) -> None:
    order: list[str] = []
    with Gate() as gate:
        first = asyncio.create_task(decoders.run(gate.hold))
        await gate.entered()
        archive = await _queue(decoders, order, "a1", "a2", "a3", turn=Turn("archive"))
        ward = await _queue(decoders, order, "w1", turn=Turn("ward"))
    await asyncio.gather(first, *archive, *ward)

    assert order == ["a1", "w1", "a2", "a3"]


async def test_what_has_begun_goes_on_before_anything_new(decoders: Decoders) -> None:
    order: list[str] = []
    with Gate() as gate:
        first = asyncio.create_task(decoders.run(gate.hold))
        await gate.entered()
        new = await _queue(decoders, order, "new", turn=Turn("ward", is_urgent=True))
        begun = await _queue(decoders, order, "begun", has_begun=True)
    await asyncio.gather(first, *new, *begun)

    assert order == ["begun", "new"]


async def test_no_more_run_at_once_than_there_are_threads() -> None:
    decoders = Decoders(2)
    with Gate() as gate:
        tasks = [asyncio.create_task(decoders.run(gate.hold)) for _ in range(3)]
        await gate.entered(2)
        waiting = decoders.waiting
    await asyncio.gather(*tasks)
    decoders.close()

    assert (waiting, gate.most_inside) == (1, 2)


async def test_caller_that_leaves_while_waiting_is_never_run(decoders: Decoders) -> None:
    order: list[str] = []
    with Gate() as gate:
        first = asyncio.create_task(decoders.run(gate.hold))
        await gate.entered()
        gone, stays = await _queue(decoders, order, "gone", "stays")
        gone.cancel()
        await asyncio.sleep(0)
        waiting = decoders.waiting
    await asyncio.gather(first, stays)

    assert (waiting, order) == (1, ["stays"])


async def test_caller_that_leaves_at_work_keeps_its_thread_busy_until_it_is_done(
    decoders: Decoders,
) -> None:
    order: list[str] = []
    with Gate() as gate:
        gone = asyncio.create_task(decoders.run(gate.hold))
        await gate.entered()
        gone.cancel()
        (stays,) = await _queue(decoders, order, "stays")
        before = list(order)
    await stays

    assert (before, order) == ([], ["stays"])
    assert gone.cancelled()


async def test_thread_granted_to_a_caller_in_the_moment_it_leaves_goes_to_the_next(
    decoders: Decoders,
) -> None:
    order: list[str] = []
    with Gate() as gate:
        first = asyncio.create_task(decoders.run(gate.hold))
        await gate.entered()
        gone, stays = await _queue(decoders, order, "gone", "stays")
        first.add_done_callback(lambda _: gone.cancel())
    await asyncio.gather(first, stays)

    assert "stays" in order
    assert await decoders.run(lambda: "free again") == "free again"


@pytest.mark.parametrize("has_begun", [False, True])
async def test_caller_that_leaves_in_the_moment_a_thread_falls_free_is_passed_over(
    decoders: Decoders, has_begun: bool
) -> None:
    loop = asyncio.get_running_loop()
    order: list[str] = []
    for _ in range(100):  # how the ends of thread and caller fall together is the machine's choice
        gone: list[asyncio.Task[None]] = []
        release = threading.Event()

        def leave(
            release: threading.Event = release, tasks: list[asyncio.Task[None]] = gone
        ) -> None:
            release.wait()
            loop.call_soon_threadsafe(lambda: loop.call_soon(tasks[0].cancel))

        first = asyncio.create_task(decoders.run(leave))
        await asyncio.sleep(0)
        gone += await _queue(decoders, order, "gone", has_begun=has_begun)
        release.set()
        await first
        ends = await asyncio.gather(*gone, return_exceptions=True)

        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
    assert await decoders.run(lambda: "free again") == "free again"


async def test_failure_of_the_work_reaches_its_caller_and_frees_the_thread(
    decoders: Decoders,
) -> None:
    with pytest.raises(ZeroDivisionError):
        await decoders.run(lambda: 1 // 0)

    assert await decoders.run(lambda: "next") == "next"


async def test_parts_of_a_radiograph_that_is_alone_are_done_side_by_side() -> None:
    decoders = Decoders(2)

    def meet() -> tuple[int, int]:
        """Neither part could end without the other."""
        both = threading.Barrier(2, timeout=10)
        other = decoders.beside(both.wait)
        return both.wait(), other()

    assert sorted(await decoders.run(meet)) == [0, 1]
    decoders.close()


async def test_part_is_done_when_asked_for_where_no_thread_is_idle(decoders: Decoders) -> None:
    def do_both() -> tuple[bool, bool]:
        part = decoders.beside(threading.get_ident)
        return part() == threading.get_ident(), part() == threading.get_ident()

    assert await decoders.run(do_both) == (True, True)


async def test_part_that_no_thread_came_to_is_taken_back() -> None:
    decoders, is_over = Decoders(2), threading.Event()

    def do_both() -> bool:
        first = decoders.beside(lambda: is_over.wait(10))
        second = decoders.beside(threading.get_ident)
        is_mine = second() == threading.get_ident()
        is_over.set()
        return is_mine and first()

    assert await decoders.run(do_both)
    decoders.close()


async def test_failure_of_a_part_is_that_of_who_asks_for_it() -> None:
    decoders = Decoders(2)

    def do_both() -> float:
        return decoders.beside(lambda: 1 / 0)()

    with pytest.raises(ZeroDivisionError):
        await decoders.run(do_both)

    decoders.close()


@pytest.fixture
def no_new_thread(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As at the limit of a container, which counts threads."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return monkeypatch


async def test_a_thread_that_the_system_refuses_is_not_counted_as_busy_for_ever(
    no_new_thread: pytest.MonkeyPatch,
) -> None:
    decoders = Decoders(2)
    async with asyncio.timeout(20):
        refused = await asyncio.gather(
            *(decoders.run(lambda: "done") for _ in range(3)), return_exceptions=True
        )
        no_new_thread.undo()
        assert await decoders.run(lambda: "done") == "done"
    assert [type(error) for error in refused] == [RuntimeError] * 3
    decoders.close()


async def test_work_beside_is_done_by_its_caller_where_no_thread_can_be_started(
    no_new_thread: pytest.MonkeyPatch,
) -> None:
    decoders = Decoders(2)

    assert decoders.beside(lambda: "done")() == "done"
    no_new_thread.undo()
    decoders.close()
