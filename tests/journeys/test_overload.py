"""More than fits: refused in no time, before anything is read or decoded."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.settings import IntakeSettings
from tests.support.apps import OpenApp, SlowUpload, open_app, tiny_settings
from tests.support.radiographs import png_bytes


@pytest.fixture
async def service(tiny_store: Path, tmp_path: Path) -> AsyncIterator[OpenApp]:
    one = IntakeSettings(
        max_requests=1, max_body_bytes=1_000_000, max_in_flight_bytes=1_000_000, body_seconds=60
    )
    async with open_app(tiny_settings(tiny_store, tmp_path, intake=one)) as opened:
        yield opened


async def test_one_too_many_is_told_to_come_back_and_the_first_is_answered(
    service: OpenApp,
) -> None:
    slow = SlowUpload(png_bytes())
    first = asyncio.ensure_future(service.client.post("/predict", content=slow))
    await slow.started.wait()

    second = await service.client.post("/predict", content=png_bytes())
    ready = await service.client.get("/readyz")
    slow.finish.set()

    assert (second.status_code, second.json()["code"]) == (503, "QUEUE_FULL")
    assert int(second.headers["Retry-After"]) >= 1
    assert ready.json()["reasons"] == ["QUEUE_FULL"]
    assert (await first).status_code == 200


async def test_refused_upload_is_not_read(service: OpenApp) -> None:
    slow, unread = SlowUpload(png_bytes()), SlowUpload(png_bytes())
    first = asyncio.ensure_future(service.client.post("/predict", content=slow))
    await slow.started.wait()

    await service.client.post("/predict", content=unread)
    slow.finish.set()
    await first

    assert not unread.started.is_set()


async def test_place_is_free_again_after_the_answer(service: OpenApp) -> None:
    statuses = [
        (await service.client.post("/predict", content=png_bytes())).status_code for _ in range(3)
    ]

    assert statuses == [200, 200, 200]
    assert service.runtime.admission.in_flight_bytes == 0


async def test_drain_answers_the_accepted_and_refuses_the_new(service: OpenApp) -> None:
    slow = SlowUpload(png_bytes())
    first = asyncio.ensure_future(service.client.post("/predict", content=slow))
    await slow.started.wait()

    service.runtime.admission.begin_drain()
    second = await service.client.post("/predict", content=png_bytes())
    slow.finish.set()

    assert (second.status_code, second.json()["code"]) == (503, "SHUTTING_DOWN")
    assert (await first).status_code == 200
    await service.runtime.admission.wait_idle()


async def test_urgent_upload_finds_a_place_in_a_full_house(service: OpenApp) -> None:
    slow = SlowUpload(png_bytes())
    first = asyncio.ensure_future(service.client.post("/predict", content=slow))
    await slow.started.wait()

    urgent = await service.client.post(
        "/predict", content=png_bytes(), headers={"X-Priority": "stat"}
    )
    routine = await service.client.post(
        "/predict", content=png_bytes(), headers={"X-Priority": "routine"}
    )
    slow.finish.set()
    await first

    assert (urgent.status_code, routine.status_code) == (200, 503)


async def test_unknown_priority_is_refused_and_not_taken_for_routine(service: OpenApp) -> None:
    answer = await service.client.post(
        "/predict", content=png_bytes(), headers={"X-Priority": "whenever"}
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
