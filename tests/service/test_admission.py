"""The door: nothing is let in that there is no room for."""

import pytest

from service.admission import Admission
from service.core.errors import QueueFull, ShuttingDown


def build_admission(**changes: int) -> Admission:
    limits = {"max_requests": 2, "max_in_flight_bytes": 100, **changes}
    return Admission(**limits, is_queue_full=lambda: False)


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
