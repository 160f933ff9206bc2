"""A person with a real browser, a real identity provider and the real server: in, act, and out."""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from service.access.scopes import Scope
from service.app import create_app
from service.demo import serving
from service.settings import RecordSettings
from tests.support.access import access_on, add_key
from tests.support.apps import tiny_settings
from tests.support.identity_provider import CLIENT_SECRET, missing_provider, running_provider
from tests.support.programs import needs
from tests.support.radiographs import png_bytes
from tests.support.simulated import copy_log, read_log

CHROMIUM = shutil.which("chromium")
SLOW_MACHINE_MS = 120_000
ACTORS = "SELECT kind, actor FROM evidence_log WHERE kind = 'proposal'"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs(None if CHROMIUM else "Debian's chromium"),
    needs(missing_provider()),
]


@dataclass(frozen=True, slots=True)
class Site:
    """The pages, and the log behind them."""

    url: str
    log: str


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def site(tiny_store: Path, simulated_log: Path, tmp_path: Path) -> Iterator[Site]:
    port, secret = free_port(), tmp_path / "client.secret"
    url = f"http://127.0.0.1:{port}"
    secret.write_text(CLIENT_SECRET, "utf-8")
    record = RecordSettings(
        url=copy_log(simulated_log, tmp_path), site_key_file=tmp_path / "site.key"
    )
    with running_provider(f"{url}/sign-in/callback") as issuer:
        access = access_on(
            tmp_path, public_url=url, oidc_issuer=issuer, oidc_client_id="cxr-triage",
            oidc_client_secret_file=secret, oidc_scope="openid profile groups",
            oidc_groups={"radiology": Scope.REVIEW},
        )  # fmt: skip
        add_key(access.keys_file, Scope.ADMIN)
        settings = tiny_settings(tiny_store, tmp_path, record=record, access=access)
        with serving(create_app(settings), "127.0.0.1", port):
            yield Site(url, record.url)


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=SLOW_MACHINE_MS
        )
        yield opened
        opened.close()


def sign_in(page: Page, url: str) -> None:
    """Ask for a page, and type what the provider asks for."""
    page.goto(url)
    page.locator('input[name="login"]').fill("anna")
    page.locator('input[name="password"]').fill("any")
    page.locator('button[type="submit"]').click()
    page.locator('button[type="submit"]').click()
    page.wait_for_url(url)


def test_person_signs_in_acts_on_the_pages_and_signs_out(site: Site, browser: Browser) -> None:
    context = browser.new_context()
    context.set_default_timeout(SLOW_MACHINE_MS)
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda told: complaints.append(told.text))

    sign_in(page, f"{site.url}/review/thresholds")
    complaints.clear()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as a proposal").click()
    page.goto(f"{site.url}/")
    page.set_input_files("#file", {"name": "x.png", "mimeType": "image/png", "buffer": png_bytes()})
    page.wait_for_selector(".result")
    answered = page.locator("#result").inner_text()
    cookies = {cookie["name"]: cookie for cookie in context.cookies(site.url)}
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Signed out").wait_for()

    assert "pneumonia" in answered.lower()
    assert "threshold-" in download.value.suggested_filename
    assert read_log(site.log, ACTORS) == [("proposal", "anna")]
    assert cookies["__Host-cxr_session"]["httpOnly"]
    assert "__Host-cxr_session" not in {c["name"] for c in context.cookies(site.url)}
    assert complaints == []
