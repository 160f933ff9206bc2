"""The pages as a person asks for them, and the door that stands before them."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import create_app
from tests.support.apps import open_app, tiny_settings
from tests.support.radiographs import png_bytes
from tests.support.simulated import LOCAL, copy_log, open_pages, read_log

PAGES = (
    "/", "/review", "/review/disagreements", "/review/thresholds", "/review/comparison",
    "/review/queue", "/review/golive",
)  # fmt: skip
NEWEST = "SELECT kind, actor, body FROM evidence_log ORDER BY sequence DESC LIMIT 1"


async def _get(tiny_store: Path, folder: Path, *paths: str) -> list[httpx.Response]:
    async with open_pages(tiny_store, folder) as (_, client):
        return [await client.get(path) for path in paths]


async def test_every_page_answers_and_asks_nobody_else(
    tiny_store: Path, simulated_log: Path
) -> None:
    responses = await _get(tiny_store, simulated_log, *PAGES)

    assert [response.status_code for response in responses] == [200] * len(PAGES)
    assert ["Simulated log" in response.text for response in responses] == [False] + [True] * 6
    for response in responses:
        assert "Research use only" in response.text
        assert re.findall(r"(?:src|href|action)=\"(?!/|data:|#)", response.text) == []
        assert re.findall(r"<script(?! src=)|\sstyle=|\son[a-z]+=", response.text) == []
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


async def test_assets_of_the_pages_are_there(tiny_store: Path, simulated_log: Path) -> None:
    (page,) = await _get(tiny_store, simulated_log, "/review")
    named = sorted(set(re.findall(r"/review/static/[\w.]+", page.text)))

    assets = await _get(tiny_store, simulated_log, *named)

    assert len(named) == 4
    assert [asset.status_code for asset in assets] == [200] * 4


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "hospital.example"},
        {"host": "127.0.0.1.attacker.example"},
    ],
    ids=["other name", "rebound name"],
)
async def test_whoever_is_not_on_this_machine_finds_no_page(
    tiny_store: Path, simulated_log: Path, headers: dict[str, str]
) -> None:
    async with open_pages(tiny_store, simulated_log) as (_, client):
        statuses = [
            (await client.get(path, headers=headers)).status_code
            for path in (*PAGES, "/review/api/worklist", "/review/api/golive")
        ]

    assert set(statuses) == {404}


async def test_a_page_elsewhere_cannot_act_in_the_reviewers_name(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path / "log")
    before = read_log(url, "SELECT COUNT(*) FROM evidence_log")
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        statuses = [
            (
                await client.post(
                    "/review/thresholds/proposal",
                    data={"finding": "pneumonia", "threshold": "0.4"},
                    headers=headers,
                )
            ).status_code
            for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"})
        ]

    assert statuses == [404, 404]
    assert read_log(url, "SELECT COUNT(*) FROM evidence_log") == before


async def test_agreeing_cases_stand_among_those_to_read(
    tiny_store: Path, simulated_log: Path
) -> None:
    (page,) = await _get(tiny_store, simulated_log, "/review/disagreements")
    waiting = page.text.split("<h2>Second readings given</h2>")[0]
    listed = set(re.findall(r"/review/disagreements/([0-9a-f-]{36})", waiting))

    rows = await _get(tiny_store, simulated_log, "/review/api/worklist?days=3650&only=disagreement")

    assert listed - {row["id"] for row in rows[0].json()["rows"]}


async def test_a_proposal_is_written_down_and_applied_by_nobody(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path / "log")
    async with open_pages(tiny_store, tmp_path / "log") as (service, client):
        points = service.runtime.manifest.operating_points
        answer = await client.post(
            "/review/thresholds/proposal", data={"finding": "pneumonia", "threshold": "0.4"}
        )
        assert service.runtime.manifest.operating_points == points

    proposal = answer.json()
    assert "attachment" in answer.headers["content-disposition"]
    assert (proposal["threshold"], proposal["applied"]) == (0.4, False)
    assert read_log(url, NEWEST)[0][0] == "proposal"


@pytest.mark.parametrize(
    "query",
    [
        "", "scanner=er-1", "priority=urgent", "flag=tuberculosis", "warning=VIEW_AP",
        "only=disagreement", "only=candidate_differs", "only=not_evaluated",
    ],
)  # fmt: skip
async def test_paging_shows_every_row_once(
    tiny_store: Path, simulated_log: Path, query: str
) -> None:
    rows: list[dict[str, Any]] = []
    after = ""
    async with open_pages(tiny_store, simulated_log) as (_, client):
        while True:
            page = (
                await client.get(f"/review/api/worklist?days=3650&{query}&after={after}")
            ).json()
            rows += page["rows"]
            if page["next"] is None:
                break
            after = page["next"]

    ids = [row["id"] for row in rows]
    assert 0 < len(ids) == len(set(ids)) == sum(page["totals"].values())
    ranks = {"urgent": 0, "review": 1, None: 1, "routine": 2}
    order = [(ranks[row["priority"]], row["received_at"]) for row in rows]
    assert [rank for rank, _ in order] == sorted(rank for rank, _ in order)
    newest_first = sorted(order, key=lambda place: place[1], reverse=True)
    assert order == sorted(newest_first, key=lambda place: place[0])


@pytest.mark.parametrize(
    "query", ["days=0", "after=x", "after=0:1.2.3:4", "priority=soon", "unknown=1"]
)
async def test_a_malformed_question_is_a_coded_problem(
    tiny_store: Path, simulated_log: Path, query: str
) -> None:
    (answer,) = await _get(tiny_store, simulated_log, f"/review?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


async def test_an_upload_is_tried_shown_and_recorded(tiny_store: Path, tmp_path: Path) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        answer = await client.post("/review/try", files={"file": ("a.png", png_bytes())})
        refused = await client.post("/review/try", files={"file": ("a.txt", b"hello")})
        entry = re.findall(r"/review/cases/([0-9a-f-]{36})", answer.text)[0]
        case = await client.get(f"/review/cases/{entry}")

    assert answer.text.count("data:image/png;base64,") == 3
    assert "tiny/0.0.1" in answer.text
    assert "Research use only" in answer.text
    assert (refused.status_code, "UNKNOWN_FORMAT" in refused.text) == (415, True)
    assert (case.status_code, entry in case.text) == (200, True)


async def test_shadow_mode_tells_the_page_nothing_either(tiny_store: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_store, tmp_path, mode="shadow")
    async with open_app(settings) as service:
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            answer = await client.post("/review/try", files={"file": ("a.png", png_bytes())})

    assert "told to no caller" in answer.text
    assert answer.text.count("data:image/png") == 1
    assert not re.search(r"probabilit|urgent|routine|flag|priority", answer.text)


def test_pages_are_not_part_of_the_api(tmp_path: Path) -> None:
    paths = create_app(tiny_settings(tmp_path, tmp_path)).openapi()["paths"]

    assert [path for path in paths if path.startswith("/review") or path == "/"] == []


async def test_an_upload_that_somebody_tries_does_not_empty_the_pages(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    copy_log(simulated_log, tmp_path / "log")
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        before = (await client.get("/review/api/thresholds")).json()
        await client.post("/review/try", files={"file": ("a.png", png_bytes())})
        after = (await client.get("/review/api/thresholds")).json()

    assert before["overall"]["sensitivity"]["total"] > 10
    assert after == before
