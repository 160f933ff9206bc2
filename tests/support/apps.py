"""The real application with the tiny model: in this process over ASGI, or as a process."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from fastapi import FastAPI
from starlette.types import Message, Scope

from service.app import create_app
from service.runtime import Runtime
from service.settings import ModelSettings, RecordSettings, Settings


@dataclass(frozen=True, slots=True)
class OpenApp:
    """The application, ready to be asked."""

    client: httpx.AsyncClient
    app: FastAPI = field(repr=False)

    @property
    def runtime(self) -> Runtime:
        """What its lifespan opened."""
        runtime: Runtime = self.app.state.runtime
        return runtime


def tiny_settings(store: Path, folder: Path, **changes: object) -> Settings:
    """Settings with a shadow log of the test's own; `changes` are fields of `Settings`."""
    base = Settings(
        model=ModelSettings(store=store),
        record=RecordSettings(
            url=f"sqlite:///{folder}/shadow.db", site_key_file=folder / "site.key"
        ),
    )
    return base.model_copy(update=changes)


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[OpenApp]:
    """Run the lifespan around a client that speaks ASGI."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://cxr") as client,
    ):
        yield OpenApp(client, app)


@dataclass(frozen=True, slots=True)
class Service:
    """`cxr-triage serve` as a process of its own."""

    process: subprocess.Popen[str] = field(repr=False)
    url: str

    def stop(self, sig: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(sig)
        return self.process.wait(timeout=30)


@contextmanager
def running_service(
    store: Path, folder: Path, *, module: str = "service", **variables: str
) -> Iterator[Service]:
    """Start the service on a free port, wait until it listens, and kill what is left of it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CXR_")}
    environment |= {
        "CXR_MODEL__STORE": str(store),
        "CXR_RECORD__URL": f"sqlite:///{folder}/shadow.db",
        "CXR_RECORD__SITE_KEY_FILE": str(folder / "site.key"),
        "CXR_ENGINE__THREADS": "1",
        "TERM": "dumb",
        **variables,
    }
    log = (folder / "service.log").open("a", encoding="utf-8")
    screen, terminal = os.openpty()  # the banner is shown on a terminal alone
    process = subprocess.Popen(
        [sys.executable, "-m", module, "serve", "--port", "0"],
        env=environment,
        stdout=terminal,
        stderr=log,
        text=True,
    )
    os.close(terminal)
    try:
        yield Service(process, _url_of(screen))
    finally:
        process.kill()
        process.wait()
        os.close(screen)
        log.close()


def _url_of(screen: int) -> str:
    """Read the banner until it says where the service listens."""
    told = ""
    with suppress(OSError):  # the program ended, and with it its side of the terminal
        while True:
            told += os.read(screen, 4096).decode()
            found = re.search(r"http://[0-9.]+:[0-9]+(?=\D)", told)
            if found is not None:
                return found[0]
    raise AssertionError(f"the service did not start: {told}")


async def call_and_leave(app: FastAPI, body: bytes, *, is_whole: bool = True) -> list[Message]:
    """Send an upload, or a part of it, and close at once; returns what was sent to nobody."""
    incoming: list[Message] = [
        {"type": "http.request", "body": body, "more_body": not is_whole},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": "/predict", "raw_path": b"/predict", "query_string": b"",
        "root_path": "", "headers": [], "client": ("test", 1), "server": ("test", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


class SlowUpload:
    """A body that stops half-way until it is told to finish; it holds a place meanwhile."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.started = asyncio.Event()
        self.finish = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield both halves."""
        half = len(self._body) // 2
        self.started.set()
        yield self._body[:half]
        await self.finish.wait()
        yield self._body[half:]
