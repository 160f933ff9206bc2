"""Whatever arrives is answered with a coded problem, never with a 500."""

import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from service.settings import IntakeSettings
from tests.support.apps import OpenApp, SlowUpload, open_app, tiny_settings
from tests.support.radiographs import dicom_bytes, jpeg_bytes, png_bytes

JSON = {"Content-Type": "application/json"}
UNBOUND = {"Content-Type": "multipart/form-data"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def huge_png(side_px: int = 20_000) -> bytes:
    """A few hundred bytes whose header promises 400 million pixels."""
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def part(name: str, body: bytes = b"text") -> bytes:
    """One part of a form whose boundary is `x`."""
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'
    return head.encode() + body + b"\r\n"


GARBAGE = {
    "nothing": (b"", {}, 400, "EMPTY_UPLOAD"),
    "text": (b"hello", {}, 415, "UNKNOWN_FORMAT"),
    "JSON": (b'{"image": "..."}', JSON, 415, "UNKNOWN_FORMAT"),
    "half a PNG": (png_bytes()[:5000], {}, 422, "DAMAGED_FILE"),
    "half a JPEG": (jpeg_bytes()[:3000], {}, 422, "DAMAGED_FILE"),
    "half a DICOM file": (dicom_bytes()[:40_000], {}, 422, "PIXEL_DATA_DAMAGED"),
    "one pixel": (png_bytes(np.zeros((1, 1), np.uint8)), {}, 422, "IMAGE_TOO_SMALL"),
    "20,000 x 20,000": (huge_png(), {}, 413, "IMAGE_TOO_LARGE"),
    "form without a boundary": (b"x", UNBOUND, 400, "INVALID_REQUEST"),
    "form that is none": (b"not a form", FORM, 400, "INVALID_REQUEST"),
    "empty form": (b"--x--\r\n", FORM, 400, "INVALID_REQUEST"),
    "form that ends early": (part("file"), FORM, 400, "INVALID_REQUEST"),
    "form of an empty file": (part("file", b"") + b"--x--\r\n", FORM, 400, "EMPTY_UPLOAD"),
    "form with another field": (part("image") + b"--x--\r\n", FORM, 400, "INVALID_REQUEST"),
    "form with two files": (part("file") * 2 + b"--x--\r\n", FORM, 400, "INVALID_REQUEST"),
}  # fmt: skip


@pytest.fixture
async def service(tiny_store: Path, tmp_path: Path) -> AsyncIterator[OpenApp]:
    limits = IntakeSettings(max_body_bytes=2_000_000)
    async with open_app(tiny_settings(tiny_store, tmp_path, intake=limits)) as opened:
        yield opened


@pytest.mark.parametrize(("body", "headers", "status", "code"), GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("path", ["/predict", "/explain"])
async def test_garbage_is_answered_with_its_code(
    service: OpenApp, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    response = await service.client.post(path, content=body, headers=headers)

    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert service.runtime.record.reader.count() == 0


async def test_body_beyond_the_limit_is_refused_by_its_announcement(service: OpenApp) -> None:
    unread = SlowUpload(png_bytes())
    headers = {"Content-Length": "2000001"}

    response = await service.client.post("/predict", content=unread, headers=headers)

    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert not unread.started.is_set()


async def test_body_beyond_the_limit_is_refused_without_an_announcement(service: OpenApp) -> None:
    sent: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent.append(100_000)
            yield bytes(100_000)

    response = await service.client.post("/predict", content=endless())

    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert sum(sent) < 2_300_000
    assert service.runtime.admission.in_flight_bytes == 0
