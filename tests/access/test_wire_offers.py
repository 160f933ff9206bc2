"""What a client may say on the wire beside its request: an offer, a tunnel, a trailer."""

import pytest

from tests.support.wires import BODY_SECONDS, Call, tell

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
OFFERED = b"POST /a HTTP/1.1\r\nHost: x\r\n" + OFFER


@pytest.mark.parametrize(
    "upload",
    [
        OFFERED + b"Content-Length: 6\r\n\r\nabcdef",
        OFFERED + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n",
    ],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
async def test_upload_of_a_client_that_offers_http_2_keeps_its_body(
    upload: bytes, piece_bytes: int
) -> None:
    call = Call(tell)
    both = upload + b"GET /b HTTP/1.1\r\nHost: x\r\n" + OFFER + b"\r\n"

    for start in range(0, len(both), piece_bytes):
        call.http.data_received(both[start : start + piece_bytes])
        await call.settle()

    assert call.wire.sent.count(b"HTTP/1.1 200") == 2
    assert b"/a abcdef ()" in call.wire.sent
    assert call.wire.sent.endswith(b"/b  ()")
    assert not call.wire.is_closed


async def test_body_behind_an_offer_is_bounded_as_any_other() -> None:
    call = Call(tell)

    call.http.data_received(OFFERED + b"Content-Length: 6\r\n\r\nabc")
    call.timers.pass_seconds(BODY_SECONDS)

    assert call.wire.is_closed
    assert not call.wire.sent


@pytest.mark.parametrize(
    "wrong",
    [
        OFFERED + b"Host: y\r\nContent-Length: 6\r\n\r\nabcdef",
        OFFERED + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["two hosts", "chunk without a length"],
)
async def test_offer_makes_no_wrong_request_right(wrong: bytes) -> None:
    call = Call(tell)

    call.http.data_received(wrong)
    await call.settle()

    assert call.wire.sent.startswith(b"HTTP/1.1 400")
    assert call.wire.is_closed


async def test_tunnel_is_not_opened_and_what_would_go_through_it_is_not_read() -> None:
    call = Call(tell)

    call.http.data_received(b"CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    await call.settle()

    assert call.wire.sent.count(b"HTTP/1.1 200") == 1
    assert call.wire.sent.endswith(b"/a  ()")


async def test_trailer_is_no_header() -> None:
    call = Call(tell)
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    call.http.data_received(head + b"1\r\nx\r\n0\r\nX-Priority: stat\r\n\r\n")
    await call.settle()

    assert call.wire.sent.endswith(b"/a x ()")


async def test_white_space_behind_a_header_is_no_part_of_it() -> None:
    call = Call(tell)

    call.http.data_received(b"GET /a HTTP/1.1\r\nHost: x\r\nX-Priority: \t stat \t \r\n\r\n")
    await call.settle()

    assert call.wire.sent.endswith(b"/a  (stat)")
