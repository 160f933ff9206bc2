"""A refusal told early reaches the caller, and what still arrives is thrown away within bounds."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from service.linger import Lingering

SCOPE: Scope = {"type": "http", "method": "POST"}


class Wire:
    """What arrives piece by piece, and what was told by then."""

    def __init__(self, *pieces: bytes, is_endless: bool = False) -> None:
        self.pieces = list(pieces)
        self.is_endless = is_endless
        self.told: list[Message] = []
        self.left_when_told: list[int] = []

    async def receive(self) -> Message:
        if not self.pieces and self.is_endless:
            await asyncio.Event().wait()
        body = self.pieces.pop(0)
        return {
            "type": "http.request",
            "body": body,
            "more_body": bool(self.pieces) or self.is_endless,
        }

    async def send(self, message: Message) -> None:
        self.told.append(message)
        self.left_when_told.append(len(self.pieces))


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("full", status_code=503)(scope, receive, send)


async def accept(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass
    await PlainTextResponse("fine")(scope, receive, send)


async def test_refusal_is_told_first_and_the_rest_is_thrown_away() -> None:
    wire = Wire(b"a", b"b", b"c")

    await Lingering(refuse)(SCOPE, wire.receive, wire.send)

    assert [message.get("body") for message in wire.told] == [None, b"full", b""]
    assert [message.get("more_body") for message in wire.told] == [None, True, False]
    assert wire.left_when_told == [3, 3, 0]


async def test_caller_that_never_ends_is_left_in_the_end() -> None:
    wire = Wire(b"a", is_endless=True)

    async with asyncio.timeout(10):
        await Lingering(refuse, seconds=0.01)(SCOPE, wire.receive, wire.send)

    assert wire.told[-1]["more_body"] is False


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_answer_to_a_whole_upload_is_passed_on_untouched(method: str) -> None:
    wire = Wire(b"a", b"b")

    await Lingering(accept)({**SCOPE, "method": method}, wire.receive, wire.send)

    assert [message.get("body") for message in wire.told] == [None, b"fine"]
    assert not wire.told[-1].get("more_body")
