"""What a proposal of the Thresholds page writes down, and how often."""

import asyncio
import re
from pathlib import Path

from tests.support.simulated import copy_log, open_pages, read_log

NEWEST = "SELECT body FROM evidence_log ORDER BY sequence DESC LIMIT 1"


async def test_a_proposal_is_what_was_on_the_screen(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path / "log")
    asked = "finding=pneumonia&threshold=0.4&days=3650&reference=verdict"
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        page = (await client.get(f"/review/thresholds?{asked}")).text
        shown = (await client.get(f"/review/api/thresholds?{asked}")).json()
        form = page.split('action="/review/thresholds/proposal"')[1]
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
        proposal = (await client.post("/review/thresholds/proposal", data=fields)).json()

    assert proposal["reference"] == "verdict"
    told = ("threshold", "since", "until", "overall")
    assert {name: proposal[name] for name in told} == {name: shown[name] for name in told}
    assert '"reference":"verdict"' in str(read_log(url, NEWEST)[0][0])


async def test_a_proposal_that_is_asked_for_again_is_written_once(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path / "log")
    data = {"finding": "pneumonia", "threshold": "0.4"}
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        answers = await asyncio.gather(
            *(client.post("/review/thresholds/proposal", data=data) for _ in range(3))
        )
        other = await client.post("/review/thresholds/proposal", data=data | {"threshold": "0.5"})

    numbers = {answer.json()["evidence"] for answer in answers}
    assert len(numbers) == 1
    assert other.json()["evidence"] == max(numbers) + 1
    written = read_log(url, "SELECT COUNT(*) FROM evidence_log WHERE kind = 'proposal'")
    assert written == [(2,)]
