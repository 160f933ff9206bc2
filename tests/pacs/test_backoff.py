"""Waits grow, stay within bounds, and are spread by chance."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from service.pacs.backoff import LONGEST_SECONDS, backoff_seconds


@given(st.integers(1, 10_000), st.floats(0.01, 600), st.integers())
def test_wait_is_between_half_and_all_of_the_doubled_time(
    tries: int, first: float, seed: int
) -> None:
    seconds = backoff_seconds(tries, first_seconds=first, random=Random(seed))

    whole = min(first * 2 ** min(tries - 1, 30), LONGEST_SECONDS)
    assert whole / 2 <= seconds <= whole


def test_instances_that_failed_together_come_back_apart() -> None:
    random = Random(1)

    waits = {backoff_seconds(3, first_seconds=2, random=random) for _ in range(100)}

    assert len(waits) == 100
