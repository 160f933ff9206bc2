"""A PostgreSQL that falls silent, as behind a firewall that forgot the connection: no upload hangs,
readiness tells it, and the process can end."""

import asyncio
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from service.record import open_reader
from tests.support.apps import Service, running_service
from tests.support.databases import POSTGRESQL, empty_database
from tests.support.postgresql import missing_server
from tests.support.programs import needs
from tests.support.radiographs import dicom_bytes, png_bytes
from tests.support.relay import Relay, relaying_to

pytestmark = [needs(missing_server()), pytest.mark.slow]

TOLD_SECONDS = 20
"""Both connections of a look-up, the old one and a new one, are given up by then."""


@dataclass(frozen=True, slots=True)
class Site:
    """A service, and the relay on its way to the database."""

    service: Service
    relay: Relay
    database: str


@pytest.fixture
def site(tiny_store: Path, tmp_path: Path) -> Iterator[Site]:
    with empty_database(POSTGRESQL, tmp_path) as database:
        address = make_url(database)
        assert address.port is not None
        with relaying_to(address.port) as relay:
            through = address.set(port=relay.port).render_as_string(hide_password=False)
            with running_service(tiny_store, tmp_path, CXR_RECORD__URL=through) as service:
                yield Site(service, relay, database)


async def _until(client: httpx.AsyncClient, status_code: int) -> None:
    """Ask until the service says so of its readiness."""
    async with asyncio.timeout(60):
        while (await client.get("/readyz")).status_code != status_code:
            pass


@pytest.mark.parametrize("body", [dicom_bytes(), png_bytes()], ids=["looked up", "appended"])
async def test_upload_is_refused_and_readiness_tells_it(site: Site, body: bytes) -> None:
    async with httpx.AsyncClient(base_url=site.service.url, timeout=60) as client:
        first = await client.post("/predict", content=png_bytes())
        site.relay.fall_silent()
        began = time.monotonic()
        refused = await client.post("/predict", content=body)
        waited = time.monotonic() - began
        told = await client.get("/readyz")

    assert first.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (503, "RECORD_UNAVAILABLE")
    assert (told.status_code, "RECORD_UNAVAILABLE" in told.text) == (503, True)
    assert waited < TOLD_SECONDS


async def test_caller_in_a_hurry_leaves_readiness_behind(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.service.url, timeout=60) as client:
        site.relay.fall_silent()
        hurried = await client.post(
            "/predict", content=png_bytes(), headers={"X-Deadline-Ms": "2000"}
        )
        await _until(client, 503)

    assert hurried.json()["code"] == "DEADLINE_EXCEEDED"


async def test_next_upload_has_its_row_once_the_server_speaks_again(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.service.url, timeout=60) as client:
        site.relay.fall_silent()
        await client.post("/predict", content=png_bytes())
        site.relay.resume()
        await _until(client, 200)
        answered = await client.post("/predict", content=png_bytes())
    reader = open_reader(site.database)
    newest = reader.rows()[-1].entry.id
    report = reader.verify()
    reader.close()

    assert answered.json()["id"] == newest
    assert report.is_whole


async def test_process_ends_though_the_server_says_nothing(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.service.url, timeout=60) as client:
        site.relay.fall_silent()
        upload = asyncio.create_task(client.post("/predict", content=png_bytes()))
        await asyncio.sleep(1)
        site.service.process.send_signal(signal.SIGTERM)
        refused = await upload
    code = await asyncio.to_thread(site.service.process.wait, 40)

    assert refused.json()["code"] == "RECORD_UNAVAILABLE"
    assert code == 0
