"""A PACS that gives no file at all is told from an instance whose file it does not give."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.pacs.queue import State
from tests.support.fake_pacs import FakePacs, Reply, always, name_of, open_fake_pacs
from tests.support.inlet import Way, open_way
from tests.support.orthanc import phantom

TRIES = 2
MANY = 4
WITHHELD = [
    pytest.param(Reply(b"", 403), "PACS_FORBIDDEN", id="forbidden"),
    pytest.param(Reply(b"", 500), "PACS_FAILED", id="its disk is away"),
    pytest.param(Reply(b"", 404), "PACS_INSTANCE_GONE", id="404 that is not Orthanc's"),
    pytest.param(Reply(b"DICM", announced=1000), "PACS_ANSWER_INVALID", id="cut off"),
]


@pytest.fixture
async def pacs(tmp_path: Path) -> AsyncIterator[FakePacs]:
    async with open_fake_pacs(tmp_path) as opened:
        yield opened


def store_many(pacs: FakePacs) -> None:
    for number in range(MANY):
        pacs.store(name_of(number), phantom(number))


async def refused(way: Way, code: str, times: int) -> None:
    """Wait for so many tries in all that got no file."""
    counter = f'cxr_pacs_failures_total{{code="{code}"}}'

    def counted() -> bool:
        lines = way.exposition().splitlines()
        return any(line.startswith(counter) and float(line.split()[1]) >= times for line in lines)

    await way.until(counted, f"{times} refusals")


@pytest.mark.parametrize("asked_for", ["simplified-tags", "file"])
@pytest.mark.parametrize(("reply", "code"), WITHHELD)
async def test_pacs_that_gives_no_file_makes_no_dead_letter(
    pacs: FakePacs, tiny_store: Path, asked_for: str, reply: Reply, code: str
) -> None:
    withholds = always(asked_for, reply)
    pacs.rules.append(withholds)
    store_many(pacs)

    async with open_way(pacs, tiny_store, start="beginning", max_tries=TRIES) as way:
        await refused(way, code, MANY * TRIES + 2)
        counts, told = way.queue.counts(), way.events()
        pacs.rules.remove(withholds)
        await way.settled(answered=MANY)

    assert (counts[State.WAITING], counts[State.DEAD]) == (MANY, 0)
    assert told.count("pacs.files_withheld") == 1
    assert way.events().count("pacs.files_given") == 1


@pytest.mark.parametrize("status", [403, 500])
async def test_file_that_is_given_shows_which_instance_fails(
    pacs: FakePacs, tiny_store: Path, status: int
) -> None:
    pacs.rules.append(always(f"{name_of(0)}/file", Reply(b"", status)))
    pacs.store(name_of(0), phantom(0))

    async with open_way(pacs, tiny_store, start="beginning", max_tries=TRIES) as way:
        await way.event("pacs.files_withheld")
        pacs.store(name_of(1), phantom(1))
        await way.settled(answered=1, dead=1)

    assert [letter.instance for letter in way.queue.dead_letters()] == [name_of(0)]
