"""Recordings never overlap, none follows a failed one, and no stream has two lanes."""

import itertools
import threading
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.engine.base import EngineUnavailable
from service.engine.recording import RING, Recorder, Streams


def open_ring() -> Streams[str]:
    """As torch has it: the same few streams again and again, for each device."""
    turns: dict[Hashable, Iterator[int]] = {}

    def draw(device: Hashable) -> str:
        turn = turns.setdefault(device, itertools.cycle(range(RING)))
        return f"{device} stream {next(turn)}"

    return Streams(draw)


def test_streams_never_have_two_takers_however_many_engines_come_and_go() -> None:
    streams = open_ring()
    serving = [streams.take("cuda:0") for _ in range(3)]

    for _ in range(40):
        newer = [streams.take("cuda:0") for _ in range(3)]
        assert len({*serving, *newer}) == 6
        for stream in serving:
            streams.give_back("cuda:0", stream)
        serving = newer


def test_streams_of_the_ring_that_are_in_use_are_passed_over() -> None:
    streams = open_ring()
    taken = [streams.take("cuda:0") for _ in range(RING)]

    with pytest.raises(EngineUnavailable, match="in use"):
        streams.take("cuda:0")
    streams.give_back("cuda:0", taken[7])

    assert len(set(taken)) == RING
    assert streams.take("cuda:0") == taken[7]
    assert streams.take("cuda:1").startswith("cuda:1")


def test_engines_record_one_after_the_other() -> None:
    recorder = Recorder()
    inside, may_end = threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        with recorder.alone(), recorder.recording():
            inside.set()
            may_end.wait(10)
            order.append("first")

    def second() -> None:
        with recorder.alone():
            order.append("second")

    with ThreadPoolExecutor(2) as threads:
        recording = threads.submit(first)
        inside.wait(10)
        waiting = threads.submit(second)
        may_end.set()
        recording.result(10)
        waiting.result(10)

    assert order == ["first", "second"]


def test_after_a_failed_recording_no_engine_is_opened_until_the_process_restarts() -> None:
    recorder = Recorder()
    with pytest.raises(MemoryError), recorder.alone(), recorder.recording():
        raise MemoryError

    with pytest.raises(EngineUnavailable, match="restart"), recorder.alone():
        pytest.fail("it was let in")


def test_what_fails_before_a_recording_begins_forbids_nothing() -> None:
    recorder = Recorder()
    with pytest.raises(MemoryError), recorder.alone():
        raise MemoryError

    with recorder.alone(), recorder.recording():
        pass
