"""Whatever a parameter of a page holds, the answer is a page or a coded refusal."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from service.app import create_app
from service.review.worklist import Filters
from tests.support.apps import tiny_settings
from tests.support.simulated import copy_log, open_pages, read_log

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILTERS = tuple(Filters.model_fields)
THRESHOLDS = ("finding", "threshold", "days", "reference")
QUEUE = ("days", "readers", "utilisation", "cap_minutes")
ASKED = {
    "/": (),
    "/review": FILTERS,
    "/review/cases/{entry_id}": ("entry_id",),
    "/review/disagreements": (),
    "/review/disagreements/{entry_id}": ("entry_id",),
    "/review/thresholds": (*THRESHOLDS, "threshold_of"),
    "/review/comparison": ("days",),
    "/review/queue": QUEUE,
    "/review/golive": (),
    "/review/api/worklist": FILTERS,
    "/review/api/disagreements": (),
    "/review/api/thresholds": THRESHOLDS,
    "/review/api/comparison": ("days",),
    "/review/api/queue": QUEUE,
    "/review/api/golive": (),
}
"""Parameters of every page and of its JSON."""

VALUES = (
    "", " ", "0", "-1", "1.5", "1e999", "nan", "-inf", "9" * 400, "true", "[]", "\0", "\n",
    "\u00e9", "\uff11", "\U0001f4a9", "'; --", "{{7*7}}", "0:1.2.3:4", "0:.:0", "1:..:1",
    "2:1e5:3", "2:1.5:3", "3:1:1", "2:-1:3", "0:1:\uff11", "0:1:1\n",
    f"0:{'9' * 40}:1", f"1:1.0:{'9' * 40}",
)  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(tiny_store: Path, simulated_log: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_pages(tiny_store, simulated_log) as (_, opened):
        yield opened


def _pages(routes: list[Any]) -> Iterator[str]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _pages(inner.routes)
        elif "GET" in (getattr(route, "methods", None) or ()):
            yield route.path


def _question(path: str, name: str, value: str) -> str:
    told = quote(value, safe="")
    return path.format(entry_id=told) if name == "entry_id" else f"{path}?{name}={told}"


async def test_no_page_is_left_out(tmp_path: Path) -> None:
    paths = _pages(create_app(tiny_settings(tmp_path, tmp_path)).routes)

    assert {path for path in paths if path == "/" or path.startswith("/review")} == set(ASKED)


@pytest.mark.parametrize("path", [path for path, names in ASKED.items() if names])
async def test_no_value_of_a_parameter_ends_in_a_fault(
    client: httpx.AsyncClient, path: str
) -> None:
    questions = [_question(path, name, value) for name in ASKED[path] for value in VALUES]

    told = {question: (await client.get(question)).status_code for question in questions}

    assert {question: code for question, code in told.items() if code not in (200, 400, 404)} == {}


@pytest.mark.parametrize("entry_id", ["%00", "%0A", "none", "0" * 36])
async def test_no_verdict_is_written_about_what_is_no_id(
    tiny_store: Path, simulated_log: Path, tmp_path: Path, entry_id: str
) -> None:
    url = copy_log(simulated_log, tmp_path / "log")
    before = read_log(url, "SELECT COUNT(*) FROM evidence_log")
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        answer = await client.post(
            f"/review/disagreements/{entry_id}",
            data={"pneumonia": "positive", "tuberculosis": "negative"},
        )

    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert read_log(url, "SELECT COUNT(*) FROM evidence_log") == before
