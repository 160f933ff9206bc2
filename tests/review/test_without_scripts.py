"""The pages in a browser that runs no scripts: what is shown can be used."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.programs import needs
from tests.support.radiographs import png_bytes
from tests.support.visits import CHROMIUM, SLOW_MACHINE_MS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs(None if CHROMIUM else "Debian's chromium"),
]


def test_the_map_of_either_finding_is_chosen_and_no_dead_slider_is_shown(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    (tmp_path / "film.png").write_bytes(png_bytes())
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(SLOW_MACHINE_MS)
    page = context.new_page()
    page.goto(address)
    page.locator("#file").set_input_files(tmp_path / "film.png")
    page.get_by_role("button", name="Read it").click()
    page.locator(".result").wait_for()

    for finding in ("pneumonia", "tuberculosis"):
        page.locator(f"input[name=overlay][value={finding}]").check()
        shown = page.locator(".overlay:visible")
        expect(shown).to_have_count(1)
        assert shown.get_attribute("data-finding") == finding
    expect(page.locator("#opacity")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("name", ["worklist", "thresholds", "comparison", "queue"])
def test_a_choice_is_shown_by_its_button(
    browser: Browser, addresses: dict[str, str], name: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(SLOW_MACHINE_MS)
    page = context.new_page()
    page.goto(addresses[name])

    page.locator("select[name=days]").select_option("365")
    page.get_by_role("button", name="Show").click()

    page.wait_for_url("**days=365*")
    assert page.locator("select[name=days]").input_value() == "365"
    context.close()
