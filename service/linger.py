"""A refusal that is told while the caller still sends must reach the caller.

Closing a connection with unread bytes makes the kernel reset it, and many clients then report the
reset and never the answer. So, after the answer is told, what still arrives is read and thrown
away for a moment.
"""

import asyncio
import contextlib
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOADING: Final = ("POST", "PUT", "PATCH")
REFUSED: Final = 400
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 200_000_000
"""How long, and how much of, a refused upload is thrown away before the connection closes."""


class Lingering:
    """ASGI middleware, outermost: the inner application has ended when the lingering begins."""

    def __init__(self, app: ASGIApp, *, seconds: float = LINGER_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] not in UPLOADING:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        await self._app(scope, exchange.receive, exchange.send)
        if exchange.is_lingering:
            await exchange.discard_upload(self._seconds)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Exchange:
    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_upload_over = False
        self._status = 0
        self.is_lingering = False

    async def receive(self) -> Message:
        """Pass on what arrives, and notice the end of it."""
        message = await self._receive()
        self._is_upload_over = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send on, but keep open what ends before the upload does."""
        self._status = message.get("status", self._status)
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and self._status >= REFUSED and not self._is_upload_over:
            self.is_lingering = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def discard_upload(self, seconds: float) -> None:
        """Read to the end of the upload, within bounds."""
        discarded = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._is_upload_over and discarded < LINGER_BYTES:
                    discarded += len((await self.receive()).get("body", b""))
