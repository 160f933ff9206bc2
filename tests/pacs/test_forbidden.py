"""A PACS that forbids every instance is told from an instance that it forbids."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.pacs.queue import State
from tests.support.fake_pacs import FakePacs, Reply, always, name_of, open_fake_pacs
from tests.support.inlet import Way, open_way
from tests.support.orthanc import phantom

TRIES = 2
MANY = 4
FORBIDDEN = 'cxr_pacs_failures_total{code="PACS_FORBIDDEN"}'


@pytest.fixture
async def pacs(tmp_path: Path) -> AsyncIterator[FakePacs]:
    async with open_fake_pacs(tmp_path) as opened:
        yield opened


def store_many(pacs: FakePacs) -> None:
    for number in range(MANY):
        pacs.store(name_of(number), phantom(number))


async def refused(way: Way, times: int) -> None:
    """Wait for so many refusals in all."""

    def counted() -> bool:
        lines = way.exposition().splitlines()
        return any(line.startswith(FORBIDDEN) and float(line.split()[1]) >= times for line in lines)

    await way.until(counted, f"{times} refusals")


@pytest.mark.parametrize("asked_for", ["simplified-tags", "file"])
async def test_pacs_that_forbids_everything_makes_no_dead_letter(
    pacs: FakePacs, tiny_store: Path, asked_for: str
) -> None:
    forbids = always(asked_for, Reply(b"", 403))
    pacs.rules.append(forbids)
    store_many(pacs)

    async with open_way(pacs, tiny_store, start="beginning", max_tries=TRIES) as way:
        await refused(way, MANY * TRIES + 2)
        counts, told = way.queue.counts(), way.events()
        pacs.rules.remove(forbids)
        await way.settled(answered=MANY)

    assert (counts[State.WAITING], counts[State.DEAD]) == (MANY, 0)
    assert told.count("pacs.files_forbidden") == 1
    assert way.events().count("pacs.files_given") == 1


async def test_file_that_is_given_shows_which_instance_is_forbidden(
    pacs: FakePacs, tiny_store: Path
) -> None:
    pacs.rules.append(always(f"{name_of(0)}/file", Reply(b"", 403)))
    pacs.store(name_of(0), phantom(0))

    async with open_way(pacs, tiny_store, start="beginning", max_tries=TRIES) as way:
        await way.event("pacs.files_forbidden")
        pacs.store(name_of(1), phantom(1))
        await way.settled(answered=1, dead=1)

    assert [letter.instance for letter in way.queue.dead_letters()] == [name_of(0)]
