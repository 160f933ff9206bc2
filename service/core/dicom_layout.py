"""DICOM bytes -> where the header ends and where the pixels lie, without parsing a single value.

A flat walk over element headers, in constant memory and without recursion. It comes before pydicom,
which would inflate, recurse or allocate whatever the sender asks for.
"""

from dataclasses import dataclass, replace
from typing import Literal

from service.core.errors import (
    DamagedFile,
    PixelDataDamaged,
    UnsafePreamble,
    UnsupportedPixelFormat,
    UnsupportedTransferSyntax,
)

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

PREAMBLE_BYTES = 128
MAX_ELEMENTS = 50_000
"""A radiograph has a few hundred; each costs memory once parsed."""

MAX_NESTING = 64
"""Sequences and items count one each; real objects stay below 20."""

_SAFE_PREAMBLES = (b"II*\0", b"MM\0*")
_META_GROUP = 0x0002
_DELIMITER_GROUP = 0xFFFE
_TRANSFER_SYNTAX = 0x00020010
_FLOAT_PIXELS = (0x7FE00008, 0x7FE00009)
_PIXEL_DATA = 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG_LENGTH_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)


@dataclass(frozen=True, slots=True)
class PixelSpan:
    """Byte ranges of Pixel Data: one for native pixels, one per fragment when encapsulated."""

    spans: tuple[tuple[int, int], ...]
    encapsulated: bool
    vr: str


@dataclass(frozen=True, slots=True)
class Container:
    """Byte range of a sequence of undefined length, from its tag to behind its end."""

    tag: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of one DICOM object lie in its bytes; `containers` in order, not nested."""

    transfer_syntax_uid: str
    implicit_vr: bool
    little_endian: bool
    header_start: int
    header_end: int
    pixels: PixelSpan | None
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    vr: bytes
    length: int
    value_at: int

    @property
    def is_undefined(self) -> bool:
        return self.length == _UNDEFINED


def find_layout(body: bytes) -> Layout:
    """Walk the element headers up to Pixel Data.

    Raises
    ------
    UnsafePreamble
        Preamble neither zeros nor TIFF.
    UnsupportedTransferSyntax
        Deflated, which inflates before any limit can act.
    DamagedFile, PixelDataDamaged
        An element reaches beyond the end, or nests or repeats without bound.
    """
    has_preamble = body[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM"
    if has_preamble:
        _check_preamble(body)
    transfer_syntax, start = _read_meta(body, PREAMBLE_BYTES + 4 if has_preamble else 0)
    if transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        raise UnsupportedTransferSyntax("Deflated Explicit VR Little Endian is not accepted")
    little = transfer_syntax != EXPLICIT_VR_BIG_ENDIAN
    explicit = _is_vr(body[start + 4 : start + 6])
    containers: list[Container] = []
    header_end, pixels = _find_pixels(
        body, start, explicit=explicit, little=little, containers=containers
    )
    return Layout(
        transfer_syntax or (EXPLICIT_VR_LITTLE_ENDIAN if explicit else IMPLICIT_VR_LITTLE_ENDIAN),
        not explicit,
        little,
        start,
        header_end,
        pixels,
        tuple(containers),
    )


def _check_preamble(body: bytes) -> None:
    preamble = body[:PREAMBLE_BYTES]
    if preamble.strip(b"\0") and not preamble.startswith(_SAFE_PREAMBLES):
        raise UnsafePreamble("the 128-byte preamble is neither zeros nor TIFF (CVE-2019-11687)")


def _read_meta(body: bytes, start: int) -> tuple[str, int]:
    """Transfer Syntax UID ("" if none) and where the data set begins; group 2 is explicit."""
    transfer_syntax, offset = "", start
    while (element := _read_element(body, offset, explicit=True, little=True)) is not None:
        if element.tag >> 16 != _META_GROUP:
            break
        offset = element.value_at + element.length
        if offset > len(body):
            raise DamagedFile("the file ends inside its meta information")
        if element.tag == _TRANSFER_SYNTAX:
            value = body[element.value_at : offset]
            transfer_syntax = value.strip(b" \0").decode("ascii", "replace")
    return transfer_syntax, offset


def _find_pixels(
    body: bytes, start: int, *, explicit: bool, little: bool, containers: list[Container]
) -> tuple[int, PixelSpan | None]:
    """Offset where the header ends, and the pixels if there are any; adds what is in between."""
    offset, enclosing, opened = start, [explicit], Container(0, start, start)
    for _ in range(MAX_ELEMENTS):
        element = _read_element(body, offset, explicit=enclosing[-1], little=little)
        if element is None:
            if len(enclosing) > 1 or offset < len(body):
                raise DamagedFile("the file ends inside an element of its header")
            return offset, None
        if len(enclosing) == 1 and element.tag == _PIXEL_DATA:
            return offset, _span_pixels(body, element, little=little)
        if len(enclosing) == 1 and element.tag in _FLOAT_PIXELS:
            raise UnsupportedPixelFormat("floating-point pixels; expected 8 or 16 bit grey")
        if len(enclosing) == 1:
            opened = Container(element.tag, offset, offset)
        offset = _step(body, element, enclosing)
        if len(enclosing) == 1 and element.tag in (_ITEM_END, _SEQUENCE_END):
            containers.append(replace(opened, end=offset))
    raise DamagedFile(f"more than {MAX_ELEMENTS} elements before the pixel data")


def _step(body: bytes, element: _Element, enclosing: list[bool]) -> int:
    """Enter or leave a container of undefined length, or skip a value; return the next offset."""
    if element.tag in (_ITEM_END, _SEQUENCE_END):
        if len(enclosing) == 1:
            raise DamagedFile("a delimiter closes a sequence that was never opened")
        enclosing.pop()
        return element.value_at
    if element.is_undefined:
        if len(enclosing) > MAX_NESTING:
            raise DamagedFile(f"sequences nest deeper than {MAX_NESTING} levels")
        # An explicit data set may hold implicit items (PS3.5 6.2.2), never the other way round.
        peek = body[element.value_at + 4 : element.value_at + 6]
        enclosing.append(enclosing[-1] and (element.tag != _ITEM or _is_vr(peek)))
        return element.value_at
    end = element.value_at + element.length
    if end > len(body):
        raise DamagedFile("the file ends inside an element of its header")
    return end


def _span_pixels(body: bytes, element: _Element, *, little: bool) -> PixelSpan:
    vr = element.vr.decode("ascii") if _is_vr(element.vr) else "OW"
    if element.is_undefined:
        return PixelSpan(_span_fragments(body, element.value_at, little=little), True, vr)
    end = element.value_at + element.length
    if end > len(body):
        missing = end - len(body)
        raise PixelDataDamaged(f"the file ends {missing} bytes before the end of its pixel data")
    return PixelSpan(((element.value_at, end),), False, vr)


def _span_fragments(body: bytes, start: int, *, little: bool) -> tuple[tuple[int, int], ...]:
    """Byte ranges of the fragments, without the offset table that comes first."""
    spans: list[tuple[int, int]] = []
    offset = start
    while (item := _read_element(body, offset, explicit=False, little=little)) is not None:
        if item.tag == _SEQUENCE_END:
            return tuple(spans[1:])
        offset = item.value_at + item.length
        if item.tag != _ITEM or offset > len(body) or len(spans) >= MAX_ELEMENTS:
            break
        spans.append((item.value_at, offset))
    raise PixelDataDamaged("the encapsulated pixel data ends before its last fragment does")


def _read_element(body: bytes, offset: int, *, explicit: bool, little: bool) -> _Element | None:
    """Tag, VR and length at `offset`; None where fewer bytes are left than a header needs."""
    header = body[offset : offset + 12]
    if len(header) < 8:
        return None
    order: Literal["little", "big"] = "little" if little else "big"
    tag = int.from_bytes(header[:2], order) << 16 | int.from_bytes(header[2:4], order)
    vr = header[4:6]
    if not explicit or tag >> 16 == _DELIMITER_GROUP or not _is_vr(vr):
        return _Element(tag, b"", int.from_bytes(header[4:8], order), offset + 8)
    if vr not in _LONG_LENGTH_VRS:
        return _Element(tag, vr, int.from_bytes(header[6:8], order), offset + 8)
    if len(header) < 12:
        return None
    return _Element(tag, vr, int.from_bytes(header[8:12], order), offset + 12)


def _is_vr(code: bytes) -> bool:
    return len(code) == 2 and code.isalpha() and code.isupper() and code.isascii()
