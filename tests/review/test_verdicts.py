"""Second readings: the verdict comes first, once, and in whatever script the reader writes."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from service.record import open_reader
from service.record.tables import evidence_log
from tests.support.simulated import copy_log, open_pages, read_log

NEWEST = "SELECT kind, actor, body FROM evidence_log ORDER BY sequence DESC LIMIT 1"


async def _first_to_read(client: httpx.AsyncClient) -> tuple[str, str]:
    """The page that lists what waits for a second reading, and the address of the first."""
    listed = (await client.get("/review/disagreements")).text
    return listed, re.findall(r"/review/disagreements/[0-9a-f-]{36}", listed)[0]


async def test_the_verdict_comes_before_the_answers(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path / "log")
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        listed, address = await _first_to_read(client)
        asked = (await client.get(address)).text
        answer = await client.post(
            address, data={"pneumonia": "positive", "tuberculosis": "unclear", "note": "apex"}
        )
        told = (await client.get(answer.headers["location"])).text

    waiting = listed.split("<h2>Second readings given</h2>")[0]
    assert not re.search(r"0\.\d{3}|flagged|label-", waiting + asked)
    assert answer.status_code == 303
    assert "not flagged" in told or "flagged" in told
    assert "label-unclear" in told
    ((kind, actor, body),) = read_log(url, NEWEST)
    assert (kind, actor) == ("adjudication", "local")
    assert '"note":"apex"' in str(body)
    reader = open_reader(url)
    assert reader.verify(table=evidence_log).is_whole


@pytest.mark.parametrize(
    ("note", "status"),
    [("肺炎\u3000疑い", 303), ("نمی\u200cشود", 303), ("à relire\u00a0!", 303), ("a\u202eb", 400)],
)
async def test_a_note_may_be_in_any_script(
    note: str, status: int, tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    copy_log(simulated_log, tmp_path / "log")
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        _, address = await _first_to_read(client)
        data = {"pneumonia": "positive", "tuberculosis": "negative", "note": note}
        answer = await client.post(address, data=data)
        told = (await client.get(address)).text

    assert (answer.status_code, note in told) == (status, status == 303)


async def test_the_first_verdict_stands_since_the_next_reader_may_know_the_answers(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path / "log")
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        _, address = await _first_to_read(client)
        first = {"pneumonia": "positive", "tuberculosis": "negative"}
        second = {"pneumonia": "negative", "tuberculosis": "positive"}
        statuses = [(await client.post(address, data=data)).status_code for data in (first, second)]
        refused = await client.post(address, data=second)

    assert statuses == [303, 409]
    assert "not recorded" in refused.text
    ((_, _, body),) = read_log(url, NEWEST)
    assert '"pneumonia":"positive"' in str(body)


async def test_of_two_readers_at_once_the_first_verdict_stands(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path / "log")
    count = "SELECT count(*) FROM evidence_log WHERE kind = 'adjudication'"
    ((before,),) = read_log(url, count)
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        _, address = await _first_to_read(client)
        data = {"pneumonia": "positive", "tuberculosis": "negative"}
        answers = await asyncio.gather(*(client.post(address, data=data) for _ in range(4)))

    ((after,),) = read_log(url, count)
    assert sorted(answer.status_code for answer in answers) == [303, 409, 409, 409]
    assert after == int(str(before)) + 1


async def test_nobody_gives_a_verdict_on_a_radiograph_that_does_not_exist(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path / "log")
    before = read_log(url, "SELECT COUNT(*) FROM evidence_log")
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        answer = await client.post(
            "/review/disagreements/00000000-0000-7000-8000-000000000000",
            data={"pneumonia": "positive", "tuberculosis": "negative"},
        )

    assert answer.status_code == 404
    assert read_log(url, "SELECT COUNT(*) FROM evidence_log") == before
