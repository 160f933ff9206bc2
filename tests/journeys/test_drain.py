"""SIGTERM on the real process: what was accepted is answered, what comes then is refused."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.apps import Service, SlowUpload, running_service
from tests.support.radiographs import png_bytes


async def until(client: httpx.AsyncClient, path: str, words: str) -> None:
    """Ask again and again until the page says so."""
    async with asyncio.timeout(30):
        while words not in (await client.get(path)).text:
            pass


async def drain(service: Service) -> tuple[httpx.Response, httpx.Response]:
    """Answers to the upload that was half-way in at SIGTERM, and to one that came later."""
    slow = SlowUpload(png_bytes())
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        accepted = asyncio.ensure_future(client.post("/predict", content=slow))
        await until(client, "/metrics", "cxr_in_flight_requests 1.0")
        service.process.send_signal(signal.SIGTERM)
        await until(client, "/readyz", "SHUTTING_DOWN")
        late = await client.post("/predict", content=png_bytes())
        slow.finish.set()
        return await accepted, late


@pytest.fixture
async def service(tiny_store: Path, tmp_path: Path) -> AsyncIterator[Service]:
    with running_service(tiny_store, tmp_path) as running:
        yield running


async def test_accepted_upload_is_answered_after_sigterm(service: Service, tmp_path: Path) -> None:
    accepted, late = await drain(service)
    exit_code = service.process.wait(timeout=30)

    log_lines = (tmp_path / "service.log").read_text(encoding="utf-8").splitlines()
    assert accepted.status_code == 200
    assert (late.status_code, late.json()["code"]) == (503, "SHUTTING_DOWN")
    assert exit_code == 0
    assert "service.stopped" in [json.loads(line)["event"] for line in log_lines]
