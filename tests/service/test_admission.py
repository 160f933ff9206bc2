"""The door: nothing is let in that there is no room for."""

from contextlib import ExitStack, suppress

import pytest

from service.admission import ALWAYS_LET_IN, LEAST_TELLING, UNDER_WAY, Admission
from service.core.errors import DeadlineExceeded, QueueFull, ShuttingDown
from service.pace import LEAST_ANSWERS, MOST_FACTOR
from service.turns import SPARE_PLACES, Turn
from tests.support.clocks import ManualClock

STAT = Turn("emergency", is_urgent=True)


def build_admission(*, max_requests: int = 2, max_in_flight_bytes: int = 100) -> Admission:
    return Admission(
        max_requests=max_requests,
        max_in_flight_bytes=max_in_flight_bytes,
        is_queue_full=lambda: False,
    )


def test_one_more_than_may_be_in_progress_is_refused() -> None:
    admission = build_admission(max_requests=1)

    with admission.enter(), pytest.raises(QueueFull), admission.enter():
        pass

    assert not admission.is_full


def test_full_queue_refuses_at_the_door() -> None:
    admission = Admission(max_requests=9, max_in_flight_bytes=9, is_queue_full=lambda: True)

    with pytest.raises(QueueFull), admission.enter():
        pass


def test_bytes_of_all_uploads_together_are_bounded() -> None:
    admission = build_admission(max_in_flight_bytes=100)

    with admission.enter() as first, admission.enter() as second:
        first.reserve(60)
        with pytest.raises(QueueFull):
            second.reserve(41)
        second.reserve(40)
        assert admission.in_flight_bytes == 100

    assert admission.in_flight_bytes == 0


def test_place_is_given_back_when_its_upload_fails() -> None:
    admission = build_admission(max_requests=1)

    with pytest.raises(QueueFull), admission.enter() as place:
        place.reserve(1_000)

    assert (admission.requests, admission.in_flight_bytes) == (0, 0)


async def test_drain_refuses_newcomers_and_waits_for_the_accepted() -> None:
    admission = build_admission()

    with admission.enter():
        admission.begin_drain()
        with pytest.raises(ShuttingDown), admission.enter():
            pass

    await admission.wait_idle()
    assert admission.requests == 0


def build_busy(clock: ManualClock, stack: ExitStack, *, waiting: int) -> Admission:
    """So many wait, and answers have left once a second."""
    admission = Admission(
        max_requests=100, max_in_flight_bytes=100, is_queue_full=lambda: False, clock=clock
    )
    for _ in range(waiting):
        stack.enter_context(admission.enter()).begin_work(1000)
    for _ in range(LEAST_ANSWERS):
        with admission.enter() as place:
            place.begin_work(1000)
            clock.advance(1)
    return admission


def _fail(admission: Admission) -> None:
    """An upload that turns out to be damaged."""
    with suppress(ValueError), admission.enter() as place:
        place.begin_work(1000)
        raise ValueError("damaged")


def test_upload_that_would_be_late_at_the_present_pace_is_refused_at_the_door() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=9)

        with pytest.raises(DeadlineExceeded) as refusal, admission.enter(seconds=10):
            pass
        with admission.enter(seconds=15):
            pass

    assert refusal.value.retry_after_seconds == pytest.approx(1.5)


def test_upload_that_took_too_long_to_arrive_is_refused_before_it_is_read() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=9)

        with admission.enter(seconds=15) as place, pytest.raises(DeadlineExceeded):
            place.begin_work(10)


def test_urgent_upload_counts_only_urgent_ones_ahead() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=9)

        with admission.enter(STAT, seconds=2) as place:
            place.begin_work(2)


def test_few_in_progress_are_never_refused_for_their_deadline() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=ALWAYS_LET_IN - 1)

        with admission.enter(seconds=0.001) as place:
            place.begin_work(0.001)


def test_pace_is_forgotten_once_nobody_waits() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=9)
    with admission.enter() as place:
        place.begin_work(1000)

    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(admission.enter(seconds=0.1)).begin_work(0.1)


def test_uploads_that_still_arrive_are_not_ahead_of_anybody() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=ALWAYS_LET_IN)
        for _ in range(50):
            stack.enter_context(admission.enter())

        with admission.enter(seconds=6) as place:
            place.begin_work(6)


def test_failed_upload_says_nothing_of_the_pace() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=9)
        for _ in range(60):
            _fail(admission)

        with pytest.raises(DeadlineExceeded), admission.enter(seconds=10):
            pass


def test_late_answers_make_the_door_more_careful() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=LEAST_TELLING + 4)
        with admission.enter(seconds=28):  # 21 seconds are expected
            pass

        for _ in range(40):
            _give_up(admission, clock, after_seconds=40)

        with pytest.raises(DeadlineExceeded), admission.enter(seconds=28):
            pass
        with admission.enter(seconds=28 * MOST_FACTOR):
            pass


def test_short_waits_do_not_tell_how_sure_the_pace_is() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=LEAST_TELLING - 4)

        for _ in range(40):
            _give_up(admission, clock, after_seconds=40)

        with admission.enter(seconds=20):  # 13 seconds are expected
            pass


def _give_up(admission: Admission, clock: ManualClock, *, after_seconds: float) -> None:
    """An upload that is let in and finds no answer in time."""
    with suppress(DeadlineExceeded), admission.enter() as place:
        place.begin_work(1000)
        clock.advance(after_seconds)
        raise DeadlineExceeded("late")


def test_pace_is_forgotten_however_the_last_one_ended() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=9)
    _fail(admission)
    clock.advance(3600)

    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(admission.enter(seconds=0.1)).begin_work(0.1)


def test_archive_of_one_caller_refuses_no_other_caller_for_its_deadline() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=60)

        with pytest.raises(DeadlineExceeded), admission.enter(seconds=20):
            pass
        with admission.enter(Turn("ward"), seconds=20) as place:  # 9 seconds are expected
            place.begin_work(20)


def test_what_is_under_way_is_ahead_of_everybody() -> None:
    clock = ManualClock()
    with ExitStack() as stack:
        admission = build_busy(clock, stack, waiting=60)

        with pytest.raises(DeadlineExceeded), admission.enter(Turn("ward"), seconds=UNDER_WAY):
            pass


def test_full_house_has_places_for_the_first_of_another_caller_and_not_without_end() -> None:
    admission = build_admission(max_requests=1)
    with ExitStack() as stack:
        stack.enter_context(admission.enter(Turn("archive")))
        for number in range(SPARE_PLACES):
            stack.enter_context(admission.enter(Turn(f"ward {number}")))
            with pytest.raises(QueueFull), admission.enter(Turn(f"ward {number}")):
                pass

        with pytest.raises(QueueFull), admission.enter(Turn("one more")):
            pass

    assert admission.requests == 0


def test_full_house_has_places_for_urgent_uploads() -> None:
    admission = build_admission(max_requests=1)
    with ExitStack() as stack:
        stack.enter_context(admission.enter())
        with pytest.raises(QueueFull), admission.enter():
            pass

        for _ in range(SPARE_PLACES):
            stack.enter_context(admission.enter(STAT))
        with pytest.raises(QueueFull), admission.enter(STAT):
            pass

    assert admission.requests == 0
