"""People on the pages: sign-in, cookies, forged actions, sign-out, and whose name is recorded."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from service.access.caller import Caller
from service.access.people import GroupRule
from service.access.refusals import ScopeMissing, SignInFailed, SignInUnavailable
from service.access.scopes import Scope
from service.core.errors import CxrError
from service.review.account import local_path
from tests.support.access import (
    SITE,
    TOKEN,
    OneProvider,
    add_key,
    bearer,
    open_session,
    sign_in_on,
)
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.radiographs import png_bytes
from tests.support.simulated import read_log

ANNA = Caller("anna (42)", frozenset({Scope.REVIEW}), csrf_token=TOKEN)
PROPOSAL = "/review/thresholds/proposal"
FORM = {"finding": "pneumonia", "threshold": "0.4"}
SAME = {"Origin": SITE, "Sec-Fetch-Site": "same-origin"}
ACTORS = "SELECT actor FROM evidence_log ORDER BY sequence"


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages, asked as a browser would."""

    app: OpenApp
    client: httpx.AsyncClient
    url: str
    keys_file: Path

    def answer(self, told: Caller | CxrError) -> OneProvider:
        """Put a provider in place that answers so."""
        provider = OneProvider(told)
        state = self.app.app.state
        state.access = replace(state.access, provider=provider)
        return provider

    async def sign_in(self, asked: str = "/review") -> httpx.Response:
        """Go to the provider and back."""
        await self.client.get("/sign-in", params={"next": asked})
        return await self.client.get("/sign-in/callback?code=c&state=state")


@pytest.fixture
async def pages(tiny_store: Path, tmp_path: Path) -> AsyncIterator[Pages]:
    access = sign_in_on(tmp_path)
    add_key(access.keys_file, Scope.ADMIN)
    settings = tiny_settings(tiny_store, tmp_path, access=access)
    async with open_app(settings) as app:
        transport = httpx.ASGITransport(app.app)
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
            yield Pages(app, client, settings.record.url, access.keys_file)


async def test_person_without_a_session_is_sent_to_sign_in_and_back(pages: Pages) -> None:
    pages.answer(ANNA)

    asked = await pages.client.get("/review?days=7&view=a%26b", headers={"Accept": "text/html"})
    sent = await pages.client.get(asked.headers["location"])
    came = await pages.client.get("/sign-in/callback?code=c&state=state")
    page = await pages.client.get("/review")

    assert asked.status_code == 303
    assert sent.headers["location"] == "https://login.example/auth"
    assert came.headers["location"] == "/review?days=7&view=a%26b"
    assert page.status_code == 200
    assert "anna (42)" in page.text
    assert "Access control is off" not in page.text


async def test_program_without_a_key_is_not_sent_to_sign_in(pages: Pages) -> None:
    answer = await pages.client.get("/review/api/golive", headers={"Accept": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (401, "CREDENTIALS_MISSING")


async def test_cookies_are_for_this_host_by_https_and_for_no_script(pages: Pages) -> None:
    pages.answer(ANNA)

    begun = await pages.client.get("/sign-in")
    came = await pages.client.get("/sign-in/callback?code=c&state=state")

    cookies = [*begun.headers.get_list("set-cookie"), *came.headers.get_list("set-cookie")]
    flags = [{part.strip().lower() for part in cookie.split(";")[1:]} for cookie in cookies]
    assert [cookie.split("=")[0] for cookie in cookies] == [
        "__Host-cxr_sign_in", "__Host-cxr_sign_in", "__Host-cxr_session",
    ]  # fmt: skip
    assert all({"secure", "httponly", "samesite=lax", "path=/"} <= each for each in flags)
    assert not any(flag.startswith("domain") for each in flags for flag in each)
    assert not any(flag.startswith(("max-age", "expires")) for flag in flags[2])


async def test_each_sign_in_opens_a_session_of_its_own(pages: Pages) -> None:
    pages.answer(ANNA)

    names = {(await pages.sign_in()).cookies["__Host-cxr_session"] for _ in range(3)}

    assert len(names) == 3


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (SignInFailed("no"), 403),
        (ScopeMissing("none of your groups"), 403),
        (SignInUnavailable("no answer", retry_after_seconds=5), 503),
    ],
)
async def test_person_whom_the_provider_does_not_vouch_for_gets_no_session(
    pages: Pages, refusal: CxrError, status: int
) -> None:
    pages.answer(ANNA)
    await pages.client.get("/sign-in")
    pages.answer(refusal)

    came = await pages.client.get("/sign-in/callback?code=c&state=state")

    assert came.status_code == status
    assert refusal.code in came.text
    assert "__Host-cxr_session" not in came.headers.get("set-cookie", "")


async def test_answer_of_a_provider_is_used_once(pages: Pages) -> None:
    provider = pages.answer(ANNA)
    await pages.sign_in()

    again = await pages.client.get("/sign-in/callback?code=c&state=state")

    assert again.status_code == 403
    assert len(provider.asked) == 1


async def test_callback_in_another_browser_is_refused(pages: Pages) -> None:
    provider = pages.answer(ANNA)
    await pages.client.get("/sign-in")
    pages.client.cookies.clear()

    came = await pages.client.get("/sign-in/callback?code=c&state=state")

    assert came.status_code == 403
    assert provider.asked == []


@pytest.mark.parametrize(
    "asked",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
        "/\t/evil.example", "javascript:alert(1)", "review", "", "/review\r\nSet-Cookie: a=b",
        "/\N{SNOWMAN}", "/" + "a" * 3000, "///evil.example",
    ],
)  # fmt: skip
def test_nobody_is_sent_elsewhere_after_sign_in(asked: str) -> None:
    assert local_path(asked) == "/review"


async def test_header_cannot_be_smuggled_into_the_way_back(pages: Pages) -> None:
    pages.answer(ANNA)

    came = await pages.sign_in("/review\r\nX-Evil: 1")
    asked = await pages.client.get("/review/%0d%0aX-Evil:1", headers={"Accept": "text/html"})

    assert came.headers["location"] == "/review"
    assert "x-evil" not in {*came.headers, *asked.headers}


async def test_sign_ins_of_an_address_are_limited(pages: Pages) -> None:
    pages.answer(ANNA)

    statuses = [(await pages.client.get("/sign-in")).status_code for _ in range(31)]

    assert statuses == [303] * 30 + [429]


async def test_action_of_the_own_page_is_recorded_under_the_persons_name(pages: Pages) -> None:
    session = open_session(pages.app.app, Scope.REVIEW)

    by_field = await pages.client.post(
        PROPOSAL, data=FORM | {"csrf_token": TOKEN}, headers=session | SAME
    )
    by_header = await pages.client.post(
        PROPOSAL, data=FORM, headers=session | SAME | {"X-CSRF-Token": TOKEN}
    )
    by_key = await pages.client.post(
        PROPOSAL, data=FORM, headers=bearer(add_key(pages.keys_file, Scope.REVIEW))
    )

    assert [told.status_code for told in (by_field, by_header, by_key)] == [200, 200, 200]
    actors = [str(actor) for (actor,) in read_log(pages.url, ACTORS)]
    assert actors[:2] == ["anna (42)"] * 2
    assert actors[2].startswith("a program (key ")


@pytest.mark.parametrize(
    ("sender", "token"),
    [
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, TOKEN),
        ({"Origin": "https://evil.example"}, TOKEN),
        ({"Origin": "null"}, TOKEN),
        ({"Origin": SITE, "Sec-Fetch-Site": "same-site"}, TOKEN),
        ({"Origin": "http://triage.example"}, TOKEN),
        ({"Origin": "https://triage.example.evil.example"}, TOKEN),
        ({"Sec-Fetch-Site": "none"}, TOKEN),
        ({}, TOKEN),
        (SAME, ""),
        (SAME, TOKEN[:-1]),
        (SAME, "\N{SNOWMAN}"),
        (SAME, None),
    ],
    ids=[
        "foreign", "foreign without fetch metadata", "null", "same site", "http", "prefix",
        "typed", "unnamed", "empty token", "cut token", "odd token", "no token",
    ],
)  # fmt: skip
async def test_action_that_another_page_sends_is_refused_and_not_recorded(
    pages: Pages, sender: dict[str, str], token: str | None
) -> None:
    session = open_session(pages.app.app, Scope.REVIEW)
    form = FORM if token is None else FORM | {"csrf_token": token}

    answer = await pages.client.post(PROPOSAL, data=form, headers=session | sender)

    assert (answer.status_code, answer.json()["code"]) == (403, "FORGED_REQUEST")
    assert read_log(pages.url, ACTORS) == []


async def test_upload_of_a_page_needs_the_token_in_its_header(pages: Pages) -> None:
    headers = open_session(pages.app.app, Scope.REVIEW) | SAME

    without = await pages.client.post(
        "/review/try", files={"file": png_bytes()}, data={"csrf_token": TOKEN}, headers=headers
    )
    with_it = await pages.client.post(
        "/review/try", files={"file": png_bytes()}, headers=headers | {"X-CSRF-Token": TOKEN}
    )

    assert (without.status_code, with_it.status_code) == (403, 200)


async def test_every_form_of_the_pages_carries_the_token(pages: Pages) -> None:
    session = open_session(pages.app.app, Scope.REVIEW)
    paths = ("/", "/review", "/review/thresholds", "/review/comparison", "/review/queue")

    texts = [(await pages.client.get(path, headers=session)).text for path in paths]

    for text in texts:
        forms = [form for form in text.split("<form")[1:] if 'method="post"' in form.split(">")[0]]
        assert 'hx-headers=\'{"X-CSRF-Token"' in text
        assert forms
        assert all(TOKEN in form or 'id="try"' in form for form in forms)


async def test_signing_out_ends_the_session_for_every_copy_of_its_cookie(pages: Pages) -> None:
    session = open_session(pages.app.app, Scope.REVIEW)
    pages.answer(ANNA)

    out = await pages.client.post(
        "/sign-out", data={"csrf_token": TOKEN}, headers=session | SAME, follow_redirects=True
    )
    after = await pages.client.get("/review", headers=session)

    assert "Signed out" in out.text
    assert "https://login.example/end" in out.text
    assert after.status_code == 401


async def test_another_site_cannot_sign_a_person_out(pages: Pages) -> None:
    session = open_session(pages.app.app, Scope.REVIEW)

    out = await pages.client.post("/sign-out", headers=session | {"Origin": "https://evil.example"})
    after = await pages.client.get("/review", headers=session)

    assert (out.status_code, after.status_code) == (403, 200)


RULE = GroupRule(
    "realm_access.roles", "preferred_username", {"rad": Scope.REVIEW, "it": Scope.ADMIN}
)


@pytest.mark.parametrize(
    ("claims", "name", "scopes"),
    [
        ({"sub": "42", "preferred_username": "anna"}, "anna (42)", {Scope.REVIEW}),
        ({"sub": "42"}, "42", {Scope.REVIEW}),
        ({"sub": "42", "preferred_username": "a\nb"}, "42", {Scope.REVIEW}),
        ({"sub": "42", "preferred_username": ["anna"]}, "42", {Scope.REVIEW}),
    ],
)
def test_person_is_recorded_by_name_and_subject(
    claims: dict[str, object], name: str, scopes: set[Scope]
) -> None:
    person = RULE.admit(claims | {"realm_access": {"roles": ["rad", "others"]}})

    assert person.name == name
    assert person.scopes == scopes
    assert person.csrf_token


def test_groups_add_up() -> None:
    person = RULE.admit({"sub": "42", "realm_access": {"roles": ["rad", "it"]}})

    assert person.scopes == {Scope.REVIEW, Scope.ADMIN}


@pytest.mark.parametrize(
    "told",
    [
        {}, {"realm_access": None}, {"realm_access": {"roles": None}}, {"realm_access": ["rad"]},
        {"realm_access": {"roles": [["rad"], {"rad": 1}, "RAD"]}}, {"realm_access.roles": "rad"},
    ],
)  # fmt: skip
def test_person_in_no_group_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(ScopeMissing):
        RULE.admit({"sub": "42", **told})


@pytest.mark.parametrize("subject", [None, "", 42, "a\x00b", "x" * 200])
def test_person_without_a_plain_subject_is_nobody(subject: object) -> None:
    with pytest.raises(SignInFailed):
        RULE.admit({"sub": subject, "realm_access": {"roles": ["rad"]}})


async def test_address_of_a_session_never_holds_a_secret(pages: Pages) -> None:
    pages.answer(ANNA)

    came = await pages.sign_in()

    assert parse_qs(urlsplit(came.headers["location"]).query) == {}
    assert TOKEN not in str(came.headers)
