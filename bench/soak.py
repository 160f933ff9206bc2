"""Many requests, one after the other, and whether memory grows.

`python -m bench.soak --requests 100000` with a network of two convolutions, so that it takes
minutes and all else is the path of a real request; prints memory after each tenth.
"""

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvloop

from bench.contenders import Running, ours, running
from tests.support.models import build_tiny_artifact
from tests.support.radiographs import png_bytes

PARTS = 10
CLIENTS = 32


@dataclass(frozen=True, slots=True)
class Soaked:
    """Memory of the server after so many requests."""

    requests: int
    resident_bytes: int


def soak(requests: int) -> list[Soaked]:
    """Memory after each tenth of the requests."""
    with tempfile.TemporaryDirectory(prefix="cxr-soak-") as scratch:
        folder = Path(scratch)
        store = build_tiny_artifact(folder / "store")
        contender = ours(store, folder, CXR_LOG_LEVEL="warning")
        body = png_bytes()
        found = []
        with running(contender, body) as server:
            for part in range(1, PARTS + 1):
                uvloop.run(_send(server, body, requests // PARTS))
                found.append(Soaked(part * (requests // PARTS), server.resident_bytes()))
        return found


async def _send(server: Running, body: bytes, requests: int) -> None:
    left = iter(range(requests))

    async def call(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(server.url, data=body) as response:
                await response.read()
                if response.status != 200:
                    raise RuntimeError(f"status {response.status}")

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(call(session) for _ in range(CLIENTS)))


def main() -> None:
    """Print memory after each tenth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    for one in soak(parser.parse_args().requests):
        print(f"{one.requests:8d} requests {one.resident_bytes / 1e6:7.1f} MB", flush=True)


if __name__ == "__main__":
    main()
