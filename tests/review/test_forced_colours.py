"""Pages where the system forces its colours, and what tells two curves apart without them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.support.programs import needs
from tests.support.radiographs import png_bytes
from tests.support.visits import CHROMIUM, SLOW_MACHINE_MS

LEAST_SHADES = 20
"""Of a bar that is empty there are its border and its ground."""

SWATCHES = """() => [...document.querySelectorAll(".chart .swatch")].slice(0, 2).map((one) => {
  const style = getComputedStyle(one);
  return [style.borderTopColor, style.borderTopStyle, style.borderTopWidth];
})"""
DRAWN = """() => [...document.querySelectorAll(".curve, .bar")].map((one) => {
  const style = getComputedStyle(one);
  return one.matches(".curve") ? style.stroke : style.fill;
})"""
UNDERLINES = """() => [...document.querySelectorAll("nav a")].map(
  (one) => [one.ariaCurrent, getComputedStyle(one).borderBottomColor])"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs(None if CHROMIUM else "Debian's chromium"),
]


def _open(browser: Browser, url: str) -> Page:
    page = browser.new_context(forced_colors="active").new_page()
    page.set_default_timeout(SLOW_MACHINE_MS)
    page.goto(url)
    return page


@pytest.mark.parametrize("name", ["thresholds", "comparison"])
def test_the_legend_has_the_colours_of_what_is_drawn(
    browser: Browser, addresses: dict[str, str], name: str
) -> None:
    page = _open(browser, addresses[name])

    swatches, drawn = page.evaluate(SWATCHES), page.evaluate(DRAWN)

    assert len({colour for colour, _, _ in swatches}) == len(swatches)
    assert {colour for colour, _, _ in swatches} == set(drawn)
    assert {width for _, _, width in swatches} == {"4px"}
    page.context.close()


def test_the_legend_of_a_dashed_curve_is_dashed(
    browser: Browser, addresses: dict[str, str]
) -> None:
    page = _open(browser, addresses["thresholds"])

    assert [line for _, line, _ in page.evaluate(SWATCHES)] == ["solid", "dashed"]
    page.context.close()


def test_only_the_page_that_is_open_is_underlined(
    browser: Browser, addresses: dict[str, str]
) -> None:
    page = _open(browser, addresses["thresholds"])

    underlines = page.evaluate(UNDERLINES)

    current = {colour for is_current, colour in underlines if is_current}
    others = {colour for is_current, colour in underlines if not is_current}
    assert len(current) == len(others) == 1
    assert current != others
    page.context.close()


def test_the_scale_of_the_map_is_painted(
    browser: Browser, addresses: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "film.png").write_bytes(png_bytes())
    page = _open(browser, addresses["try"])

    page.set_input_files("#file", tmp_path / "film.png")
    scale = page.locator(".scale").screenshot()

    painted = cv2.imdecode(np.frombuffer(scale, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert painted is not None
    assert len(np.unique(painted)) > LEAST_SHADES
    page.context.close()
