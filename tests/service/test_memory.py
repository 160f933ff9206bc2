"""What is alive after the start stays out of garbage collection."""

import gc
from collections.abc import Iterator

import pytest

from service.memory import COLLECTED_AFTER, set_started_aside


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """As it was before the test."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class _Ring:
    """Garbage that only the collector finds."""

    alive = 0

    def __init__(self) -> None:
        self.me = self
        _Ring.alive += 1

    def __del__(self) -> None:
        _Ring.alive -= 1


def test_what_is_alive_is_set_aside() -> None:
    kept: list[list[int]] = [[] for _ in range(1000)]

    set_started_aside()

    assert gc.get_freeze_count() > len(kept)
    assert gc.get_threshold() == COLLECTED_AFTER


def test_garbage_of_later_is_still_collected() -> None:
    set_started_aside()

    _Ring()
    assert _Ring.alive == 1
    gc.collect()

    assert _Ring.alive == 0
