"""Memory is told as it was under load, not as it is afterwards."""

import threading

import pytest

from bench.watch import watched

PATIENCE_SECONDS = 30.0


def test_most_is_what_was_held_in_between() -> None:
    held, was_large = iter([300, 900]), threading.Event()

    def sample() -> int:
        now = next(held, 400)
        if now == 400:
            was_large.set()
        return now

    with watched(sample, seconds=0.0) as memory:
        assert was_large.wait(PATIENCE_SECONDS)

    assert memory.most == 900


def test_even_the_shortest_load_is_sampled_once() -> None:
    with watched(lambda: 500) as memory:
        pass

    assert memory.most == 500


def test_sampling_ends_with_the_load_that_failed() -> None:
    before = threading.active_count()

    with pytest.raises(RuntimeError), watched(lambda: 500):
        raise RuntimeError

    assert threading.active_count() == before
