"""POST /notify: one id, nothing else, and never twice the work."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.apps import open_app, tiny_settings
from tests.support.fake_pacs import FakePacs, name_of, open_fake_pacs
from tests.support.inlet import Way, open_way
from tests.support.orthanc import phantom

ONE, LETTERS = name_of(1), name_of(0xABCDEF)


@pytest.fixture
async def pacs(tmp_path: Path) -> AsyncIterator[FakePacs]:
    async with open_fake_pacs(tmp_path) as opened:
        opened.store(ONE, phantom(1))
        yield opened


@pytest.fixture
async def way(pacs: FakePacs, tiny_store: Path) -> AsyncIterator[Way]:
    async with open_way(pacs, tiny_store, poll=False) as opened:
        await opened.contact()
        yield opened


async def test_notice_is_accepted_at_once_and_answered_later(way: Way) -> None:
    told = await way.client.post("/notify", content=ONE)
    await way.settled(answered=1)

    assert (told.status_code, told.text) == (202, '{"accepted":true}')
    assert len(way.entries()) == 1


async def test_second_notice_of_an_instance_changes_nothing(way: Way, pacs: FakePacs) -> None:
    await way.client.post("/notify", content=ONE)
    await way.settled(answered=1)

    again = await way.client.post("/notify", content=ONE)

    assert again.status_code == 202
    await way.settled(answered=1)
    assert (pacs.pulls(ONE), len(way.entries())) == (1, 1)


async def test_instance_that_is_told_and_found_is_pulled_once(
    pacs: FakePacs, tiny_store: Path
) -> None:
    async with open_way(pacs, tiny_store, start="beginning") as way:
        for _ in range(5):
            await way.client.post("/notify", content=ONE)
        await way.settled(answered=1)
        pacs.change("StableStudy", ONE)
        pacs.store(name_of(2), phantom(2))
        await way.settled(answered=2)

    assert (pacs.pulls(ONE), len(way.entries())) == (1, 2)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"hello", ONE.encode() + b"\n", LETTERS.upper().encode(), b"../" + ONE[3:].encode(),
        b"/etc/passwd".ljust(44, b"x"), ONE[:-1].encode() + b"/", ONE[:-1].encode() + b"\x00",
        "\u0660".encode() * 22, b"a" * 44,
    ],
    ids=["nothing", "text", "line end", "capitals", "up", "path", "slash", "zero", "arabic",
         "no groups"],
)  # fmt: skip
async def test_anything_but_an_id_is_refused(way: Way, pacs: FakePacs, body: bytes) -> None:
    told = await way.client.post("/notify", content=body)

    assert (told.status_code, told.json()["code"]) == (400, "INVALID_REQUEST")
    assert way.queue.depth().waiting == 0
    assert all(body.decode("latin-1") not in target for target in pacs.asked if body)


async def test_megabyte_is_refused_after_a_few_bytes(way: Way) -> None:
    told = await way.client.post("/notify", content=bytes(1_000_000))

    assert (told.status_code, told.json()["code"]) == (413, "BODY_TOO_LARGE")


async def test_notice_that_names_nothing_is_let_go(way: Way) -> None:
    await way.client.post("/notify", content=name_of(77))

    await way.settled(gone=1)
    assert way.entries() == []


async def test_without_a_pacs_there_is_nothing_to_tell(tiny_store: Path, tmp_path: Path) -> None:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as service:
        told = await service.client.post("/notify", content=ONE)

    assert (told.status_code, told.json()["code"]) == (404, "NOT_FOUND")
    assert "CXR_PACS__URL" in told.json()["detail"]
