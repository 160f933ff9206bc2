"""Urgent goes before routine, callers take turns, and nobody waits for ever."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.turns import URGENT_IN_A_ROW, Crowd, Turn, Turns

Arrival = tuple[str, bool, int]
"""Caller, urgency, and a number that nobody else has."""

TURNS = st.tuples(st.sampled_from("abcd"), st.booleans())
ARRIVALS = st.lists(TURNS, max_size=60).map(
    lambda turns: [(caller, urgent, number) for number, (caller, urgent) in enumerate(turns)]
)


def queue_of(arrivals: list[Arrival]) -> Turns[Arrival]:
    turns = Turns[Arrival]()
    for arrival in arrivals:
        turns.add(arrival, Turn(arrival[0], arrival[1]))
    return turns


def take_all(turns: Turns[Arrival]) -> list[Arrival]:
    return [turns.take() for _ in range(len(turns))]


@given(ARRIVALS)
def test_everyone_gets_exactly_one_turn(arrivals: list[Arrival]) -> None:
    assert sorted(take_all(queue_of(arrivals)), key=lambda one: one[2]) == arrivals


@given(ARRIVALS)
def test_within_one_caller_and_urgency_who_came_first_goes_first(arrivals: list[Arrival]) -> None:
    taken = take_all(queue_of(arrivals))

    by_turn: dict[tuple[str, bool], list[int]] = {}
    for caller, is_urgent, number in taken:
        by_turn.setdefault((caller, is_urgent), []).append(number)
    assert all(numbers == sorted(numbers) for numbers in by_turn.values())


@given(ARRIVALS)
def test_no_caller_gets_two_turns_while_another_of_its_lane_waits_for_one(
    arrivals: list[Arrival],
) -> None:
    taken = take_all(queue_of(arrivals))

    for is_urgent in (True, False):
        lane = [one for one in taken if one[1] is is_urgent]
        for place, (before, after) in enumerate(pairwise(lane)):
            if before[0] == after[0]:
                assert {one[0] for one in lane[place:]} == {before[0]}


@given(ARRIVALS)
def test_routine_waits_behind_no_more_urgent_ones_than_is_agreed(arrivals: list[Arrival]) -> None:
    taken = [is_urgent for _, is_urgent, _ in take_all(queue_of(arrivals))]

    last_routine = len(taken) - 1 - taken[::-1].index(False) if False in taken else -1
    run = 0
    for is_urgent in taken[: last_routine + 1]:
        run = run + 1 if is_urgent else 0
        assert run <= URGENT_IN_A_ROW


@given(ARRIVALS)
def test_urgent_goes_first_but_for_the_agreed_share(arrivals: list[Arrival]) -> None:
    taken = [is_urgent for _, is_urgent, _ in take_all(queue_of(arrivals))]

    last_urgent = len(taken) - 1 - taken[::-1].index(True) if True in taken else -1
    ahead_of_urgent = taken[: last_urgent + 1].count(False)
    assert ahead_of_urgent <= taken.count(True) // URGENT_IN_A_ROW


@given(ARRIVALS, TURNS, st.data())
def test_count_ahead_never_says_more_than_go_ahead(
    arrivals: list[Arrival], newcomer: tuple[str, bool], data: st.DataObject
) -> None:
    turns = queue_of(arrivals)
    for _ in range(data.draw(st.integers(0, len(arrivals)))):
        turns.take()
    told = turns.count_ahead(Turn(*newcomer))
    turns.add((*newcomer, -1), Turn(*newcomer))

    numbers = [number for _, _, number in take_all(turns)]

    assert 0 <= told <= numbers.index(-1)


@given(ARRIVALS, st.data())
def test_who_leaves_is_gone_and_disturbs_no_other(
    arrivals: list[Arrival], data: st.DataObject
) -> None:
    turns = queue_of(arrivals)
    gone = data.draw(st.sets(st.sampled_from(arrivals))) if arrivals else set()

    assert all(turns.discard(one) for one in gone)
    assert not any(turns.discard(one) for one in gone)
    assert sorted(take_all(turns), key=lambda one: one[2]) == [a for a in arrivals if a not in gone]


def test_one_caller_alone_is_served_in_order() -> None:
    arrivals = [("a", False, number) for number in range(5)]

    turns = queue_of(arrivals)

    assert turns.count_ahead(Turn("a")) == 5
    assert take_all(turns) == arrivals


def test_a_hundred_of_one_caller_delay_another_by_one_turn() -> None:
    turns = queue_of([("archive", False, number) for number in range(100)])
    turns.add(("ward", False, 100), Turn("ward"))

    taken = take_all(turns)

    assert [one[0] for one in taken[:3]] == ["archive", "ward", "archive"]


def test_steady_urgent_traffic_does_not_stop_routine() -> None:
    turns = queue_of([("ward", False, 0)])
    taken = []
    for number in range(1, 10):
        turns.add(("emergency", True, number), Turn("emergency", is_urgent=True))
        taken.append(turns.take())

    assert ("ward", False, 0) in taken[: URGENT_IN_A_ROW + 1]


def test_nobody_waits() -> None:
    with pytest.raises(LookupError):
        Turns[str]().take()


@given(ARRIVALS, st.sampled_from("abcd"))
def test_crowd_expects_all_that_go_first_and_at_most_one_more_of_each_caller(
    arrivals: list[Arrival], newcomer: str
) -> None:
    turns, crowd = queue_of(arrivals), Crowd()
    for caller, is_urgent, _ in arrivals:
        crowd.add(Turn(caller, is_urgent))
    told = crowd.count_ahead(Turn(newcomer))
    turns.add((newcomer, False, -1), Turn(newcomer))
    taken = take_all(turns)

    gone = [number for _, _, number in taken].index(-1)
    urgent_behind = sum(is_urgent for _, is_urgent, _ in taken[gone:])
    assert gone <= told <= gone + urgent_behind + len(set("abcd") - {newcomer})


def test_crowd_of_one_caller_delays_another_by_one_turn() -> None:
    crowd = Crowd()
    for _ in range(60):
        crowd.add(Turn("archive"))

    assert crowd.count_ahead(Turn("ward")) == 1
    assert crowd.count_ahead(Turn("archive")) == 60
    assert crowd.is_first(Turn("ward"))
    assert not crowd.is_first(Turn("archive"))


@given(ARRIVALS)
def test_crowd_that_left_is_empty(arrivals: list[Arrival]) -> None:
    crowd = Crowd()
    for caller, is_urgent, _ in arrivals:
        crowd.add(Turn(caller, is_urgent))
    count = len(crowd)
    for caller, is_urgent, _ in arrivals:
        crowd.remove(Turn(caller, is_urgent))

    assert (count, len(crowd)) == (len(arrivals), 0)
    assert crowd.count_ahead(Turn("a")) == 0
