"""A connection to the HTTP protocol of the service, without a network."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from service.wire import BoundedHttp, protocol_with

BODY_SECONDS = 7.0


class Timers:
    """A loop whose timers ring when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.set: list[tuple[float, asyncio.TimerHandle, Callable[..., object]]] = []
        self._loop = asyncio.get_running_loop()

    def call_later(self, delay: float, call: Callable[..., object]) -> asyncio.TimerHandle:
        handle = self._loop.call_later(3600, call)
        self.set.append((self.now + delay, handle, call))
        return handle

    def create_task(self, work: Any) -> asyncio.Task[Any]:
        return self._loop.create_task(work)

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        for at, handle, call in self.set:
            if at <= self.now and not handle.cancelled():
                handle.cancel()
                call()


class Wire(asyncio.Transport):
    """A connection that notes what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        """Nothing to pause."""

    def resume_reading(self) -> None:
        """Nothing to resume."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


async def swallow(scope: Scope, receive: Receive, send: Send) -> None:
    """Read all, then answer."""
    while (await receive()).get("more_body"):
        pass
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what was asked: path, body, and what the headers say of priority."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    priority = b",".join(value for name, value in scope["headers"] if name == b"x-priority")
    told = b" ".join((scope["path"].encode(), body, b"(" + priority + b")"))
    length = str(len(told)).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": told})


class Call:
    """A connection to the protocol, without a network."""

    def __init__(self, app: ASGIApp = swallow) -> None:
        config = uvicorn.Config(app, log_config=None, ws="none", access_log=False)
        config.load()
        self.timers = Timers()
        self.wire = Wire()
        loop: Any = self.timers
        self.http: BoundedHttp = protocol_with(BODY_SECONDS)(config, ServerState(), {}, loop)
        self.http.connection_made(self.wire)

    def drip(self, pieces: Iterable[bytes]) -> None:
        """Send one a second."""
        for piece in pieces:
            self.timers.pass_seconds(1)
            self.http.data_received(piece)

    async def settle(self) -> None:
        """Let the application run until it waits."""
        for _ in range(5):
            await asyncio.sleep(0)
