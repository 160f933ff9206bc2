"""The door before the real service: limits, log, metric, bodies, and what it says of itself."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.access.options import AccessSettings
from service.access.scopes import Scope
from service.logs import set_up_logs
from tests.support.access import access_on, add_key, bearer, id_of
from tests.support.apps import OpenApp, SlowUpload, open_app, tiny_settings
from tests.support.radiographs import png_bytes


async def test_key_reads_a_radiograph_by_either_header(
    service: OpenApp, access: AccessSettings
) -> None:
    text = add_key(access.keys_file, Scope.PREDICT)

    answers = [
        await service.client.post("/predict", content=png_bytes(), headers=headers)
        for headers in (bearer(text), {"X-API-Key": text}, {"Authorization": f"bearer  {text} "})
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_too_many_requests_of_a_key_are_told_when_to_come_again(
    service: OpenApp, access: AccessSettings
) -> None:
    text = add_key(access.keys_file, Scope.METRICS, requests_per_minute=2)
    other = add_key(access.keys_file, Scope.METRICS, requests_per_minute=2)

    answers = [await service.client.get("/metrics", headers=bearer(text)) for _ in range(3)]
    unharmed = await service.client.get("/metrics", headers=bearer(other))

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "RATE_LIMITED"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 30
    assert unharmed.status_code == 200


async def test_failures_of_an_address_are_limited_and_keep_no_good_key_out(
    tiny_store: Path, tmp_path: Path
) -> None:
    access = access_on(tmp_path, failures_per_minute=3)
    text = add_key(access.keys_file, Scope.METRICS)
    async with open_app(tiny_settings(tiny_store, tmp_path, access=access)) as opened:
        statuses = [
            (await opened.client.get("/metrics", headers=bearer("wrong"))).status_code
            for _ in range(5)
        ]
        good = await opened.client.get("/metrics", headers=bearer(text))

    assert statuses == [401, 401, 401, 429, 429]
    assert good.status_code == 200


async def test_each_refusal_is_logged_once_with_the_id_and_without_the_secret(
    service: OpenApp, access: AccessSettings
) -> None:
    written = io.StringIO()
    text = add_key(access.keys_file, Scope.METRICS)
    set_up_logs("info", written)

    for headers in (
        bearer(text),
        bearer("wrong-secret"),
        {},
        {"Cookie": "__Host-cxr_session=of-somebody"},
    ):
        await service.client.post("/predict", content=b"x", headers=headers)

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "access.refused"]
    assert [line["code"] for line in told] == [
        "SCOPE_MISSING", "CREDENTIALS_INVALID", "CREDENTIALS_MISSING", "CREDENTIALS_MISSING",
    ]  # fmt: skip
    assert {line["route"] for line in told} == {"/predict"}
    assert {line["peer"] for line in told} == {"127.0.0.1"}
    assert told[0]["key_id"] == id_of(text)
    assert [line for line in lines if line["event"] == "triage.completed"] == []
    for secret in (text.split("_", 2)[2], "wrong-secret", "of-somebody"):
        assert secret not in written.getvalue()


async def test_each_refusal_is_counted_by_its_code(
    service: OpenApp, access: AccessSettings
) -> None:
    text = add_key(access.keys_file, Scope.METRICS)
    for _ in range(3):
        await service.client.post("/predict", headers=bearer(text))

    metrics = (await service.client.get("/metrics", headers=bearer(text))).text

    assert 'cxr_problems_total{code="SCOPE_MISSING"} 3.0' in metrics
    assert 'cxr_key_expiry_timestamp_seconds{state="live"} +Inf' in metrics
    assert 'cxr_key_expiry_timestamp_seconds{state="expired"} +Inf' in metrics


async def test_refusal_comes_before_a_byte_of_the_body_is_read(service: OpenApp) -> None:
    upload = SlowUpload(png_bytes())

    async def never_read() -> AsyncIterator[bytes]:
        async for part in upload:
            yield part

    answer = await service.client.post("/predict", content=never_read())

    assert answer.status_code == 401
    assert not upload.started.is_set()
    assert service.runtime.admission.requests == 0


@pytest.mark.parametrize("is_announced", [True, False])
async def test_upload_is_bounded_by_its_key(
    service: OpenApp, access: AccessSettings, is_announced: bool
) -> None:
    body = png_bytes()
    small = add_key(access.keys_file, Scope.PREDICT, max_body_bytes=1000)
    large = add_key(access.keys_file, Scope.PREDICT, max_body_bytes=len(body))

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    answers = [
        await service.client.post(
            "/predict", content=body if is_announced else pieces(), headers=bearer(text)
        )
        for text in (small, large)
    ]

    assert [answer.status_code for answer in answers] == [413, 200]
    assert answers[0].json()["code"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize("is_announced", [True, False])
async def test_form_of_a_page_is_bounded(
    service: OpenApp, access: AccessSettings, is_announced: bool
) -> None:
    text = add_key(access.keys_file, Scope.REVIEW)
    body = b"finding=pneumonia&threshold=0.4&days=" + b"1" * 70_000

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    answer = await service.client.post(
        "/review/thresholds/proposal", content=body if is_announced else pieces(),
        headers=bearer(text) | {"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip

    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert "65536" in answer.json()["detail"]


async def test_damaged_keys_file_refuses_all_and_says_so(
    service: OpenApp, access: AccessSettings
) -> None:
    text = add_key(access.keys_file, Scope.ADMIN)
    access.keys_file.write_bytes(b"{")

    answer = await service.client.get("/metrics", headers=bearer(text))
    ready, alive = await service.client.get("/readyz"), await service.client.get("/healthz")

    assert (answer.status_code, answer.json()["code"]) == (503, "KEYS_UNAVAILABLE")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["KEYS_UNAVAILABLE"])
    assert alive.status_code == 200
    assert str(access.keys_file) not in answer.text


async def test_service_without_a_keys_file_starts_and_is_not_ready(
    tiny_store: Path, tmp_path: Path, access: AccessSettings
) -> None:
    async with open_app(tiny_settings(tiny_store, tmp_path, access=access)) as opened:
        before = await opened.client.get("/readyz")
        add_key(access.keys_file, Scope.PREDICT)
        after = await opened.client.get("/readyz")

    assert (before.status_code, after.status_code) == (503, 200)


async def test_every_answer_carries_the_headers_that_keep_it_to_itself(
    service: OpenApp, access: AccessSettings
) -> None:
    headers = bearer(add_key(access.keys_file, Scope.ADMIN))
    paths = (
        "/healthz",
        "/readyz",
        "/model",
        "/metrics",
        "/docs",
        "/nowhere",
        "/review",
        "/predict",
    )

    answers = [await service.client.get(path, headers=headers) for path in paths]
    answers.append(await service.client.get("/metrics"))

    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] in ("no-referrer", "same-origin")
        assert "geolocation=()" in answer.headers["Permissions-Policy"]
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "server" not in answer.headers
