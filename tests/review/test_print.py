"""What comes out on paper: all of it, in the colours of paper, with its warning and its time."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.support.programs import needs
from tests.support.visits import CHROMIUM, VIEWS, Visit

CUT = """() => [...document.querySelectorAll(".scroll")].filter((one) => {
  const style = getComputedStyle(one);
  return style.overflowX !== "visible" || style.maxHeight !== "none"
    || one.scrollWidth > one.clientWidth + 1;
}).length"""
A4_PX = 688
"""Width between the margins."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs(None if CHROMIUM else "Debian's chromium"),
]


@pytest.mark.parametrize(
    "name", ["golive", "worklist", "disagreements", "thresholds", "comparison", "queue"]
)
def test_a_printed_page_is_whole_and_says_what_it_is_of_when(
    browser: Browser, address: str, addresses: dict[str, str], name: str
) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.set_viewport_size({"width": A4_PX, "height": VIEWS["wide-light"][1]})

    page.goto(addresses[name])
    page.emulate_media(media="print")

    footer = page.locator("footer")
    expect(footer).to_be_visible()
    expect(footer).to_contain_text("Research use only. Not a medical device.")
    expect(footer).to_contain_text(re.compile(r"as of \d{4}-\d\d-\d\d \d\d:\d\d · times in UTC"))
    assert (page.evaluate(CUT), visit.overflow_px()) == (0, 0)
    visit.close()


def test_paper_has_the_same_colours_in_both_themes(
    browser: Browser, address: str, addresses: dict[str, str]
) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(addresses["golive"])
    pictures = []

    for scheme in ("light", "dark"):
        page.emulate_media(media="print", color_scheme=scheme)
        pictures.append(page.locator("main").screenshot())

    assert pictures[0] == pictures[1]
    visit.close()
