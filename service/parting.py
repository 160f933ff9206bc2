"""A connection of a service that ends carries one answer more, and that says so.

A client that keeps its connection would send the next upload at the moment of the close, and see a
reset: it cannot know whether the upload was accepted.
"""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LAST_ANSWER: Final = (b"connection", b"close")
"""RFC 9112, 9.6; the server closes what it has said it of."""


class Parting:
    """ASGI middleware that says it of every answer that begins once the end has begun."""

    def __init__(self, app: ASGIApp, is_ending: Callable[[], bool]) -> None:
        self._app = app
        self._is_ending = is_ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and self._is_ending():
                message = {**message, "headers": [*message.get("headers", ()), LAST_ANSWER]}
            await send(message)

        await self._app(scope, receive, send_last if scope["type"] == "http" else send)
