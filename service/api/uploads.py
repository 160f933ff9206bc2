"""Request body -> the bytes of one file, in memory only and never more than the limit.

Nothing is spooled to disk: a temporary file would be a copy of a patient's picture.
"""

import asyncio
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from service.admission import Place
from service.api.problems import CodedUpload, UploadTimeout
from service.core.errors import BodyTooLarge, InvalidRequest

FIELD = "file"
ENVELOPE_BYTES = 16_384
"""Room for the boundary and headers of a multipart body around its one file."""

CODINGS = frozenset(("gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"))
"""Those of IANA's list that a client may send; no other words of a header are repeated."""

MOST_DIGITS = 18
"""Of a Content-Length; Python refuses to read numbers of thousands of digits."""


async def read_upload(request: Request, place: Place, *, max_bytes: int, seconds: float) -> bytes:
    """Read a raw body, or the one file of a multipart body.

    Parameters
    ----------
    seconds
        Longest time that it may take to arrive.

    Raises
    ------
    BodyTooLarge
        By its Content-Length before a byte is read, or as soon as the limit is passed.
    CodedUpload
        By its Content-Encoding.
    InvalidRequest
        A multipart body that is not exactly one part named `file`.
    UploadTimeout
        It arrived too slowly: what is late before it is here is the sender's to mend.
    QueueFull
        No memory is free for it.
    """
    _check_coding(request)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    is_multipart = kind == b"multipart/form-data"
    limit = max_bytes + ENVELOPE_BYTES if is_multipart else max_bytes
    place.reserve(_promised_bytes(request, limit, max_bytes))
    try:
        async with asyncio.timeout(seconds):
            chunks = _bounded(request, place, limit, max_bytes)
            if is_multipart:
                return await _read_multipart(chunks, options.get(b"boundary", b""))
            return await _read_raw(chunks)
    except TimeoutError as error:
        raise UploadTimeout(f"the upload did not arrive within {seconds:g} seconds") from error


def _check_coding(request: Request) -> None:
    codings = ",".join(request.headers.getlist("content-encoding")).lower()
    names = {name.strip() for name in codings.split(",")} - {"", "identity"}
    if names:
        told = ", ".join(sorted(names & CODINGS)) or "a coding"
        raise CodedUpload(f"Content-Encoding: {told}; expected the file as it is, without one")


def _promised_bytes(request: Request, limit: int, max_bytes: int) -> int:
    stated = request.headers.get("content-length", "0")
    if not (stated.isascii() and stated.isdigit()):
        raise InvalidRequest("Content-Length is not a number of bytes")
    digits = stated.lstrip("0")
    if len(digits) > MOST_DIGITS or int(digits or "0") > limit:
        raise BodyTooLarge(f"more bytes announced than the {max_bytes} that a file may have")
    return int(digits or "0")


async def _bounded(
    request: Request, place: Place, limit: int, max_bytes: int
) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise BodyTooLarge(f"more bytes than the {max_bytes} that a file may have")
        place.reserve(received)
        yield chunk


async def _read_raw(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def _read_multipart(chunks: AsyncIterator[bytes], boundary: bytes) -> bytes:
    if not boundary:
        raise InvalidRequest("the multipart body names no boundary")
    form = _OneFile()
    try:
        parser = _open_parser(boundary, form)
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise InvalidRequest("the multipart body is malformed") from error
    return form.file()


def _open_parser(boundary: bytes, form: "_OneFile") -> MultipartParser:
    return MultipartParser(
        boundary,
        {
            "on_part_begin": form.begin,
            "on_part_data": form.extend,
            "on_header_field": form.name_header,
            "on_header_value": form.set_header,
            "on_header_end": form.end_header,
            "on_headers_finished": form.check_field,
            "on_end": form.finish,
        },
    )


class _OneFile:
    """Collects the single part that a form may have."""

    def __init__(self) -> None:
        self._parts = 0
        self._header = b""
        self._disposition = b""
        self._pieces: list[bytes] = []
        self._is_complete = False

    def begin(self) -> None:
        self._parts += 1
        self._disposition = self._header = b""
        if self._parts > 1:
            raise InvalidRequest(f"more than one part; expected one, named {FIELD!r}")

    def name_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end].lower()

    def set_header(self, data: bytes, start: int, end: int) -> None:
        if self._header == b"content-disposition":
            self._disposition += data[start:end]

    def end_header(self) -> None:
        self._header = b""

    def check_field(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != FIELD.encode():
            raise InvalidRequest(f"the form has another field; expected one, named {FIELD!r}")

    def extend(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def finish(self) -> None:
        self._is_complete = True

    def file(self) -> bytes:
        if self._parts == 0:
            raise InvalidRequest(f"the form is empty; expected one field, named {FIELD!r}")
        if not self._is_complete:
            raise InvalidRequest("the multipart body ends early")
        return b"".join(self._pieces)
