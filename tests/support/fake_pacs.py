"""A PACS that behaves as it is told: slow, broken, boundless. Speaks HTTP on loopback."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

GONE = json.dumps({"HttpStatus": 404, "OrthancStatus": 17}).encode()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, byte for byte if need be.

    Attributes
    ----------
    announced
        Content-Length, where it is to differ from the truth.
    is_endless
        The body is repeated until the client has enough.
    hold
        Between head and body, until it is set.
    """

    body: bytes = b""
    status: int = 200
    headers: tuple[str, ...] = ()
    announced: int | None = None
    is_endless: bool = False
    hold: asyncio.Event | None = None


Rule = Callable[[str], Reply | None]


@dataclass(slots=True)
class FakePacs:
    """Instances by name, changes in order, and rules that come before both."""

    folder: Path
    url: str = ""
    bodies: dict[str, bytes] = field(default_factory=dict)
    modalities: dict[str, str] = field(default_factory=dict)
    changes: list[dict[str, object]] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sequence: int = 0

    @property
    def variables(self) -> dict[str, str]:
        """Settings of a service that follows it."""
        return {
            "CXR_PACS__URL": self.url,
            "CXR_PACS__QUEUE_FILE": str(self.folder / "pacs.db"),
        }

    def store(self, instance: str, body: bytes, modality: str = "DX") -> None:
        """Keep an instance and log it as new."""
        self.bodies[instance], self.modalities[instance] = body, modality
        self.change("NewInstance", instance)

    def change(self, kind: str, identity: str) -> None:
        """Log one change."""
        self.sequence += 1
        self.changes.append(
            {"ChangeType": kind, "Date": "20260101T000000", "ID": identity, "Seq": self.sequence}
        )

    def pulls(self, instance: str) -> int:
        """How often its file was asked for."""
        return self.asked.count(f"/instances/{instance}/file")

    def reply(self, target: str) -> Reply:
        """Answer one question; the first rule that has an answer wins."""
        told = (rule(target) for rule in self.rules)
        return next((reply for reply in told if reply is not None), None) or self._usual(target)

    def _usual(self, target: str) -> Reply:
        url = httpx.URL(target)
        _, room, *rest = url.path.split("/")
        if room == "changes":
            return Reply(json.dumps(self._page(dict(url.params))).encode())
        if room != "instances" or rest[0] not in self.bodies:
            return Reply(GONE, 404)
        if rest[1] == "simplified-tags":
            return Reply(json.dumps({"Modality": self.modalities[rest[0]]}).encode())
        return Reply(self.bodies[rest[0]])

    def _page(self, params: dict[str, str]) -> dict[str, object]:
        if "last" in params:
            return {"Changes": self.changes[-1:], "Done": True, "Last": self.sequence}
        since, limit = int(params["since"]), int(params["limit"])
        later = [change for change in self.changes if int(str(change["Seq"])) > since]
        page = later[:limit]
        last = page[-1]["Seq"] if page else self.sequence
        return {"Changes": page, "Done": len(later) <= limit, "Last": last}


def name_of(number: int) -> str:
    """An instance as Orthanc would name it."""
    return "-".join([f"{number:08x}"] * 5)


def failing(pattern: str, *replies: Reply) -> Rule:
    """Give these replies, one after another, to what ends so; then nothing special."""
    left = list(replies)
    return lambda target: left.pop(0) if left and target.endswith(pattern) else None


def always(pattern: str, reply: Reply) -> Rule:
    """Give this reply to whatever ends so."""
    return lambda target: reply if target.endswith(pattern) else None


@asynccontextmanager
async def open_fake_pacs(
    folder: Path, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FakePacs]:
    """Listen on a free port."""
    pacs = FakePacs(folder)
    server = await asyncio.start_server(lambda r, w: _serve(pacs, r, w), "127.0.0.1", 0, ssl=tls)
    pacs.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield pacs
    finally:
        server.close()


async def _serve(
    pacs: FakePacs, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            target = head.split(b" ", 2)[1].decode()
            pacs.asked.append(target)
            await _send(pacs.reply(target), writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _send(reply: Reply, writer: asyncio.StreamWriter) -> None:
    announced = len(reply.body) if reply.announced is None else reply.announced
    length = "Transfer-Encoding: chunked" if reply.is_endless else f"Content-Length: {announced}"
    lines = [f"HTTP/1.1 {reply.status} So", length, *reply.headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    if reply.hold is not None:
        await writer.drain()
        await reply.hold.wait()
    while reply.is_endless:
        writer.write(f"{len(reply.body):x}\r\n".encode() + reply.body + b"\r\n")
        await writer.drain()
    writer.write(reply.body)
    await writer.drain()
    if announced > len(reply.body):
        raise ConnectionAbortedError
