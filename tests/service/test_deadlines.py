"""A deadline is about the work here: how slowly an upload comes is its sender's affair."""

from types import SimpleNamespace
from typing import cast

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.admission import Admission
from service.api.predict import case_of
from service.api.problems import UploadTimeout
from service.core.intake import IntakeLimits
from service.record import Mode
from service.runtime import Runtime
from service.settings import Settings
from tests.support.virtual_time import now, until, virtual

DEFAULTS = Settings()
BODY_SECONDS = DEFAULTS.intake.body_seconds
DEADLINE_SECONDS = DEFAULTS.server.deadline_seconds


def runtime() -> Runtime:
    """What the route asks of the composition root, with the limits that a site has by default."""
    admission = Admission(
        max_requests=4, max_in_flight_bytes=1_000, is_queue_full=lambda: False, clock=now
    )
    parts = SimpleNamespace(
        admission=admission, deadline_seconds=DEADLINE_SECONDS, body_seconds=BODY_SECONDS,
        limits=IntakeLimits(), mode=Mode.LIVE,
    )  # fmt: skip
    return cast(Runtime, parts)


def upload(arrives: float) -> Request:
    """A request whose only byte is here after so many seconds."""

    async def receive() -> Message:
        await until(arrives)
        return {"type": "http.request", "body": b"x", "more_body": False}

    state = {"caller": SimpleNamespace(key_id="ward"), "story": {}}
    scope = {"type": "http", "method": "POST", "headers": [], "state": state}
    return Request(scope, receive)


@virtual
async def test_slow_upload_has_as_long_for_its_answer_as_a_fast_one() -> None:
    async with case_of(upload(BODY_SECONDS - 1), runtime(), None) as case:
        assert now() == BODY_SECONDS - 1
        assert case.deadline == now() + DEADLINE_SECONDS


@virtual
async def test_upload_that_does_not_come_is_the_senders_affair() -> None:
    with pytest.raises(UploadTimeout, match="60 seconds"):
        async with case_of(upload(BODY_SECONDS + 1), runtime(), None):
            pass

    assert now() == BODY_SECONDS


@virtual
async def test_own_deadline_of_a_caller_begins_with_its_request() -> None:
    """Its end is kept for telling that there will be no answer."""
    for stated_ms, usable_seconds in ((20_000, 19.95), (600, 0.57)):
        began = now()
        async with case_of(upload(began + 0.5), runtime(), stated_ms) as case:
            assert case.deadline == pytest.approx(began + usable_seconds)


@virtual
async def test_own_deadline_of_a_caller_gives_no_more_time_for_the_upload() -> None:
    with pytest.raises(UploadTimeout):
        async with case_of(upload(BODY_SECONDS + 1), runtime(), 3_600_000):
            pass
