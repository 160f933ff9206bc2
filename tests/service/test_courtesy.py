"""Who computes gives way, and the event loop does not."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import httpx

from service.courtesy import give_way, giving_way
from tests.support.apps import open_app, tiny_settings
from tests.support.programs import needs
from tests.support.radiographs import png_bytes

pytestmark = needs(None if hasattr(os, "SCHED_BATCH") else "Linux")


def _policies(*steps: Callable[[], object]) -> list[int]:
    """The class of a new thread after each step; None of them outlives the thread."""
    seen: list[int] = []

    def take_steps() -> None:
        for step in steps:
            step()
            seen.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=take_steps)
    thread.start()
    thread.join()
    return seen


def test_thread_that_gives_way_hands_its_class_to_those_it_starts() -> None:
    started: list[int] = []

    _policies(give_way, lambda: started.extend(_policies(lambda: None)))

    assert started == [os.SCHED_BATCH]


def test_class_is_given_back_after_a_while() -> None:
    inside: list[int] = []

    def compute() -> None:
        with giving_way():
            inside.append(os.sched_getscheduler(0))

    after = _policies(compute)

    assert (inside, after) == ([os.SCHED_BATCH], [os.SCHED_OTHER])


def test_thread_of_another_class_keeps_it() -> None:
    inside: list[int] = []

    def be_idle() -> None:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        with giving_way():
            inside.append(os.sched_getscheduler(0))

    after = _policies(be_idle)

    assert (inside, after) == ([os.SCHED_IDLE], [os.SCHED_IDLE])


async def test_threads_that_compute_give_way_and_the_event_loop_does_not(
    tiny_store: Path, tmp_path: Path
) -> None:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as opened:
        answer = await opened.client.post("/predict", content=png_bytes(), headers=_PNG)
        classes = {
            thread.name.partition("_")[0]: os.sched_getscheduler(thread.native_id or 0)
            for thread in threading.enumerate()
        }

    assert answer.status_code == httpx.codes.OK
    assert {classes[name] for name in ("decode", "engine", "drift")} == {os.SCHED_BATCH}
    assert {classes[name] for name in ("MainThread", "recorder")} == {os.SCHED_OTHER}


_PNG = {"Content-Type": "image/png"}
