"""Signing in at a real provider: npm's certified `oidc-provider`, and a person who types."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio

from service.access.options import AccessSettings
from service.access.scopes import Scope
from tests.support.access import SITE, access_on, add_key
from tests.support.apps import open_app, tiny_settings
from tests.support.identity_provider import (
    CLIENT_SECRET,
    Person,
    missing_provider,
    running_provider,
)
from tests.support.programs import needs

CALLBACK = f"{SITE}/sign-in/callback"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    needs(missing_provider()),
]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with running_provider(CALLBACK) as address:
        yield address


def at_provider(folder: Path, issuer: str, **changes: object) -> AccessSettings:
    """Settings of a client that the provider knows."""
    secret = folder / "client.secret"
    secret.write_text(f"{CLIENT_SECRET}\n", "utf-8")
    access = access_on(
        folder, oidc_issuer=issuer, oidc_client_id="cxr-triage", oidc_client_secret_file=secret,
        oidc_scope="openid profile groups", oidc_groups={"radiology": Scope.REVIEW},
    )  # fmt: skip
    add_key(access.keys_file, Scope.ADMIN)
    return AccessSettings(**(access.model_dump() | changes))


@dataclass(frozen=True, slots=True)
class Browser:
    """Somebody's browser at the pages."""

    client: httpx.AsyncClient

    async def begin(self) -> str:
        """Where the pages send somebody who is not signed in."""
        asked = await self.client.get("/review", headers={"Accept": "text/html"})
        sent = await self.client.get(asked.headers["location"])
        return str(sent.headers["location"])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(
    tiny_store: Path, tmp_path_factory: pytest.TempPathFactory, issuer: str
) -> AsyncIterator[httpx.ASGITransport]:
    folder = tmp_path_factory.mktemp("signing-in")
    settings = tiny_settings(tiny_store, folder, access=at_provider(folder, issuer))
    async with open_app(settings) as app:
        yield httpx.ASGITransport(app.app)


@pytest_asyncio.fixture(loop_scope="module")
async def browser(service: httpx.ASGITransport) -> AsyncIterator[Browser]:
    async with httpx.AsyncClient(transport=service, base_url=SITE) as client:
        yield Browser(client)


@pytest_asyncio.fixture(loop_scope="module")
async def anna() -> AsyncIterator[Person]:
    person = Person("anna")
    yield person
    await person.close()


@pytest_asyncio.fixture(loop_scope="module")
async def bert() -> AsyncIterator[Person]:
    person = Person("bert")
    yield person
    await person.close()


async def test_radiologist_signs_in_and_sees_the_pages(browser: Browser, anna: Person) -> None:
    address = await browser.begin()
    came = await browser.client.get(await anna.agree(address))
    page = await browser.client.get(came.headers["location"])

    asked = parse_qs(urlsplit(address).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    assert came.headers["location"] == "/review"
    assert page.status_code == 200
    assert ">anna</span>" in page.text


async def test_person_without_the_group_is_told_so(browser: Browser, bert: Person) -> None:
    came = await browser.client.get(await bert.agree(await browser.begin()))

    assert came.status_code == 403
    assert "SCOPE_MISSING" in came.text
    assert (await browser.client.get("/review")).status_code == 401


async def test_person_who_declines_is_not_signed_in(browser: Browser, anna: Person) -> None:
    came = await browser.client.get(await anna.decline(await browser.begin()))

    assert came.status_code == 403
    assert "SIGN_IN_FAILED" in came.text


async def test_code_of_another_sign_in_is_refused_by_its_state(
    service: httpx.ASGITransport, browser: Browser, anna: Person
) -> None:
    stolen = await anna.agree(await browser.begin())
    async with httpx.AsyncClient(transport=service, base_url=SITE) as client:
        await Browser(client).begin()
        came = await client.get(stolen)

    assert (came.status_code, "another sign-in" in came.text) == (403, True)


async def test_code_of_another_sign_in_is_refused_by_its_verifier(
    service: httpx.ASGITransport, browser: Browser, anna: Person
) -> None:
    stolen = parse_qs(urlsplit(await anna.agree(await browser.begin())).query)
    async with httpx.AsyncClient(transport=service, base_url=SITE) as client:
        own = parse_qs(urlsplit(await Browser(client).begin()).query)
        came = await client.get(
            CALLBACK, params={"code": stolen["code"][0], "state": own["state"][0]}
        )

    assert (came.status_code, "cannot be believed" in came.text) == (403, True)


async def test_code_is_redeemed_once(browser: Browser, anna: Person) -> None:
    back = await anna.agree(await browser.begin())

    first = await browser.client.get(back)
    second = await browser.client.get(back)

    assert (first.status_code, second.status_code) == (303, 403)


async def test_answer_in_the_name_of_another_provider_is_refused(
    browser: Browser, anna: Person
) -> None:
    back = httpx.URL(await anna.agree(await browser.begin()))

    came = await browser.client.get(back.copy_set_param("iss", "https://evil.example"))

    assert (came.status_code, "another provider" in came.text) == (403, True)


@pytest.mark.parametrize("changes", [{"oidc_client_secret_file": None}, {"oidc_client_id": "else"}])
async def test_client_that_the_provider_does_not_know_signs_nobody_in(
    tiny_store: Path, tmp_path: Path, issuer: str, anna: Person, changes: dict[str, object]
) -> None:
    access = at_provider(tmp_path, issuer, **changes)
    async with open_app(tiny_settings(tiny_store, tmp_path, access=access)) as app:
        transport = httpx.ASGITransport(app.app)
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
            address = await Browser(client).begin()
            back = address.replace("client_id=else", "client_id=cxr-triage")
            came = await client.get(await anna.agree(back))

    assert (came.status_code, "SIGN_IN_FAILED" in came.text) == (403, True)


@pytest.mark.parametrize(
    ("suffix", "status"), [("/", 403), ("/nowhere", 503)], ids=["named otherwise", "not there"]
)
async def test_provider_that_is_not_the_configured_one_is_refused(
    tiny_store: Path, tmp_path: Path, issuer: str, suffix: str, status: int
) -> None:
    access = at_provider(tmp_path, f"{issuer}{suffix}")
    async with open_app(tiny_settings(tiny_store, tmp_path, access=access)) as app:
        answer = await app.client.get("/sign-in")

    assert answer.status_code == status


async def test_provider_that_is_away_is_said_to_be(tiny_store: Path, tmp_path: Path) -> None:
    with running_provider(CALLBACK) as issuer:
        access = at_provider(tmp_path, issuer)
    async with open_app(tiny_settings(tiny_store, tmp_path, access=access)) as app:
        answer = await app.client.get("/sign-in")
        ready = await app.client.get("/readyz")

    assert (answer.status_code, "SIGN_IN_UNAVAILABLE" in answer.text) == (503, True)
    assert int(answer.headers["Retry-After"]) >= 1
    assert ready.status_code == 200
