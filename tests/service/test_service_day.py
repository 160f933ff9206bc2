"""A day of a department, hour by hour, leaves the whole service as it was: memory and series."""

import gc
import itertools
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from service.core.drift_reference import DRIFT_REFERENCE, write_reference
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.drift import tiny_reference
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.radiographs import dicom_bytes, png_bytes

pytestmark = pytest.mark.slow

SCANNERS = {"STATION-1": "room-1", "STATION-2": "room-2"}
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
BETWEEN = timedelta(minutes=4)
WARM_UPLOADS, PART_UPLOADS, PARTS = 150, 60, 6
"""Six times four hours."""

MOST_GROWTH_BYTES = 60_000
"""In the second half: 330 bytes an upload, less than an answer, a row or a trace would take."""

OTHERS = ({"ViewPosition": "LATERAL"}, {"PatientAge": "004Y"}, {"Modality": "CT"})


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[OpenApp]:
    """With a drift reference, so that every scanner has a track."""
    files = {DRIFT_REFERENCE: write_reference(tiny_reference())}
    store = build_tiny_artifact(tmp_path / "store", TinyChoices(extra_files=files))
    async with open_app(tiny_settings(store, tmp_path, scanners=SCANNERS)) as opened:
        yield opened


def uploads() -> Iterator[bytes]:
    """Radiographs of stations on the list and off it, what is not evaluated, and no picture."""
    for number in itertools.count():
        tags = {
            "SOPInstanceUID": f"1.2.826.0.1.3680043.9.7777.3.{number}",
            "StationName": f"STATION-{number % 5 if number % 5 < 3 else number}",
            "SoftwareVersions": f"1.{number // 100}",
            **(OTHERS[number % 3] if number % 10 == 0 else {}),
        }
        yield dicom_bytes(tags=tags) if number % 10 != 5 else png_bytes()
        if number % 25 == 0:
            yield b"no picture %d" % number


async def send(
    service: OpenApp, clock: time_machine.Traveller, bodies: Iterator[bytes], count: int
) -> None:
    for body in itertools.islice(bodies, count):
        clock.shift(BETWEEN)
        await service.client.post("/predict", content=body)
        await service.client.get(f"/nowhere/{len(body)}")
    service.runtime.drift.settle()


async def count_series(service: OpenApp) -> int:
    lines = (await service.client.get("/metrics")).text.splitlines()
    return sum(not line.startswith("#") for line in lines)


@pytest.mark.filterwarnings("ignore")
async def test_memory_and_series_are_flat_over_a_day(service: OpenApp) -> None:
    bodies, series, kept = uploads(), [], []
    with time_machine.travel(MIDNIGHT) as clock:
        await send(service, clock, bodies, WARM_UPLOADS)

        tracemalloc.start()
        for _ in range(PARTS):
            await send(service, clock, bodies, PART_UPLOADS)
            gc.collect()
            kept.append(tracemalloc.get_traced_memory()[0])
            series.append(await count_series(service))
        tracemalloc.stop()
        lived = datetime.now(UTC) - MIDNIGHT - WARM_UPLOADS * BETWEEN

    assert lived >= timedelta(hours=24)
    assert len(set(series)) == 1
    assert kept[-1] - kept[PARTS // 2 - 1] < MOST_GROWTH_BYTES
