"""A body that arrives within a number of bytes and a time, whatever route reads it."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

MOST_FORM_BYTES: Final = 65_536
"""A form of the pages has a handful of short fields."""
MOST_DIGITS: Final = 18
TOO_LARGE: Final = 413
TOO_SLOW: Final = 408


class BoundedBody:
    """Stands between the server and a route.

    The framework passes an `HTTPException` on and turns any other error of a body into 400. Nothing
    is refused before a route asks for the body: where none does, it is the path that is wrong.
    """

    def __init__(
        self, receive: Receive, headers: Headers, *, most_bytes: int | None, seconds: float
    ) -> None:
        self._receive = receive
        self._headers = headers
        self._is_asked = False
        self._most_bytes = most_bytes
        self._ends_at = asyncio.get_running_loop().time() + seconds
        self._bytes = 0
        self._is_over = False

    async def receive(self) -> Message:
        """The next part.

        Raises
        ------
        HTTPException
            413 or 408.
        """
        if self._is_over:
            return await self._receive()  # the route waits for the caller to leave
        if not self._is_asked:
            self._is_asked = True
            self._check_promise()
        try:
            async with asyncio.timeout_at(self._ends_at):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(TOO_SLOW) from error
        self._is_over = not message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        if self._most_bytes is not None and self._bytes > self._most_bytes:
            raise self._too_large()
        return message

    async def read(self) -> bytes:
        """All of it, and from then on the same again for the route."""
        parts: list[bytes] = []
        while not self._is_over:
            parts.append((await self.receive()).get("body", b""))
        body = b"".join(parts)
        self._receive = _Once(body, self._receive)
        return body

    def _check_promise(self) -> None:
        """Refuse by Content-Length, before a byte is read; what is no number is for the route."""
        digits = self._headers.get("content-length", "0").lstrip("0")
        if self._most_bytes is None or not (digits.isascii() and digits.isdigit()):
            return
        if len(digits) > MOST_DIGITS or int(digits) > self._most_bytes:
            raise self._too_large()

    def _too_large(self) -> HTTPException:
        return HTTPException(TOO_LARGE, f"more than the {self._most_bytes} bytes accepted here")


class _Once:
    """Gives a body that was read, then what comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}
