"""What the pages say when no answer comes: nothing old passes for the answer to a new question."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.programs import needs
from tests.support.radiographs import png_bytes
from tests.support.visits import CHROMIUM, Visit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs(None if CHROMIUM else "Debian's chromium"),
]

PROBLEM = '{"code": "%s", "detail": "said by the service"}'


def _try(page: Page, address: str, folder: Path) -> None:
    """Read one film, and choose the next, which nobody has answered yet."""
    for name in ("first.png", "second.png"):
        (folder / name).write_bytes(png_bytes())
    page.goto(address)
    page.set_input_files("#file", folder / "first.png")
    expect(page.locator("#result .result")).to_be_visible()
    expect(page.locator("#result .tried")).to_have_text("File: first.png")


def test_a_lost_connection_is_told_and_the_old_result_is_gone(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    visit = Visit(browser, address)
    _try(visit.page, address, tmp_path)

    visit.page.route("**/review/try", lambda route: route.abort("connectionrefused"))
    visit.page.set_input_files("#file", tmp_path / "second.png")

    expect(visit.page.get_by_role("alert")).to_contain_text("No connection")
    expect(visit.page.locator("#result .tried")).to_have_text("File: second.png")
    expect(visit.page.locator(".result")).to_have_count(0)
    visit.close()


@pytest.mark.parametrize(
    ("status", "code", "title"),
    [
        (401, "CREDENTIALS_MISSING", "Sign in again"),
        (403, "FORGED_REQUEST", "No answer"),
        (429, "RATE_LIMITED", "No answer"),
        (500, "INTERNAL", "No answer"),
        (503, "QUEUE_FULL", "No answer"),
    ],
)
def test_a_refusal_is_told_with_its_code_and_the_old_result_is_gone(
    browser: Browser, address: str, tmp_path: Path, status: int, code: str, title: str
) -> None:
    visit = Visit(browser, address)
    _try(visit.page, address, tmp_path)

    def refuse(route: Route) -> None:
        route.fulfill(
            status=status, content_type="application/problem+json", body=PROBLEM % code,
            headers={"Retry-After": "7"},
        )  # fmt: skip

    visit.page.route("**/review/try", refuse)
    visit.page.set_input_files("#file", tmp_path / "second.png")

    alert = visit.page.get_by_role("alert")
    expect(alert).to_contain_text(title)
    expect(alert).to_contain_text(code)
    expect(alert).to_contain_text("said by the service")
    expect(alert).to_contain_text("Try again in 7 s")
    expect(visit.page.locator(".result")).to_have_count(0)
    assert visit.serious_faults() == []
    visit.close()


def test_a_proxys_own_page_never_stands_in_the_result(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    visit = Visit(browser, address)
    _try(visit.page, address, tmp_path)

    visit.page.route(
        "**/review/try",
        lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Gateway</h1>"),
    )
    visit.page.set_input_files("#file", tmp_path / "second.png")

    expect(visit.page.get_by_role("alert")).to_contain_text("HTTP 502")
    expect(visit.page.get_by_text("Gateway")).to_have_count(0)
    visit.close()


def test_while_an_answer_is_awaited_the_old_result_is_gone(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    visit = Visit(browser, address)
    _try(visit.page, address, tmp_path)

    visit.page.route("**/review/try", lambda route: None)
    visit.page.set_input_files("#file", tmp_path / "second.png")

    expect(visit.page.locator("#working")).to_be_visible()
    expect(visit.page.locator("#result")).to_be_empty()
    visit.close()


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("worklist", ("select[name=priority]", "routine")),
        ("thresholds", ("select[name=finding]", "tuberculosis")),
        ("comparison", ("select[name=days]", "365")),
        ("queue", ("select[name=utilisation]", "0.9")),
    ],
)
def test_numbers_of_the_choice_before_are_marked_where_the_next_fails(
    browser: Browser,
    address: str,
    addresses: dict[str, str],
    name: str,
    choice: tuple[str, str],
) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(addresses[name])
    refused = True

    def answer(route: Route) -> None:
        route.abort("connectionrefused") if refused else route.fallback()

    page.route(lambda url: url.startswith(addresses[name].split("?")[0] + "?"), answer)
    page.locator(choice[0]).select_option(choice[1])
    expect(page.get_by_role("alert")).to_contain_text("No connection")
    expect(page.locator("#result.stale")).to_have_count(1)
    refused = False
    page.locator("select[name=days]").select_option("30")

    expect(page.locator("#result.stale, [role=alert]")).to_have_count(0)
    visit.close()


@pytest.mark.parametrize("typed", ["500", ""])
def test_a_number_that_cannot_be_asked_is_told(
    browser: Browser, address: str, addresses: dict[str, str], typed: str
) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(addresses["queue"])

    page.get_by_label("Readers").fill(typed)
    page.get_by_label("Readers").press("Tab")
    expect(page.get_by_role("alert")).to_contain_text("Readers")
    expect(page.locator("#result.stale")).to_have_count(1)
    page.get_by_label("Readers").fill("3")
    page.get_by_label("Readers").press("Tab")

    expect(page.locator("#result")).to_contain_text("3 readers")
    expect(page.get_by_role("alert")).to_have_count(0)
    visit.close()


def test_two_files_at_once_are_not_read(browser: Browser, address: str) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.goto(address)
    dropped = page.evaluate_handle(
        """() => {
          const both = new DataTransfer();
          for (const name of ["a.png", "b.png"]) both.items.add(new File(["x"], name));
          return both;
        }"""
    )

    page.dispatch_event(".drop", "drop", {"dataTransfer": dropped})

    expect(page.get_by_role("alert")).to_contain_text("One at a time")
    expect(page.locator("#chosen")).to_have_text("no file chosen")
    visit.close()
