"""People on the pages: sign-in, cookies, and the way back."""

from urllib.parse import parse_qs, urlsplit

import pytest

from service.access.refusals import ScopeMissing, SignInFailed, SignInUnavailable
from service.core.errors import CxrError
from service.review.account import local_path
from tests.support.access import TOKEN
from tests.support.browsers import ANNA, Pages


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
        "/\N{SNOWMAN}", "/" + "a" * 3000, "///evil.example", "//[", "//[::1]",
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


async def test_address_of_a_session_never_holds_a_secret(pages: Pages) -> None:
    pages.answer(ANNA)

    came = await pages.sign_in()

    assert parse_qs(urlsplit(came.headers["location"]).query) == {}
    assert TOKEN not in str(came.headers)
