"""Many requests and many starts: each is made, and a failure ends the run instead of its number."""

from pathlib import Path

import psutil
import pytest

from bench.contenders import Contender, Running
from bench.soak import CLIENTS, PARTS, _send, soak
from bench.start import time_starts
from tests.support.http_servers import Asked, Told, listening
from tests.support.models import build_tiny_artifact
from tests.support.radiographs import png_bytes


def running_at(url: str) -> Running:
    """A server that is there already."""
    return Running(Contender("here", ()), url, psutil.Process(), 0.0)


@pytest.mark.parametrize("requests", [CLIENTS + 5, 3])
async def test_as_many_requests_are_sent_as_were_asked_for(requests: int) -> None:
    bodies: list[bytes] = []

    def keep(asked: Asked) -> Told:
        bodies.append(asked.body)
        return Told()

    with listening(keep) as url:
        await _send(running_at(url), b"a picture", requests)

    assert bodies == [b"a picture"] * requests


async def test_soak_ends_at_the_first_failure() -> None:
    statuses = iter([200, 200, 503])

    with (
        pytest.raises(RuntimeError, match="status 503"),
        listening(lambda asked: Told(next(statuses, 503))) as url,
    ):
        await _send(running_at(url), b"a picture", 3)


@pytest.mark.slow
def test_memory_is_told_after_each_tenth() -> None:
    found = soak(10 * PARTS)

    assert [one.requests for one in found] == [10 * part for part in range(1, PARTS + 1)]
    assert all(one.resident_bytes > 0 for one in found)


@pytest.mark.slow
def test_each_round_starts_cold_and_then_warm(tmp_path: Path) -> None:
    store = build_tiny_artifact(tmp_path / "store")
    (tmp_path / "bodies").mkdir()
    (tmp_path / "bodies" / "000").write_bytes(png_bytes())

    found = time_starts(store, tmp_path / "bodies", rounds=1)

    assert [one.is_warm for one in found] == [False, True]
    assert all(one.ready_seconds > 0 for one in found)
