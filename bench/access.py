"""`python -m bench.access`: what the door costs a request, with as many keys as a file may hold."""

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from service.access.door import Door
from service.access.gatekeeper import Gatekeeper, OpenHouse
from service.access.keyfile import MOST_KEYS, KeyFile, StoredKey, edit_keys
from service.access.keys import draw_key
from service.access.opening import open_access
from service.access.options import AccessSettings
from service.access.scopes import Need
from service.access.scopes import Scope as Right
from service.api.problems import answer_problem
from service.core.errors import CxrError

CALLS, ROUNDS = 5_000, 9


def write_keys(path: Path) -> str:
    """Fill a file; returns the text of one key."""
    now = datetime.now(UTC)
    drawn = [draw_key() for _ in range(MOST_KEYS)]
    keys = [
        StoredKey(
            id=shown.id, name="bench", digest=shown.digest.hex(), scopes=[Right.PREDICT],
            created=now, requests_per_minute=100_000,
        )
        for _, shown in drawn
    ]  # fmt: skip
    edit_keys(path, lambda _: KeyFile(keys=keys), now=now)
    return drawn[MOST_KEYS // 2][0]


def request_with(*headers: tuple[bytes, bytes]) -> Scope:
    """The head of a radiograph's upload."""
    return {
        "type": "http", "method": "POST", "path": "/predict", "scheme": "http",
        "query_string": b"", "client": ("10.0.0.1", 1234), "state": {"story": {}, "request_id": ""},
        "headers": [(b"host", b"triage"), (b"content-type", b"application/dicom"), *headers],
    }  # fmt: skip


def microseconds(call: Callable[[], object]) -> float:
    """Of one call: the best round, as `timeit` has it; others measure the machine's other work."""
    means = []
    for _ in range(ROUNDS):
        gc.collect()
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        means.append((time.perf_counter() - started) / CALLS * 1e6)
    return min(means)


async def microseconds_of(call: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """As `microseconds`, of a coroutine that never waits."""
    means = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            await call()
        means.append((time.perf_counter() - started) / CALLS * 1e6)
    return min(means)


async def answer(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An application that does nothing."""


async def receive() -> Message:
    """A body that nobody asks for."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_message: Message) -> None:
    """Send to nobody."""


def refusal_of(gatekeeper: Gatekeeper | OpenHouse, scope: Scope, headers: Headers) -> str:
    """Code of the refusal of a request that must be refused."""
    try:
        gatekeeper.admit(scope, headers, Need.PREDICT)
    except CxrError as error:
        return error.code
    raise AssertionError("a forged key was let in")


async def measure(path: Path) -> None:
    """Print a table."""
    text = write_keys(path)
    options = AccessSettings(mode="on", keys_file=path, failures_per_minute=1)
    gatekeeper = open_access(options).gatekeeper
    good = request_with((b"authorization", f"Bearer {text}".encode()))
    forged = request_with((b"authorization", f"Bearer {text[:-2]}zz".encode()))
    shown, shown_forged = Headers(scope=good), Headers(scope=forged)

    def door(keeper: Gatekeeper | OpenHouse) -> Door:
        return Door(
            answer, gatekeeper=keeper, refuse=answer_problem, public_url=None, has_sign_in=False,
            body_seconds=60,
        )  # fmt: skip

    on, off = door(gatekeeper), door(OpenHouse())
    rows = {
        "key looked up, compared, rate counted": microseconds(
            lambda: gatekeeper.admit(good, shown, Need.PREDICT)
        ),
        "forged key refused": microseconds(lambda: refusal_of(gatekeeper, forged, shown_forged)),
        "whole door, access on": await microseconds_of(lambda: on(good, receive, send)),
        "whole door, access off": await microseconds_of(lambda: off(good, receive, send)),
        "no door": await microseconds_of(lambda: answer(good, receive, send)),
    }
    print(f"{MOST_KEYS} keys, {ROUNDS} x {CALLS} calls, the best mean")
    for name, value in rows.items():
        print(f"{name:40} {value:7.2f} us")


def main() -> None:
    """Measure with a keys file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "keys.json"))


if __name__ == "__main__":
    main()
