"""A full house tells who is at its door, and leaves to the route what only the route may judge."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from service.admission import Admission
from service.api.predict import MAX_DEADLINE_MS
from service.settings import IntakeSettings
from service.turns import Turn
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.radiographs import png_bytes

CALLER = Turn("127.0.0.1")
"""Who the test client is."""

FULL = (503, "QUEUE_FULL")
MALFORMED = (400, "INVALID_REQUEST")


@pytest_asyncio.fixture
async def full_house(tiny_store: Path, tmp_path: Path) -> AsyncIterator[OpenApp]:
    settings = tiny_settings(tiny_store, tmp_path, intake=IntakeSettings(max_requests=1))
    async with open_app(settings) as opened:
        with opened.runtime.admission.enter(CALLER):
            yield opened


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the routes that were asked."""
    paths: list[str] = []
    handle = APIRoute.handle

    async def note(self: APIRoute, scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(self.path)
        await handle(self, scope, receive, send)

    monkeypatch.setattr(APIRoute, "handle", note)
    return paths


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"X-Deadline-Ms": "5000"}, {"X-Deadline-Ms": str(MAX_DEADLINE_MS)},
        {"X-Priority": "routine"},
    ],
)  # fmt: skip
async def test_upload_that_finds_no_room_gets_no_further_than_the_door(
    full_house: OpenApp, routed: list[str], headers: dict[str, str]
) -> None:
    answer = await full_house.client.post("/predict", content=png_bytes(), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == FULL
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert routed == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Deadline-Ms": "0"}, {"X-Deadline-Ms": "-1"}, {"X-Deadline-Ms": "soon"},
        {"X-Deadline-Ms": "²"}, {"X-Deadline-Ms": str(MAX_DEADLINE_MS + 1)},
        {"X-Deadline-Ms": "9" * 5000}, {"X-Deadline-Ms": ""}, {"X-Priority": "now"},
    ],
)  # fmt: skip
async def test_malformed_header_is_told_also_in_a_full_house(
    full_house: OpenApp, routed: list[str], headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await full_house.client.post("/predict", content=png_bytes(), headers=raw)

    assert (answer.status_code, answer.json()["code"]) == MALFORMED
    assert routed == ["/predict"]


async def test_urgent_upload_finds_its_place(full_house: OpenApp) -> None:
    headers = {"X-Priority": "stat"}
    answer = await full_house.client.post("/predict", content=png_bytes(), headers=headers)

    assert answer.status_code == 200


async def test_first_upload_of_another_caller_finds_its_place(
    tiny_store: Path, tmp_path: Path
) -> None:
    settings = tiny_settings(tiny_store, tmp_path, intake=IntakeSettings(max_requests=1))
    async with open_app(settings) as opened:
        with opened.runtime.admission.enter(Turn("archive")):
            answer = await opened.client.post("/predict", content=png_bytes())

    assert answer.status_code == 200


async def test_other_pages_are_open_in_a_full_house(full_house: OpenApp) -> None:
    asked = [await full_house.client.get(path) for path in ("/healthz", "/model", "/predict")]

    assert [answer.status_code for answer in asked] == [200, 200, 405]


async def test_refusal_at_the_door_is_counted_like_any(full_house: OpenApp) -> None:
    await full_house.client.post("/predict", content=png_bytes())

    metrics = (await full_house.client.get("/metrics")).text
    assert 'cxr_radiographs_total{outcome="unavailable"} 1.0' in metrics
    assert 'cxr_problems_total{code="QUEUE_FULL"} 1.0' in metrics


async def test_service_that_stops_says_so_at_the_door(
    full_house: OpenApp, routed: list[str]
) -> None:
    full_house.runtime.admission.begin_drain()
    answer = await full_house.client.post("/predict", content=png_bytes())

    assert (answer.status_code, answer.json()["code"]) == (503, "SHUTTING_DOWN")
    assert routed == []


async def test_door_and_route_agree_how_long_an_answer_may_take(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knock, asked = Admission.knock, list[float]()

    def note(admission: Admission, turn: Turn, *, seconds: float) -> None:
        asked.append(seconds)
        knock(admission, turn, seconds=seconds)

    monkeypatch.setattr(Admission, "knock", note)

    async with open_app(tiny_settings(tiny_store, tmp_path)) as opened:
        for headers in ({}, {"X-Deadline-Ms": "5000"}):
            await opened.client.post("/predict", content=png_bytes(), headers=headers)

    at_door, at_route = asked[0::2], asked[1::2]
    assert at_door == at_route
    assert at_door[1] < 5 < at_door[0]
