"""The page of the API in a real browser: its theme is the system's, and its texts can be read."""

import pytest
from playwright.sync_api import Browser, expect

from tests.support.programs import needs
from tests.support.visits import CHROMIUM, VIEWS, Visit

LIGHTNESS = """() => {
  const channels = getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g);
  return Math.max(...channels.slice(0, 3).map(Number));
}"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs(None if CHROMIUM else "Debian's chromium"),
]


def test_texts_of_the_api_page_have_contrast_in_the_theme_of_the_system(
    browser: Browser, address: str
) -> None:
    visit = Visit(browser, address)
    page = visit.page

    page.goto(f"{address}/docs")
    for operation in ("predict", "readyz"):
        page.locator(f"[id^=operations-][id*={operation}] .opblock-summary-control").click()
    page.locator(".opblock-post .try-out__btn").click()
    page.locator(".opblock-get .try-out__btn").click()
    page.locator(".opblock-get .execute").click()
    page.locator(".live-responses-table").wait_for()

    for view in VIEWS:
        visit.look_as(view)
        expect(page.locator("html.dark-mode")).to_have_count(int(view.endswith("dark")))
        assert (page.evaluate(LIGHTNESS) < 128) == view.endswith("dark")
        assert (visit.serious_faults("color-contrast"), visit.overflow_px()) == ([], 0), view
    assert (visit.strays, visit.complaints) == ([], [])
    visit.close()


def test_the_api_page_follows_the_system_while_it_is_open(browser: Browser, address: str) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(f"{address}/docs")
    page.locator(".opblock").first.wait_for()

    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_class("dark-mode")
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).not_to_have_class("dark-mode")
    visit.close()
