"""Requests that a client, a proxy or a load balancer gets wrong, or does its own way."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.settings import IntakeSettings
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.radiographs import dicom_bytes, png_bytes


@pytest.fixture
async def service(tiny_store: Path, tmp_path: Path) -> AsyncIterator[OpenApp]:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Priority", "stat"), ("X-Priority", "routine")],
        [("X-Deadline-Ms", "20000"), ("X-Deadline-Ms", "30000")],
    ],
)
async def test_headers_that_contradict_each_other_are_refused(
    service: OpenApp, headers: list[tuple[str, str]]
) -> None:
    answer = await service.client.post("/predict", content=png_bytes(), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert headers[0][0] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("X-Priority", "STAT", "X-Priority (expected: 'stat' or 'routine')"),
        ("X-Deadline-Ms", "0", "X-Deadline-Ms (expected: greater than or equal to 1)"),
        ("X-Deadline-Ms", "3600001", "X-Deadline-Ms (expected: less than or equal to 3600000)"),
        ("X-Deadline-Ms", "Doe^John", "X-Deadline-Ms"),
    ],
)
async def test_header_out_of_its_bounds_is_told_them_and_never_repeated(
    service: OpenApp, header: str, value: str, expected: str
) -> None:
    answer = await service.client.post("/predict", content=png_bytes(), headers={header: value})

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert answer.json()["detail"] == f"missing or malformed: header.{expected}"


async def test_finding_that_no_map_is_drawn_for_is_told_those_that_are(service: OpenApp) -> None:
    answer = await service.client.post("/explain?finding=normal", content=png_bytes())

    assert "query.finding (expected: 'pneumonia' or 'tuberculosis')" in answer.json()["detail"]


async def test_header_that_is_said_twice_is_one(service: OpenApp) -> None:
    headers = [("X-Priority", "stat"), ("X-Priority", "stat")]

    assert (await service.client.post("/predict", content=png_bytes(), headers=headers)).is_success


@pytest.mark.parametrize(("coding", "told"), [("gzip", "gzip"), ("x-own", "a coding")])
async def test_content_coding_is_refused_by_name(service: OpenApp, coding: str, told: str) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "application/dicom"}

    answer = await service.client.post(
        "/predict", content=gzip.compress(dicom_bytes()), headers=headers
    )

    assert (answer.status_code, answer.json()["code"]) == (415, "UNKNOWN_FORMAT")
    assert f"Content-Encoding: {told};" in answer.json()["detail"]
    assert answer.headers["accept-encoding"] == "identity"


async def test_identity_is_no_coding(service: OpenApp) -> None:
    headers = {"Content-Encoding": "identity"}

    assert (await service.client.post("/predict", content=png_bytes(), headers=headers)).is_success


@pytest.mark.parametrize("is_announced", [True, False])
async def test_form_that_is_too_large_is_told_the_limit_of_a_file(
    tiny_store: Path, tmp_path: Path, is_announced: bool
) -> None:
    settings = tiny_settings(tiny_store, tmp_path, intake=IntakeSettings(max_body_bytes=2_000))
    head = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'

    async def pieces() -> AsyncIterator[bytes]:
        yield head
        yield bytes(30_000)

    async with open_app(settings) as opened:
        answer = await opened.client.post(
            "/predict", content=head + bytes(30_000) if is_announced else pieces(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )  # fmt: skip

    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert "2000 that a file may have" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/model", "/metrics"])
async def test_what_can_be_read_can_be_probed_by_its_head(service: OpenApp, path: str) -> None:
    head = await service.client.head(path)
    body = await service.client.get(path)
    wrong = await service.client.put(path)

    assert (head.status_code, body.status_code, wrong.status_code) == (200, 200, 405)
    assert head.headers["content-type"] == body.headers["content-type"]
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_endless_boundary_is_a_malformed_form(service: OpenApp) -> None:
    kind = f"multipart/form-data; boundary={'b' * 300}"

    answer = await service.client.post("/predict", content=b"x", headers={"Content-Type": kind})

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("digits", ["0" * 5000 + "9" * 40, "9" * 5000])
async def test_absurd_content_length_is_too_large(service: OpenApp, digits: str) -> None:
    answer = await service.client.post(
        "/predict", content=_nothing(), headers={"Content-Length": digits}
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/predict/", (404, "NOT_FOUND")),
        ("/predictions", (404, "NOT_FOUND")),
        ("/healthz", (405, "METHOD_NOT_ALLOWED")),
    ],
)
async def test_wrong_path_is_told_before_the_size_of_the_file(
    service: OpenApp, path: str, expected: tuple[int, str]
) -> None:
    answer = await service.client.post(path, content=bytes(100_000))

    assert (answer.status_code, answer.json()["code"]) == expected


async def test_answer_to_a_slash_too_many_says_so(service: OpenApp) -> None:
    answer = await service.client.post("/predict/", content=png_bytes())

    assert "without a slash" in answer.json()["detail"]


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


async def test_wrong_path_is_never_sent_to_the_host_that_the_caller_claims(
    service: OpenApp,
) -> None:
    answer = await service.client.get("/healthz/", headers={"Host": "elsewhere.example"})

    assert answer.status_code == 404
    assert "location" not in answer.headers
