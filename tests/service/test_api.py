"""The routes over ASGI: what callers get, whatever they send."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from service.api.schemas import Answer, ModelBody, ShadowAnswer
from service.settings import IntakeSettings
from tests.support.apps import OpenApp, call_and_leave, open_app, tiny_settings
from tests.support.radiographs import dicom_bytes, jpeg_bytes, png_bytes


@pytest.fixture
async def service(tiny_store: Path, tmp_path: Path) -> AsyncIterator[OpenApp]:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as opened:
        yield opened


@pytest.fixture
async def shadow(tiny_store: Path, tmp_path: Path) -> AsyncIterator[OpenApp]:
    async with open_app(tiny_settings(tiny_store, tmp_path, mode="shadow")) as opened:
        yield opened


@pytest.mark.parametrize("body", [png_bytes(), jpeg_bytes(), dicom_bytes()])
async def test_radiograph_is_answered_as_documented(service: OpenApp, body: bytes) -> None:
    response = await service.client.post("/predict", content=body)

    answer = Answer.model_validate(response.json())
    assert response.status_code == 200
    assert answer.status == "evaluated"
    assert answer.probabilities is not None
    assert sum(answer.probabilities.values()) == pytest.approx(1)


async def test_form_and_raw_body_are_scored_alike(service: OpenApp) -> None:
    raw = await service.client.post("/predict", content=png_bytes())
    form = await service.client.post("/predict", files={"file": ("x.dcm", png_bytes())})

    assert form.json()["probabilities"] == raw.json()["probabilities"]


async def test_content_decides_against_the_header(service: OpenApp) -> None:
    headers = {"Content-Type": "application/dicom"}

    response = await service.client.post("/predict", content=png_bytes(), headers=headers)

    assert response.status_code == 200


async def test_every_answer_has_its_own_request_id(service: OpenApp) -> None:
    paths = ("/healthz", "/nowhere", "/model", "/metrics", "/docs")

    responses = [await service.client.get(path) for path in paths]

    assert len({response.headers["X-Request-ID"] for response in responses}) == len(paths)


async def test_problem_names_the_request_of_its_log_line(service: OpenApp) -> None:
    response = await service.client.post("/predict", content=b"text")

    assert response.json()["request_id"] == response.headers["X-Request-ID"]


async def test_shadow_answer_is_the_same_whatever_the_radiograph_shows(shadow: OpenApp) -> None:
    bodies = (
        png_bytes(),
        dicom_bytes(),
        dicom_bytes(view="LATERAL", tags={"SOPInstanceUID": "1.2"}),
    )

    responses = [await shadow.client.post("/predict", content=body) for body in bodies]

    assert {response.status_code for response in responses} == {202}
    assert {tuple(response.json()) for response in responses} == {("id", "mode", "notice")}
    assert ShadowAnswer.model_validate(responses[0].json()).mode == "shadow"


async def test_attention_is_not_drawn_in_shadow_mode(shadow: OpenApp) -> None:
    response = await shadow.client.post("/explain", content=png_bytes())

    assert response.status_code == 403
    assert response.json()["code"] == "SHADOW_MODE"


async def test_overlay_is_a_picture_of_the_finding_that_was_asked_for(service: OpenApp) -> None:
    response = await service.client.post("/explain?finding=tuberculosis", content=png_bytes())

    picture = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_COLOR)
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["X-Finding"] == "tuberculosis"
    assert picture is not None
    assert picture.shape == (256, 224, 3)


async def test_lateral_view_has_no_overlay(service: OpenApp) -> None:
    response = await service.client.post("/explain", content=dicom_bytes(view="LATERAL"))

    assert response.status_code == 422
    assert response.json()["reason"] == "VIEW_LATERAL"


@pytest.mark.parametrize("value", ["0", "-5", "soon", "1e3"])
async def test_malformed_deadline_is_refused(service: OpenApp, value: str) -> None:
    response = await service.client.post(
        "/predict", content=png_bytes(), headers={"X-Deadline-Ms": value}
    )

    assert response.status_code == 400
    assert response.json()["code"] == "INVALID_REQUEST"


async def test_deadline_that_cannot_be_met_is_answered_503(service: OpenApp) -> None:
    body = dicom_bytes(np.zeros((3000, 3000), np.uint16))

    response = await service.client.post("/predict", content=body, headers={"X-Deadline-Ms": "1"})

    assert response.status_code == 503
    assert response.json()["code"] == "DEADLINE_EXCEEDED"
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("is_whole", [True, False])
async def test_client_that_leaves_is_counted_and_frees_its_place(
    service: OpenApp, is_whole: bool
) -> None:
    await call_and_leave(service.app, png_bytes(), is_whole=is_whole)

    metrics = (await service.client.get("/metrics")).text
    assert 'cxr_problems_total{code="INTERNAL"} 0.0' in metrics
    assert 'cxr_radiographs_total{outcome="cancelled"} 1.0' in metrics
    assert service.runtime.admission.requests == 0


async def never_ending() -> AsyncIterator[bytes]:
    yield b"\x89PNG"
    await asyncio.Event().wait()


async def test_deadline_that_passes_during_the_upload_is_told_as_such(service: OpenApp) -> None:
    response = await service.client.post(
        "/predict", content=never_ending(), headers={"X-Deadline-Ms": "50"}
    )

    assert (response.status_code, response.json()["code"]) == (408, "UPLOAD_TIMEOUT")
    assert "within 0.05 seconds" in response.json()["detail"]


async def test_upload_that_never_ends_is_given_up(tiny_store: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_store, tmp_path, intake=IntakeSettings(body_seconds=0.05))

    async with open_app(settings) as opened:
        response = await opened.client.post("/predict", content=never_ending())

    assert response.status_code == 408
    assert response.json()["code"] == "UPLOAD_TIMEOUT"


async def test_model_page_says_what_serves_and_for_what(service: OpenApp) -> None:
    response = await service.client.get("/model")

    model = ModelBody.model_validate(response.json())
    assert model.digest == service.runtime.model.stamp.digest
    assert {point.purpose for point in model.operating_points} == {"flag", "refer"}
    assert "not a medical device" in model.notice.lower()


async def test_ready_only_while_a_radiograph_would_be_answered(service: OpenApp) -> None:
    ready = await service.client.get("/readyz")
    service.runtime.admission.begin_drain()
    draining = await service.client.get("/readyz")

    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})
    assert draining.status_code == 503
    assert draining.json()["reasons"] == ["SHUTTING_DOWN"]


async def test_docs_ask_no_other_host(service: OpenApp) -> None:
    page = (await service.client.get("/docs")).text

    assert '<html lang="en">' in page
    assets = [part.split('"')[0] for part in page.split('="')[1:] if part.startswith("/docs/")]
    loaded = [await service.client.get(asset) for asset in assets]
    assert "http" not in page.replace("http-equiv", "")
    assert {response.status_code for response in loaded} == {200}
    assert len(loaded) == 5


async def test_wrong_method_names_the_right_one(service: OpenApp) -> None:
    response = await service.client.get("/predict")

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


async def test_forgotten_error_is_answered_without_a_word_of_it(
    service: OpenApp, tmp_path: Path
) -> None:
    service.app.add_api_route("/boom", _raise_secret)

    response: httpx.Response = await service.client.get("/boom")

    assert response.status_code == 500
    assert response.json()["code"] == "INTERNAL"
    assert "JANE" not in response.text
    assert str(tmp_path) not in response.text


async def _raise_secret() -> None:
    raise RuntimeError("patient JANE")


async def test_metrics_in_shadow_mode_do_not_tell_what_an_upload_got(shadow: OpenApp) -> None:
    def told(text: str) -> list[str]:
        names = ("cxr_probability", "cxr_priorities", "cxr_flags")
        return [line for line in text.splitlines() if line.startswith(names)]

    before = told((await shadow.client.get("/metrics")).text)
    answer = await shadow.client.post("/predict", content=png_bytes())
    after = told((await shadow.client.get("/metrics")).text)

    assert answer.status_code == 202
    assert before
    assert after == before
