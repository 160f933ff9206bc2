"""The application with its way in open, over ASGI, beside a real or a fake PACS."""

import asyncio
import contextlib
import io
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
from prometheus_client import generate_latest

from service.app import pacs_options
from service.logs import set_up_logs
from service.pacs import PacsOptions
from service.pacs.queue import Queue, State, open_queue
from service.record import Entry, open_reader
from service.runtime import Runtime
from service.settings import IntakeSettings, PacsSettings
from tests.support.apps import open_app, tiny_settings

PATIENCE_SECONDS = 120.0


def options_for(**settings: object) -> PacsOptions:
    """What the composition root makes of these settings of a PACS."""
    options = pacs_options(PacsSettings.model_validate(settings))
    assert options is not None
    return options


class Pacs(Protocol):
    """Where the service pulls from."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """Settings of a service that follows it."""
        ...


@dataclass(slots=True)
class Way:
    """The open way in, and what can be seen of it from outside."""

    folder: Path
    client: httpx.AsyncClient
    runtime: Runtime = field(repr=False)
    queue: Queue
    log: io.StringIO = field(repr=False)
    metrics: str = field(default="", repr=False)

    async def contact(self) -> None:
        """Wait for the first answer of the PACS."""
        await self.until(lambda: self.queue.position() is not None, "the first contact")

    async def settled(self, **counts: int) -> None:
        """Wait until nothing waits and so many ended in each state."""
        expected = {state: counts.get(state.value, 0) for state in State}
        await self.until(lambda: self.queue.counts() == expected, f"{counts}")

    async def event(self, name: str) -> None:
        """Wait for a log line."""
        await self.until(lambda: name in self.events(), name)

    def events(self) -> list[str]:
        """Names of all log lines."""
        return [json.loads(line)["event"] for line in self.log.getvalue().splitlines()]

    def exposition(self) -> str:
        """What the instruments of the way in say now."""
        text = generate_latest(self.runtime.metrics.registry).decode()
        return "\n".join(line for line in text.splitlines() if line.startswith("cxr_pacs"))

    def entries(self) -> list[Entry]:
        """Rows of the shadow log, in order."""
        reader = open_reader(f"sqlite:///{self.folder}/shadow.db")
        try:
            return [logged.entry for logged in reader.rows(limit=10_000)]
        finally:
            reader.close()

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Let the service work until it holds.

        Raises
        ------
        AssertionError
            It never did.
        """
        end = time.monotonic() + PATIENCE_SECONDS
        pause = asyncio.Event()
        while not await asyncio.to_thread(holds):
            if time.monotonic() > end:
                told = f"waited in vain for {what}: {self.queue.counts()}\n"
                raise AssertionError(told + self.log.getvalue()[-4000:])
            try:
                async with asyncio.timeout(0.05):
                    await pause.wait()
            except TimeoutError:
                continue


@asynccontextmanager
async def open_way(
    pacs: Pacs,
    store: Path,
    *,
    poll: bool = True,
    intake: IntakeSettings | None = None,
    **changes: object,
) -> AsyncIterator[Way]:
    """Open the service on the log and queue of the folder; `changes` are fields of `PacsSettings`.

    Parameters
    ----------
    poll
        False: it is only told, and asks for changes once an hour.
    """
    plain: dict[str, object] = {
        name.removeprefix("CXR_PACS__").lower(): text for name, text in pacs.variables.items()
    }
    plain |= {"poll_seconds": 0.05 if poll else 3600, "retry_seconds": 0.05, **changes}
    settings = tiny_settings(
        store,
        pacs.folder,
        pacs=PacsSettings.model_validate(plain),
        intake=intake or IntakeSettings(),
    )
    log = io.StringIO()
    set_up_logs("info", log)
    async with open_app(settings) as opened:
        queue = open_queue(settings.pacs.queue_file, time.time)
        way = Way(pacs.folder, opened.client, opened.runtime, queue, log)
        try:
            yield way
            way.metrics = (await opened.client.get("/metrics")).text
        finally:
            queue.close()


def answered(folder: Path) -> int:
    """How many instances the queue has settled; read beside a running service."""
    with contextlib.closing(sqlite3.connect(folder / "pacs.db", timeout=30)) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM instances WHERE state = ?", [State.ANSWERED.value]
        ).fetchone()
    return int(count)
