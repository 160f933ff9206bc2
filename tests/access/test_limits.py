"""Token buckets and shelves: what they grant, and that they stay bounded."""

from hypothesis import given
from hypothesis import strategies as st

from service.access.caller import Caller
from service.access.limits import Buckets
from service.access.sessions import Shelf
from tests.support.clocks import ManualClock


def test_a_minutes_worth_at_once_then_as_many_as_drip_in() -> None:
    clock = ManualClock()
    buckets = Buckets(most=10, clock=clock)

    at_once = [buckets.take("key", 60) for _ in range(61)]
    clock.now += 1.0
    after = [buckets.take("key", 60), buckets.take("key", 60)]

    assert at_once == [0.0] * 60 + [1.0]
    assert after == [0.0, 1.0]


def test_one_holder_does_not_use_up_the_tokens_of_another() -> None:
    buckets = Buckets(most=10, clock=ManualClock())

    first = [buckets.take("one", 1) for _ in range(2)]

    assert first[1] > 0
    assert buckets.take("other", 1) == 0.0


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=60))
def test_never_more_than_a_minutes_worth_and_the_rate(steps: list[tuple[float, int]]) -> None:
    clock = ManualClock()
    buckets, granted, passed = Buckets(most=1, clock=clock), 0, 0.0

    for seconds, asked in steps:
        clock.now += seconds
        passed += seconds
        granted += sum(buckets.take("key", 6) == 0.0 for _ in range(asked))

    assert granted <= 6 + passed * 6 / 60 + 1e-6


def test_number_of_buckets_is_bounded() -> None:
    buckets = Buckets(most=100, clock=ManualClock())

    for number in range(10_000):
        buckets.take(str(number), 5)

    assert len(buckets) == 100


def shelf(clock: ManualClock, most: int = 10) -> Shelf[Caller]:
    return Shelf(most=most, idle_seconds=60, seconds=200, clock=clock)


def test_session_ends_when_nobody_uses_it() -> None:
    clock = ManualClock()
    sessions = shelf(clock)
    name = sessions.put(Caller("anna"))

    clock.now += 60
    in_time = sessions.get(name)
    clock.now += 61

    assert in_time == Caller("anna")
    assert sessions.get(name) is None
    assert len(sessions) == 0


def test_session_ends_by_age_however_busy_it_is() -> None:
    clock = ManualClock()
    sessions = shelf(clock)
    name = sessions.put(Caller("anna"))

    seen = []
    for _ in range(5):
        clock.now += 50
        seen.append(sessions.get(name) is not None)

    assert seen == [True, True, True, True, False]


def test_number_of_sessions_is_bounded_and_the_idlest_goes() -> None:
    sessions = shelf(ManualClock(), most=3)
    names = [sessions.put(Caller(str(number))) for number in range(3)]
    sessions.get(names[0])

    sessions.put(Caller("one more"))

    assert len(sessions) == 3
    assert [sessions.get(name) is not None for name in names] == [True, False, True]


def test_what_was_taken_is_gone_and_names_are_never_alike() -> None:
    sessions = shelf(ManualClock())
    names = {sessions.put(Caller("anna")) for _ in range(5)}

    taken = sessions.take(next(iter(names)))

    assert len(names) == 5
    assert taken == Caller("anna")
    assert sessions.take(next(iter(names))) is None
