"""SIGTERM on the real process: what was accepted is answered, what comes then is refused."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from service.core.artifact import load_current
from service.cores import count_cores
from service.record import open_reader
from tests.support.apps import Service, SlowUpload, running_service
from tests.support.gated_engine import until as until_true
from tests.support.gated_service import DECODER, ENGINE, GATES, RECORD
from tests.support.radiographs import png_bytes


async def until(client: httpx.AsyncClient, path: str, words: str) -> None:
    """Ask again and again until the page says so."""
    async with asyncio.timeout(30):
        while words not in (await client.get(path)).text:
            pass


async def drain(
    service: Service, signal_number: int = signal.SIGTERM
) -> tuple[httpx.Response, httpx.Response]:
    """Answers to the upload that was half-way in at SIGTERM, and to one that came later."""
    slow = SlowUpload(png_bytes())
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        accepted = asyncio.ensure_future(client.post("/predict", content=slow))
        await until(client, "/metrics", "cxr_in_flight_requests 1.0")
        service.process.send_signal(signal_number)
        await until(client, "/readyz", "SHUTTING_DOWN")
        late = await client.post("/predict", content=png_bytes())
        slow.finish.set()
        return await accepted, late


@pytest.fixture
async def service(tiny_store: Path, tmp_path: Path) -> AsyncIterator[Service]:
    earlier = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` hands on that it is ignored
    try:
        with running_service(tiny_store, tmp_path) as running:
            yield running
    finally:
        signal.signal(signal.SIGHUP, earlier)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGHUP])
async def test_accepted_upload_is_answered_after_the_signal(
    service: Service, tmp_path: Path, signal_number: int
) -> None:
    accepted, late = await drain(service, signal_number)
    exit_code = service.process.wait(timeout=30)

    log_lines = (tmp_path / "service.log").read_text(encoding="utf-8").splitlines()
    assert accepted.status_code == 200
    assert (late.status_code, late.json()["code"]) == (503, "SHUTTING_DOWN")
    assert [answer.headers.get("connection") for answer in (accepted, late)] == ["close", "close"]
    assert exit_code == 0
    assert "service.stopped" in [json.loads(line)["event"] for line in log_lines]


async def test_upload_that_never_ends_holds_up_the_end_once(
    tiny_store: Path, tmp_path: Path
) -> None:
    slow = SlowUpload(png_bytes())
    limit = {"CXR_SERVER__DRAIN_SECONDS": str(DRAIN_SECONDS)}
    with running_service(tiny_store, tmp_path, **limit) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
            endless = asyncio.ensure_future(client.post("/predict", content=slow))
            await until(client, "/metrics", "cxr_in_flight_requests 1.0")
            service.process.send_signal(signal.SIGTERM)
            exit_code = await asyncio.to_thread(service.process.wait, timeout=60)
            endless.cancel()
            await asyncio.gather(endless, return_exceptions=True)

    log = [json.loads(line) for line in (tmp_path / "service.log").read_text("utf-8").splitlines()]
    at = {line["event"]: datetime.fromisoformat(line["timestamp"]) for line in log}
    assert exit_code == 0
    drained, stopped = at["service.drain_timed_out"], at["service.stopped"]
    assert drained - at["service.draining"] >= timedelta(seconds=DRAIN_SECONDS - 0.1)
    assert stopped - drained < timedelta(seconds=DRAIN_SECONDS)


DRAIN_SECONDS = 7
"""More than what follows a drain may take, on a machine that is busy."""

EACH = 4
"""Uploads in each stage: more than there are threads for it."""


class Gates:
    """Named pipes in a folder, at which the threads of the service wait."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def closed(self, name: str) -> Iterator[None]:
        """Whoever comes waits until the end of the block."""
        os.mkfifo(self._folder / name)
        try:
            yield
        finally:
            pipe = os.open(self._folder / name, os.O_RDWR)
            (self._folder / name).unlink()
            os.close(pipe)

    def seen(self, name: str) -> int:
        """How many came to it while it was closed."""
        note = self._folder / f"{name}.seen"
        return sum(map(int, note.read_text("utf-8").split())) if note.exists() else 0


class Crowd:
    """Uploads in every stage of a service that waits at gates.

    Parameters
    ----------
    views
        Pictures that the engine is given for each upload.
    """

    def __init__(self, client: httpx.AsyncClient, gates: Gates, views: int) -> None:
        self._client = client
        self._gates = gates
        self._views = views
        self._slow = [SlowUpload(png_bytes()) for _ in range(EACH)]
        self._sent: list[asyncio.Task[httpx.Response]] = []

    async def fill(self, closed: ExitStack) -> None:
        """The last stage first: a gate is closed, and who comes stays there."""
        closed.enter_context(self._gates.closed(RECORD))
        self._send([png_bytes()] * EACH)
        await until(self._client, "/metrics", f"cxr_shadow_pending_rows {EACH}.0")
        closed.enter_context(self._gates.closed(ENGINE))
        self._send([png_bytes()] * EACH)
        async with asyncio.timeout(30):
            while self._gates.seen(ENGINE) // self._views + await self._queued() < EACH:
                pass
        closed.enter_context(self._gates.closed(DECODER))
        self._send([png_bytes()] * EACH)
        await until_true(lambda: self._gates.seen(DECODER) == count_cores())
        self._send(self._slow)
        await until(self._client, "/metrics", f"cxr_in_flight_requests {4 * EACH}.0")

    async def finish(self) -> list[httpx.Response]:
        """Every answer, the bodies that were still arriving included."""
        for slow in self._slow:
            slow.finish.set()
        return await asyncio.gather(*self._sent)

    def _send(self, bodies: Sequence[bytes | SlowUpload]) -> None:
        self._sent += [
            asyncio.create_task(self._client.post("/predict", content=body)) for body in bodies
        ]

    async def _queued(self) -> int:
        lines = (await self._client.get("/metrics")).text.splitlines()
        (line,) = [line for line in lines if line.startswith("cxr_queue_images ")]
        return int(float(line.split()[1]))


async def test_uploads_in_every_stage_are_answered_and_recorded_once_after_sigterm(
    tiny_store: Path, tmp_path: Path
) -> None:
    views = len(load_current(tiny_store).manifest.views)
    patient = {"CXR_SERVER__DEADLINE_SECONDS": "120", "CXR_SERVER__DRAIN_SECONDS": "120"}
    gated = {"module": "tests.support.gated_service", GATES: str(tmp_path)}
    with running_service(tiny_store, tmp_path, **gated, **patient) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=120) as client:
            crowd = Crowd(client, Gates(tmp_path), views)
            with ExitStack() as closed:
                await crowd.fill(closed)
                service.process.send_signal(signal.SIGTERM)
                await until(client, "/readyz", "SHUTTING_DOWN")
                late = await client.post("/predict", content=png_bytes())
            answers = await crowd.finish()
        exit_code = service.process.wait(timeout=60)

    reader = open_reader(f"sqlite:///{tmp_path}/shadow.db")
    rows = [logged.entry.id for logged in reader.rows(limit=1000)]
    is_whole = reader.verify().is_whole
    reader.close()
    assert [answer.status_code for answer in answers] == [200] * (4 * EACH)
    assert (late.status_code, late.json()["code"]) == (503, "SHUTTING_DOWN")
    assert sorted(rows) == sorted(answer.json()["id"] for answer in answers)
    assert is_whole
    assert exit_code == 0
