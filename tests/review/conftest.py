"""What the pages must agree with, and the browser that looks at them."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from service.app import create_app
from service.demo import serving
from service.settings import RecordSettings
from tests.support.apps import tiny_settings
from tests.support.counted import Seen, count_by_hand
from tests.support.simulated import copy_log, open_pages
from tests.support.visits import CHROMIUM, SLOW_MACHINE_MS

Ask = Callable[..., Awaitable[list[httpx.Response]]]
PAGE_NAMES = (
    "try", "worklist", "empty worklist", "radiograph", "not evaluated", "disagreements",
    "second reading", "answers", "thresholds", "comparison", "queue", "golive",
)  # fmt: skip


@pytest.fixture(scope="session")
def radiographs(simulated_log: Path) -> list[Seen]:
    """Every radiograph of the simulated log, joined by hand."""
    return count_by_hand(f"sqlite:///{simulated_log}/shadow.db")


@pytest.fixture
def ask(tiny_store: Path, simulated_log: Path) -> Ask:
    """Ask the service for some addresses over the simulated log."""

    async def answers(*paths: str) -> list[httpx.Response]:
        async with open_pages(tiny_store, simulated_log) as (_, client):
            found = [await client.get(path) for path in paths]
        assert {answer.status_code for answer in found} == {200}
        return found

    return answers


@pytest.fixture(scope="module")
def address(
    tiny_store: Path, simulated_log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The real server on a free port over a log of its own."""
    folder = tmp_path_factory.mktemp("pages")
    record = RecordSettings(url=copy_log(simulated_log, folder), site_key_file=folder / "site.key")
    settings = tiny_settings(tiny_store, folder, record=record)
    with serving(create_app(settings), "127.0.0.1", 0) as at:
        yield at.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, which is root in a container and so has no sandbox of its own.

    Of one module, none of whose tests is asynchronous: while it is open its own loop runs.
    """
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=SLOW_MACHINE_MS
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def addresses(address: str, radiographs: list[Seen]) -> dict[str, str]:
    """Each kind of page by its name."""
    disputed = [one for one in radiographs if one.disagrees()]
    unread = next(one.id for one in reversed(disputed) if one.verdict is None)
    read = next(one.id for one in disputed if one.verdict is not None)
    refused = next(one.id for one in radiographs if one.outcome == "not_evaluated")
    paths = {
        "try": "/",
        "worklist": "/review?days=3650",
        "empty worklist": "/review?warning=ROTATED_BY_EXIF",
        "radiograph": f"/review/cases/{read}",
        "not evaluated": f"/review/cases/{refused}",
        "disagreements": "/review/disagreements",
        "second reading": f"/review/disagreements/{unread}",
        "answers": f"/review/disagreements/{read}",
        "thresholds": "/review/thresholds?days=3650",
        "comparison": "/review/comparison?days=3650",
        "queue": "/review/queue?days=3650",
        "golive": "/review/golive",
    }
    assert list(paths) == list(PAGE_NAMES)
    return {name: address + path for name, path in paths.items()}
