"""HTTP/1.1 on the wire, with bounds that uvicorn leaves to a proxy: time and size of a head.

Without them a caller who never ends a header holds a connection, and as much memory as it likes,
before any code of ours has a say.
"""

import asyncio
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
"""From the first byte, or from the connection, to the end of the headers."""
HEAD_BYTES: Final = 32_768
"""Of request line and headers; nginx allows as much (large_client_header_buffers 4 8k)."""
UNFINISHED_BYTES: Final = 1_048_576
"""That arrive without anything becoming complete: one endless header, trailer or extension."""


CONNECT: Final = b"CONNECT"
"""Asks for a tunnel, which no route gives: what follows it is no request."""
UPGRADE: Final = b"upgrade"
INVALID: Final = "Invalid HTTP request received."


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
        self._is_head_over = False
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
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.logger.warning(INVALID)
            self.send_400_response(INVALID)
            return
        if self._unfinished_bytes > UNFINISHED_BYTES and not self.transport.is_closing():
            self.send_400_response(INVALID)

    def _parse(self, data: bytes) -> None:
        """As uvicorn, but an offer to change the protocol is passed over (RFC 9110, 7.8).

        Java's client offers HTTP/2 with every request; the parser ends at such a head, and the body
        behind it would be lost.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if self.parser.get_method() == CONNECT:
                    return
                data = self._head_without_offer() + data[offer.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            else:
                return

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != UPGRADE]
        return b"\r\n".join([*lines, b"", b""])

    def _is_offer(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != CONNECT

    def on_message_begin(self) -> None:
        """A head begins."""
        self._head_bytes = self._unfinished_bytes = 0
        self._is_head_over = False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header is complete; or a trailer, which says nothing about the request here."""
        self._count_head(len(name) + len(value))
        if not self._is_head_over:
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The head is over; the body has a time of its own."""
        self._unfinished_bytes = 0
        if self._is_offer():
            return
        self._is_head_over = True
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
        if self._is_offer():
            return
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
