"""What is timed at the door are the refusals that it says it times."""

import math
from contextlib import ExitStack

import pytest

from bench.micro import ANSWER, ROUTINE, busy_door, knock, measure, microseconds_of
from service.api.schemas import Answer


def test_door_without_a_place_refuses_for_want_of_room() -> None:
    with ExitStack() as held:
        door = busy_door(held, places=65)
        held.enter_context(door.enter(ROUTINE))

        assert knock(door, math.inf) == "QUEUE_FULL"


@pytest.mark.parametrize(
    ("seconds", "code"), [(2.0, "DEADLINE_EXCEEDED"), (60.0, None), (math.inf, None)]
)
def test_busy_door_refuses_only_what_would_be_late(seconds: float, code: str | None) -> None:
    with ExitStack() as held:
        assert knock(busy_door(held, places=256), seconds) == code


def test_answer_is_one_that_the_service_gives() -> None:
    told = Answer.model_validate(ANSWER).model_dump(mode="json")

    assert told == ANSWER


def test_each_call_is_timed() -> None:
    calls: list[int] = []

    microseconds = microseconds_of(lambda: calls.append(1), rounds=2)

    assert len(calls) == 2000
    assert 0 <= microseconds < math.inf


def test_everything_is_in_the_table() -> None:
    assert [name.partition(":")[0] for name in measure(rounds=1)][:3] == ["door"] * 3
