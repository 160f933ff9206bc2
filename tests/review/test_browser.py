"""Every page in a real browser, by keyboard and by hand, in both themes and at three widths."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.review.conftest import PAGE_NAMES
from tests.support.programs import needs
from tests.support.radiographs import png_bytes
from tests.support.visits import CHROMIUM, Visit

SMALL_PHONE: ViewportSize = {"width": 320, "height": 640}
"""Also a page of 1280 px at 400 % (WCAG 2.2, 1.4.10)."""
AGE = """() => {
  for (const id of ["serving", "standing", "as-of"]) {
    document.getElementById(id).dataset.before = "yes";
  }
}"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs(None if CHROMIUM else "Debian's chromium"),
]


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_page_is_accessible_quiet_and_stays_in_its_width(
    browser: Browser, address: str, addresses: dict[str, str], name: str
) -> None:
    visit = Visit(browser, address)

    visit.page.goto(addresses[name])

    assert visit.faults_in_every_view() == {}
    assert (visit.strays, visit.complaints) == ([], [])
    visit.close()


def test_a_result_is_accessible_and_stays_in_its_width(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    (tmp_path / "film.png").write_bytes(png_bytes())
    visit = Visit(browser, address)

    visit.page.goto(address)
    visit.page.set_input_files("#file", tmp_path / "film.png")
    visit.page.wait_for_selector(".result")

    assert visit.faults_in_every_view() == {}
    assert (visit.strays, visit.complaints) == ([], [])
    visit.close()


def test_a_result_stays_in_the_width_of_a_small_phone(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    (tmp_path / "film.png").write_bytes(png_bytes())
    visit = Visit(browser, address, "narrow-light")

    visit.page.set_viewport_size(SMALL_PHONE)
    visit.page.goto(address)
    visit.page.set_input_files("#file", tmp_path / "film.png")
    visit.page.wait_for_selector(".result")

    assert visit.overflow_px() == 0
    visit.close()


def test_a_radiograph_is_tried_by_hand(browser: Browser, address: str, tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(png_bytes())
    visit = Visit(browser, address)
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
    assert visit.serious_faults() == []
    assert (visit.strays, visit.complaints) == ([], [])
    visit.close()


def test_moving_the_threshold_changes_the_numbers_at_once(browser: Browser, address: str) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(f"{address}/review/thresholds?threshold=0.2")
    before = page.locator(".tile").last.inner_text()

    with page.expect_response("**/review/thresholds?*"):
        page.locator("#threshold").fill("0.9")
    page.wait_for_url("**threshold=0.9*")

    assert page.locator("#shown").inner_text() == "0.900"
    assert page.locator(".tile").last.inner_text() != before
    assert (visit.strays, visit.complaints) == ([], [])
    visit.close()


def test_a_verdict_is_given_with_the_keyboard_alone(browser: Browser, address: str) -> None:
    visit = Visit(browser, address)
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
    visit.close()


def test_the_worklist_is_filtered_and_turned(browser: Browser, address: str) -> None:
    visit = Visit(browser, address)
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
    visit.close()


def test_another_finding_moves_the_slider_to_its_own_threshold(
    browser: Browser, address: str
) -> None:
    visit = Visit(browser, address)
    page = visit.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/review/thresholds?days=3650&threshold=0.9")
    asked.clear()

    with page.expect_response("**/review/thresholds?*"):
        page.locator("select[name=finding]").select_option("tuberculosis")
    page.wait_for_url("**threshold_of=tuberculosis*")

    assert page.locator("#threshold").input_value() == "0.2"
    assert page.locator("#shown").inner_text() == "0.200"
    assert page.locator("#result input[name=threshold]").get_attribute("value") == "0.2"
    assert sum("finding=" in url for url in asked) == 1
    assert visit.complaints == []
    visit.close()


@pytest.mark.parametrize("name", ["worklist", "thresholds", "comparison", "queue"])
def test_a_choice_renews_what_the_page_says_of_all_its_numbers(
    browser: Browser, address: str, addresses: dict[str, str], name: str
) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(addresses[name])
    page.evaluate(AGE)

    page.locator("select[name=days]").select_option("365")

    for part in ("#serving", "#standing", "#as-of"):
        expect(page.locator(f"{part}:not([data-before])")).to_have_count(1)
    assert page.locator("#standing .banner").count() == 1
    assert (visit.strays, visit.complaints) == ([], [])
    visit.close()
