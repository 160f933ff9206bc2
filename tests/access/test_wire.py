"""Bounds on the wire: heads and bodies that come slowly, without end, or too large."""

import pytest

from service.wire import HEAD_BYTES, HEAD_SECONDS, UNFINISHED_BYTES
from tests.support.wires import Call


async def test_connection_that_says_nothing_is_closed() -> None:
    call = Call()

    call.timers.pass_seconds(HEAD_SECONDS)

    assert call.wire.is_closed


async def test_head_that_drips_in_is_closed_however_busy_it_is() -> None:
    call = Call()

    call.http.data_received(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
    call.drip(f"X-{number}: y\r\n".encode() for number in range(9))
    before = call.wire.is_closed
    call.timers.pass_seconds(1)

    assert not before
    assert call.wire.is_closed


async def test_body_that_drips_in_is_closed_however_busy_it_is() -> None:
    call = Call()

    call.http.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    call.drip([b"x"] * 6)
    before = call.wire.is_closed
    call.timers.pass_seconds(1)

    assert not before
    assert call.wire.is_closed


async def test_request_in_time_is_answered_and_owes_nothing() -> None:
    call = Call()

    call.http.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
    call.http.data_received(b"xx")
    await call.settle()

    assert call.wire.sent.startswith(b"HTTP/1.1 200")
    assert {
        timer[0] - call.timers.now for timer in call.timers.set if not timer[1].cancelled()
    } == {
        5.0  # uvicorn's own, for a connection that stays idle
    }


async def test_second_head_on_a_connection_must_come_in_time_too() -> None:
    call = Call()
    call.http.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await call.settle()

    call.http.data_received(b"GET / HTTP/1.1\r\nHo")
    call.timers.pass_seconds(HEAD_SECONDS)

    assert call.wire.is_closed


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (HEAD_BYTES + 1) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * HEAD_BYTES + b"\r\n",
        b"GET /" + b"a" * (HEAD_BYTES + 1) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?" + b"a" * (HEAD_BYTES + 1) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["long header", "many headers", "long path", "long query"],
)
async def test_large_head_is_refused(head: bytes) -> None:
    call = Call()

    for start in range(0, len(head), 4096):
        if not call.wire.is_closed:
            call.http.data_received(head[start : start + 4096])
    await call.settle()

    assert call.wire.sent.startswith(b"HTTP/1.1 400")
    assert call.wire.is_closed


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ],
    ids=["header", "trailer", "chunk extension"],
)
async def test_what_never_becomes_complete_is_not_kept_for_ever(begun: bytes) -> None:
    call, fed = Call(), 0
    call.http.data_received(begun)

    while not call.wire.is_closed and fed < 4 * UNFINISHED_BYTES:
        call.http.data_received(b"a" * 65_536)
        fed += 65_536

    assert call.wire.is_closed
    assert fed <= UNFINISHED_BYTES + 65_536


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHOST: y\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200"),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"HTTP/1.1 200"),
    ],
    ids=["none", "two", "twice the same", "two of HTTP/1.0", "none of HTTP/1.0", "empty"],
)
async def test_request_names_one_host(head: bytes, status: bytes) -> None:
    call = Call()

    call.http.data_received(head)
    await call.settle()

    assert call.wire.sent.startswith(status)


@pytest.mark.parametrize(
    "smuggled",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
    ids=["two lengths", "length and chunks", "negative", "nul", "space", "path", "tls"],
)
async def test_head_with_two_meanings_is_refused(smuggled: bytes) -> None:
    call = Call()

    call.http.data_received(smuggled)
    await call.settle()

    assert call.wire.sent.startswith(b"HTTP/1.1 400")
    assert call.wire.is_closed


async def test_small_chunks_of_a_large_body_are_well() -> None:
    call = Call()
    call.http.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")

    for _ in range(40):
        call.http.data_received(b"1\r\nx\r\n" * 10_000)
        await call.settle()
    call.http.data_received(b"0\r\n\r\n")
    await call.settle()

    assert call.wire.sent.startswith(b"HTTP/1.1 200")
