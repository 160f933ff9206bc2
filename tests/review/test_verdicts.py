"""Second readings: the verdict comes first, once, and in whatever script the reader writes."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.record import open_reader
from service.record.tables import evidence_log
from tests.support.simulated import copy_log, open_pages, read_log

NEWEST = "SELECT kind, actor, body FROM evidence_log ORDER BY sequence DESC LIMIT 1"
VERDICTS = {"pneumonia": "positive", "tuberculosis": "negative"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a second reading: the page that lists it, and the address of the first."""

    url: str
    client: httpx.AsyncClient
    listed: str
    address: str


@pytest.fixture
async def waiting(tiny_store: Path, simulated_log: Path, tmp_path: Path) -> AsyncIterator[Waiting]:
    """On a log of its own, which a verdict may be chained to."""
    url = copy_log(simulated_log, tmp_path / "log")
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        listed = (await client.get("/review/disagreements")).text
        address = re.findall(r"/review/disagreements/[0-9a-f-]{36}", listed)[0]
        yield Waiting(url, client, listed, address)


async def test_the_verdict_comes_before_the_answers(waiting: Waiting) -> None:
    asked = (await waiting.client.get(waiting.address)).text
    data = {"pneumonia": "positive", "tuberculosis": "unclear", "note": "apex"}
    answer = await waiting.client.post(waiting.address, data=data)
    told = (await waiting.client.get(answer.headers["location"])).text

    not_given = waiting.listed.split("<h2>Second readings given</h2>")[0]
    assert not re.search(r"0\.\d{3}|flagged|label-", not_given + asked)
    assert answer.status_code == 303
    assert "flagged" in told
    assert "label-unclear" in told
    ((kind, actor, body),) = read_log(waiting.url, NEWEST)
    assert (kind, actor) == ("adjudication", "local")
    assert '"note":"apex"' in str(body)
    reader = open_reader(waiting.url)
    assert reader.verify(table=evidence_log).is_whole


@pytest.mark.parametrize(
    ("note", "status"),
    [("肺炎\u3000疑い", 303), ("نمی\u200cشود", 303), ("à relire\u00a0!", 303), ("a\u202eb", 400)],
)
async def test_a_note_may_be_in_any_script(note: str, status: int, waiting: Waiting) -> None:
    answer = await waiting.client.post(waiting.address, data={**VERDICTS, "note": note})
    told = (await waiting.client.get(waiting.address)).text

    assert (answer.status_code, note in told) == (status, status == 303)


async def test_the_first_verdict_stands_since_the_next_reader_may_know_the_answers(
    waiting: Waiting,
) -> None:
    second = {"pneumonia": "negative", "tuberculosis": "positive"}
    told = [
        await waiting.client.post(waiting.address, data=data) for data in (VERDICTS, second, second)
    ]

    assert [answer.status_code for answer in told] == [303, 409, 409]
    assert "not recorded" in told[-1].text
    ((_, _, body),) = read_log(waiting.url, NEWEST)
    assert '"pneumonia":"positive"' in str(body)


async def test_of_four_readers_at_once_the_first_verdict_stands(waiting: Waiting) -> None:
    count = "SELECT count(*) FROM evidence_log WHERE kind = 'adjudication'"
    ((before,),) = read_log(waiting.url, count)
    answers = await asyncio.gather(
        *(waiting.client.post(waiting.address, data=VERDICTS) for _ in range(4))
    )

    ((after,),) = read_log(waiting.url, count)
    assert sorted(answer.status_code for answer in answers) == [303, 409, 409, 409]
    assert after == int(str(before)) + 1


async def test_nobody_gives_a_verdict_on_a_radiograph_that_does_not_exist(
    waiting: Waiting,
) -> None:
    before = read_log(waiting.url, "SELECT COUNT(*) FROM evidence_log")
    answer = await waiting.client.post(
        "/review/disagreements/00000000-0000-7000-8000-000000000000", data=VERDICTS
    )

    assert answer.status_code == 404
    assert read_log(waiting.url, "SELECT COUNT(*) FROM evidence_log") == before


async def test_a_note_that_is_refused_says_why_and_that_nothing_was_recorded(
    waiting: Waiting,
) -> None:
    before = read_log(waiting.url, NEWEST)
    data = {**VERDICTS, "note": "apex\N{RIGHT-TO-LEFT OVERRIDE}xepa"}

    page = await waiting.client.post(waiting.address, data=data, headers={"Accept": "text/html"})

    assert page.status_code == 400
    assert "nothing was recorded: the note holds" in page.text
    assert read_log(waiting.url, NEWEST) == before


async def test_a_note_from_right_to_left_leaves_the_words_around_it_in_place(
    waiting: Waiting,
) -> None:
    note = "\u0639\u0642\u064a\u062f\u0629 (3)"

    given = await waiting.client.post(waiting.address, data={**VERDICTS, "note": note})
    page = await waiting.client.get(given.headers["Location"])

    assert f"<bdi>{note}</bdi>" in page.text
