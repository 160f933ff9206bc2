"""Every page in a real browser, by keyboard and by hand, in both themes and at two widths."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from service.app import create_app
from service.demo import serving
from service.settings import RecordSettings
from tests.support.apps import tiny_settings
from tests.support.radiographs import png_bytes
from tests.support.simulated import copy_log

CHROMIUM = shutil.which("chromium")
AXE = importlib.util.find_spec("axe_core_python")
PAGES = {
    "try": "/",
    "worklist": "/review?days=3650",
    "disagreements": "/review/disagreements",
    "thresholds": "/review/thresholds",
    "comparison": "/review/comparison",
    "queue": "/review/queue",
    "golive": "/review/golive",
}
Scheme = Literal["light", "dark"]
VIEWS: dict[str, tuple[int, int, Scheme]] = {
    "wide-light": (1280, 900, "light"),
    "wide-dark": (1280, 900, "dark"),
    "narrow-light": (390, 844, "light"),
    "narrow-dark": (390, 844, "dark"),
}
SLOW_MACHINE_MS = 120_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]


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
    """Debian's Chromium, which is root in a container and so has no sandbox of its own."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=SLOW_MACHINE_MS
        )
        yield opened
        opened.close()


class Visit:
    """A page, and what it asked for outside the service or said on the console."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.strays: list[str] = []
        self.complaints: list[str] = []
        context.set_default_timeout(SLOW_MACHINE_MS)
        context.route("**/*", lambda route: self._let_through(route, address))
        self.page: Page = context.new_page()
        self.page.on("console", lambda told: self.complaints.append(told.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _let_through(self, route: Route, address: str) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
            return
        self.strays.append(route.request.url)
        route.abort()


def _open(browser: Browser, address: str, view: str = "wide-light") -> Visit:
    width, height, scheme = VIEWS[view]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    return Visit(context, address)


def _serious_faults(page: Page) -> list[Any]:
    assert AXE is not None
    assert AXE.origin is not None
    page.evaluate((Path(AXE.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    violations: list[dict[str, Any]] = page.evaluate("axe.run().then((told) => told.violations)")
    return [
        (fault["id"], [node["target"] for node in fault["nodes"]])
        for fault in violations
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_quiet_and_stays_in_its_width(
    browser: Browser, address: str, view: str, name: str, tmp_path: Path
) -> None:
    visit = _open(browser, address, view)

    visit.page.goto(address + PAGES[name])
    visit.page.screenshot(path=tmp_path / f"{name}-{view}.png", full_page=True)

    beyond = visit.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert _serious_faults(visit.page) == []
    assert (visit.strays, visit.complaints, beyond) == ([], [], 0)
    visit.page.context.close()


def test_a_radiograph_is_tried_by_hand(browser: Browser, address: str, tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(png_bytes())
    visit = _open(browser, address)
    page = visit.page

    page.goto(address)
    page.set_input_files("#file", tmp_path / "film.png")
    page.wait_for_selector(".result")
    page.locator("#opacity").fill("20")
    page.get_by_label("tuberculosis", exact=True).first.check()

    shown = page.locator(".overlay:not(.hidden)")
    assert shown.get_attribute("data-finding") == "tuberculosis"
    assert shown.evaluate("(picture) => picture.style.opacity") == "0.2"
    assert "Research use only" in page.locator(".result").inner_text()
    assert _serious_faults(page) == []
    assert (visit.strays, visit.complaints) == ([], [])
    page.context.close()


def test_moving_the_threshold_changes_the_numbers_at_once(browser: Browser, address: str) -> None:
    visit = _open(browser, address)
    page = visit.page
    page.goto(f"{address}/review/thresholds?threshold=0.2")
    before = page.locator(".tile").last.inner_text()

    with page.expect_response("**/review/thresholds?*"):
        page.locator("#threshold").fill("0.9")
    page.wait_for_url("**threshold=0.9*")

    assert page.locator("#shown").inner_text() == "0.900"
    assert page.locator(".tile").last.inner_text() != before
    assert (visit.strays, visit.complaints) == ([], [])
    page.context.close()


def test_a_verdict_is_given_with_the_keyboard_alone(browser: Browser, address: str) -> None:
    visit = _open(browser, address)
    page = visit.page
    page.goto(f"{address}/review/disagreements")

    page.locator("td a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("form.verdict")
    page.locator("input[name=pneumonia]").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("lateral view asked for")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Answers").wait_for()

    assert "lateral view asked for" in page.locator("main").inner_text()
    assert visit.complaints == []
    page.context.close()


def test_the_worklist_is_filtered_and_turned(browser: Browser, address: str) -> None:
    visit = _open(browser, address)
    page = visit.page
    page.goto(f"{address}/review?days=3650")

    with page.expect_response("**/review?*"):
        page.get_by_label("Priority").select_option("routine")
    page.wait_for_url("**priority=routine*")
    first = page.locator("tbody tr").first.inner_text()
    page.get_by_role("link", name="Next page").click()
    page.get_by_role("link", name="First page").wait_for()

    assert page.locator("tbody tr").first.inner_text() != first
    assert set(page.locator("tbody .chip.priority-routine").all_inner_texts()) == {"routine"}
    assert (visit.strays, visit.complaints) == ([], [])
    page.context.close()
