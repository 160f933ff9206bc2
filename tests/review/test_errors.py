"""A person who opens a page that is not there sees a page; a program gets the problem."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.apps import open_app, tiny_settings

LOOPBACK = "http://127.0.0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PROBLEM = "application/problem+json"


@pytest_asyncio.fixture
async def client(tiny_store: Path, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as opened:
        yield opened.client


@pytest.mark.parametrize("path", ["/reviews", "/review/cases/none", "/review/<b>x</b>"])
async def test_mistyped_address_shows_a_page_with_the_code(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path, headers={"Accept": BROWSER})

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<code>NOT_FOUND</code>" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert "<b>x</b>" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [{}, {"Accept": "application/json"}, {"Accept": "text/html, */*", "HX-Request": "true"}],
)
async def test_program_and_part_of_a_page_get_the_problem(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.get("/reviews", headers=headers)

    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.json()["code"] == "NOT_FOUND"


async def test_page_of_an_error_keeps_what_a_browser_acts_on(client: httpx.AsyncClient) -> None:
    answer = await client.get("/predict", headers={"Accept": BROWSER})

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


async def test_query_that_a_page_does_not_understand_shows_a_page(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get(f"{LOOPBACK}/review?days=soon", headers={"Accept": BROWSER})

    assert answer.status_code == 400
    assert "<code>INVALID_REQUEST</code>" in answer.text
    assert "soon" not in answer.text


async def test_page_of_an_error_says_what_it_is_for(client: httpx.AsyncClient) -> None:
    answer = await client.get("/reviews", headers={"Accept": BROWSER})

    assert "Research use only. Not a medical device." in answer.text
    assert 'href="/review"' in answer.text


@pytest.mark.parametrize(
    "question",
    [
        "/review?after=x", "/review?unknown=1", "/review/cases/%00", "/review/disagreements/%00",
        "/review/thresholds?threshold=2", "/review/thresholds?threshold_of=normal",
        "/review/comparison?days=0", "/review/queue?readers=none",
    ],
)  # fmt: skip
async def test_malformed_question_in_a_browser_is_a_page_whatever_page_it_asks(
    client: httpx.AsyncClient, question: str
) -> None:
    answer = await client.get(f"{LOOPBACK}{question}", headers={"Accept": BROWSER})

    assert answer.status_code in (400, 404)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<h1>" in answer.text
