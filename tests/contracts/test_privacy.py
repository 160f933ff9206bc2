"""Nothing that identifies a patient leaves: not by answer, log, metric, row or error."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from service.logs import set_up_logs
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.radiographs import sentinel_dicom_bytes

VARIANTS = {
    "evaluated": ({}, 200),
    "outside the intended use": ({"ViewPosition": "LATERAL"}, 200),
    "another modality": ({"Modality": "CT"}, 200),
    "damaged": ({"Rows": 9999}, 422),
    "odd values": ({"PatientAge": "ZQAGE", "PixelSpacing": None}, 200),
}


@pytest.fixture
def log_lines() -> io.StringIO:
    stream = io.StringIO()
    set_up_logs("debug", stream)
    return stream


@pytest.fixture
async def service(
    tiny_store: Path, tmp_path: Path, log_lines: io.StringIO
) -> AsyncIterator[OpenApp]:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as opened:
        yield opened


def found(sentinels: tuple[str, ...], traces: bytes) -> list[str]:
    """Sentinels that got out."""
    return [sentinel for sentinel in sentinels if sentinel.encode() in traces]


def written(folder: Path) -> bytes:
    """Every file of a folder."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


def told(response: httpx.Response) -> bytes:
    """Headers and body."""
    return repr(response.headers).encode() + response.content


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("tags", "status"), VARIANTS.values(), ids=VARIANTS)
async def test_no_identifying_value_gets_out(
    service: OpenApp,
    tmp_path: Path,
    log_lines: io.StringIO,
    tags: dict[str, object],
    status: int,
) -> None:
    body, sentinels = sentinel_dicom_bytes(tags)

    answers = [await service.client.post("/predict", content=body) for _ in range(2)]
    others = [
        await service.client.post("/explain", content=body),
        await service.client.post("/predict", files={"ZQPatientID": ("ZQPatientID.dcm", body)}),
        await service.client.get("/metrics"),
    ]

    assert [answer.status_code for answer in answers] == [status, status]
    assert found(sentinels, b"".join(map(told, [*answers, *others]))) == []
    assert found(sentinels, log_lines.getvalue().encode()) == []
    assert found(sentinels, written(tmp_path)) == []
    assert log_lines.getvalue().count("triage.completed") == 3
