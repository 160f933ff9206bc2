"""HTTP/1.1 on the wire, with bounds that uvicorn leaves to a proxy: time and size of a head.

Without them a caller who never ends a header holds a connection, and as much memory as it likes,
before any code of ours has a say.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
"""From the first byte, or from the connection, to the end of the headers."""
HEAD_BYTES: Final = 32_768
"""Of request line and headers; nginx allows as much (large_client_header_buffers 4 8k)."""
UNFINISHED_BYTES: Final = 1_048_576
"""That arrive without anything becoming complete: one endless header, trailer or extension."""


class HeadTooLarge(Exception):
    """Raised inside the parser, which then refuses the request."""


class HostUnclear(Exception):
    """Raised inside the parser: no Host, or more than one (RFC 9112, 3.2)."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    body_seconds: float = 90.0
    """From the end of the headers to the end of the body; the routes give up sooner."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's
        """Begin to wait for a head."""
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._unfinished_bytes = 0
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it comes without end."""
        if self._timer is None:
            self._wait(HEAD_SECONDS)
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > UNFINISHED_BYTES and not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        """A head begins."""
        self._head_bytes = self._unfinished_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or trailer, is complete."""
        self._count_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is over; the body has a time of its own."""
        self._unfinished_bytes = 0
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise HostUnclear
        self._wait(self.body_seconds)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body; uvicorn would copy it twice where once is not needed."""
        self._unfinished_bytes = 0
        if not self.cycle.body and not self.cycle.response_complete:
            self.cycle.body, body = body, b""  # type: ignore[assignment] # copied by += and bytes()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Nothing more is owed; uvicorn closes the connection when it stays idle."""
        self._unfinished_bytes = 0
        self._stop_waiting()
        super().on_message_complete()

    def _count_head(self, more_bytes: int) -> None:
        self._head_bytes += more_bytes
        self._unfinished_bytes = 0
        if self._head_bytes > HEAD_BYTES:
            raise HeadTooLarge

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def protocol_with(body_seconds: float) -> type[BoundedHttp]:
    """The protocol for a service that reads bodies for so long."""
    return type("BoundedHttpFor", (BoundedHttp,), {"body_seconds": body_seconds})
