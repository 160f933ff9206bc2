"""Odd headers, names and paths: refused or ignored, and never repeated."""

from pathlib import Path

import httpx
import pytest

from service.access.options import AccessSettings
from service.access.scopes import Scope
from tests.support.access import add_key, bearer
from tests.support.apps import OpenApp
from tests.support.radiographs import png_bytes


async def test_odd_headers_are_refused_and_not_repeated(service: OpenApp) -> None:
    odd: list[list[tuple[bytes, bytes]]] = [
        [(b"Authorization", b"Bearer")],
        [(b"Authorization", b"")],
        [(b"Authorization", b"Bearer \xe2\x98\x83\xff")],
        [(b"Authorization", b"Bearer " + b"A" * 20_000)],
        [(b"X-API-Key", b"cxr_000000000000_"), (b"X-API-Key", b"cxr_")],
        [(b"Cookie", b"__Host-cxr_session=" + b"=;" * 5_000)],
        [(b"Cookie", b"__Host-cxr_session=\xff\xfe; __Host-cxr_session=x")],
    ]

    answers: list[httpx.Response] = [
        await service.client.get("/metrics", headers=headers) for headers in odd
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert [answer for answer in answers if "AAAA" in answer.text or "=;=" in answer.text] == []


@pytest.mark.parametrize(
    "name",
    ["../../../../tmp/owned.dcm", "/etc/passwd", "..\\..\\owned", "a\x00b", "C:\\x", "x" * 5000],
)
async def test_name_of_an_upload_leads_nowhere(
    service: OpenApp, access: AccessSettings, tmp_path: Path, name: str
) -> None:
    text = add_key(access.keys_file, Scope.PREDICT)

    answer = await service.client.post(
        "/predict", files={"file": (name, png_bytes())}, headers=bearer(text)
    )

    assert answer.status_code in (200, 400)
    assert name not in answer.text
    assert strays_in(tmp_path) == []


def strays_in(folder: Path) -> list[str]:
    """Files that the service and its settings do not explain."""
    known = ("keys.json", "shadow.db", "site.key", "drift")
    return [path.name for path in folder.rglob("*") if not path.name.startswith(known)]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-ID": "mine\tX-Evil: 1"}, {"X-Deadline-Ms": "5000\tX-Evil: 1"},
        {"Host": "evil.example"}, {"Origin": "https://evil.example"},
        {"X-Forwarded-Host": "evil.example"}, {"X-HTTP-Method-Override": "DELETE"},
    ],
    ids=lambda headers: next(iter(headers)),
)  # fmt: skip
async def test_no_header_of_a_caller_comes_back(
    service: OpenApp, access: AccessSettings, headers: dict[str, str]
) -> None:
    text = add_key(access.keys_file, Scope.PREDICT)

    answer = await service.client.post(
        "/predict", content=png_bytes(), headers=bearer(text) | headers
    )

    told = " ".join(f"{name}: {value}" for name, value in answer.headers.items())
    assert answer.status_code in (200, 400)
    assert "evil" not in told.lower()
    assert "access-control-allow-origin" not in answer.headers
    assert "mine" not in told
