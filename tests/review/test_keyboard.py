"""Every page with the keys alone: Tab, Shift and Tab, arrows, Space and Enter.

No page has a dialog, so nothing waits for Escape.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.review.conftest import PAGE_NAMES
from tests.support.programs import needs
from tests.support.radiographs import png_bytes
from tests.support.visits import CHROMIUM, Visit

MOST_STOPS = 300
STOPS = """() => {
  const asked = "a[href], button, select, input:not([type=hidden]), [tabindex='0']";
  const shown = [...document.querySelectorAll(asked)].filter((one) => one.checkVisibility());
  window.shownToTests = shown;
  const named = shown.map((one) => one.type === "radio" ? "radio " + one.name : shown.indexOf(one));
  return named.filter((name, place) => named.indexOf(name) === place).map(String);
}"""
STOP = """() => {
  const shown = window.shownToTests, at = document.activeElement;
  if (!shown.includes(at)) return null;
  const marked = at.type === "file" ? at.closest(".drop") : at;
  const style = getComputedStyle(marked), box = marked.getBoundingClientRect();
  return {
    name: at.type === "radio" ? "radio " + at.name : String(shown.indexOf(at)),
    is_marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    is_seen: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs(None if CHROMIUM else "Debian's chromium"),
]


def _walk(page: Page, key: str) -> list[dict[str, Any]]:
    """Where the focus stops, until it leaves the page or begins anew."""
    stops: list[dict[str, Any]] = []
    for _ in range(MOST_STOPS):
        page.keyboard.press(key)
        stop = page.evaluate(STOP)
        if stop is None or (stops and stop["name"] == stops[0]["name"]):
            break
        stops.append(stop)
    return stops


def _tab_to(page: Page, selector: str) -> None:
    """Press Tab until something stands in focus."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("(asked) => document.activeElement.matches(asked)", selector):
            return
    raise AssertionError(f"Tab never comes to {selector}")


def _has_focus(page: Page, selector: str) -> bool:
    return bool(page.evaluate("(asked) => document.activeElement.matches(asked)", selector))


@pytest.mark.parametrize("view", ["wide-light", "narrow-dark"])
@pytest.mark.parametrize("name", PAGE_NAMES)
def test_tab_stops_at_every_control_in_reading_order_and_shows_where(
    browser: Browser, address: str, addresses: dict[str, str], name: str, view: str
) -> None:
    visit = Visit(browser, address, view)
    visit.page.goto(addresses[name])

    expected = visit.page.evaluate(STOPS)
    forward = _walk(visit.page, "Tab")
    backward = _walk(visit.page, "Shift+Tab")

    assert [stop["name"] for stop in forward] == expected
    assert [stop["name"] for stop in backward] == expected[::-1]
    assert [stop for stop in forward if not (stop["is_marked"] and stop["is_seen"])] == []
    visit.close()


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_the_first_tab_offers_to_skip_the_navigation(
    browser: Browser, address: str, addresses: dict[str, str], name: str
) -> None:
    visit = Visit(browser, address)
    visit.page.goto(addresses[name])

    visit.page.keyboard.press("Tab")
    offered = visit.page.locator("a.skip").bounding_box()
    visit.page.keyboard.press("Enter")

    assert offered is not None
    assert offered["x"] >= 0
    assert _has_focus(visit.page, "main")
    visit.close()


def test_the_threshold_moves_by_arrows_and_keeps_the_focus(browser: Browser, address: str) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(f"{address}/review/thresholds?days=3650&threshold=0.5")
    before = page.locator(".tile").last.inner_text()

    _tab_to(page, "#threshold")
    for key, threshold in (("End", "1"), ("ArrowLeft", "0.999")):
        page.keyboard.press(key)
        page.wait_for_url(f"**threshold={threshold}")

    assert page.locator("#shown").inner_text() == "0.999"
    assert page.locator(".tile").last.inner_text() != before
    assert _has_focus(page, "#threshold")
    assert visit.complaints == []
    visit.close()


@pytest.mark.parametrize("name", ["worklist", "thresholds", "comparison", "queue"])
def test_a_choice_by_arrows_changes_the_page_and_keeps_the_focus(
    browser: Browser, address: str, addresses: dict[str, str], name: str
) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(addresses[name])
    page.evaluate("document.getElementById('result').dataset.before = 'yes'")

    _tab_to(page, "select[name=days]")
    page.keyboard.press("ArrowUp")

    expect(page.locator("#result[data-before]")).to_have_count(0)
    expect(page.locator("#told[role=status]")).to_have_text(re.compile(r"\d"))
    assert "days=365" in page.url
    assert _has_focus(page, "select[name=days]")
    assert visit.complaints == []
    visit.close()


def test_a_radiograph_is_tried_with_the_keyboard_alone(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    (tmp_path / "film.png").write_bytes(png_bytes())
    visit = Visit(browser, address)
    page = visit.page
    page.on("filechooser", lambda chooser: chooser.set_files(tmp_path / "film.png"))
    page.goto(address)

    _tab_to(page, "#file")
    page.keyboard.press("Enter")
    page.wait_for_selector(".result")
    assert _has_focus(page, "#file")
    before = page.locator(".overlay:not(.hidden)").get_attribute("data-finding")
    _tab_to(page, "input[name=overlay]")
    page.keyboard.press("ArrowRight")
    _tab_to(page, "#opacity")
    page.keyboard.press("Home")

    shown = page.locator(".overlay:not(.hidden)")
    assert {before, shown.get_attribute("data-finding")} == {"pneumonia", "tuberculosis"}
    assert shown.evaluate("(picture) => picture.style.opacity") == "0"
    assert page.locator("#opacity-shown").inner_text() == "0 %"
    assert visit.complaints == []
    visit.close()


def test_a_wide_table_on_a_narrow_screen_is_moved_by_arrows(
    browser: Browser, address: str, addresses: dict[str, str]
) -> None:
    visit = Visit(browser, address, "narrow-light")
    page = visit.page
    page.goto(addresses["worklist"])

    _tab_to(page, ".scroll")
    page.keyboard.press("ArrowRight")

    # Looked at from outside: the page's policy forbids a predicate that polls from within it.
    expect(page.locator(".scroll").first).not_to_have_js_property("scrollLeft", 0)
    visit.close()


def test_a_verdict_is_given_from_the_first_tab_on(browser: Browser, address: str) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(f"{address}/review/disagreements")

    _tab_to(page, "td a")
    page.keyboard.press("Enter")
    page.wait_for_selector("form.verdict")
    for finding in ("pneumonia", "tuberculosis"):
        _tab_to(page, f"input[name={finding}]")
        page.keyboard.press("ArrowDown")
    _tab_to(page, "form.verdict button")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Answers").wait_for()

    assert page.locator("tbody .label-negative").count() >= len(("pneumonia", "tuberculosis"))
    assert visit.complaints == []
    visit.close()
