"""A person whose session ended while a page stood open is told so, and finds the way on."""

import pytest

from tests.support.access import SITE, TOKEN
from tests.support.browsers import ANNA, Pages

FORM = {"csrf_token": TOKEN, "finding": "pneumonia", "threshold": "0.4"}
BROWSER = {"Accept": "text/html,*/*;q=0.8", "Origin": SITE, "Sec-Fetch-Site": "same-origin"}
PROPOSAL = "/review/thresholds/proposal"


async def test_action_after_the_session_says_that_nothing_was_recorded(pages: Pages) -> None:
    sender = f"{SITE}/review/thresholds?days=7&finding=pneumonia"

    answer = await pages.client.post(PROPOSAL, data=FORM, headers=BROWSER | {"Referer": sender})

    assert answer.status_code == 401
    assert "Your session has ended, so nothing was recorded." in answer.text
    assert 'href="/sign-in?next=/review/thresholds%3Fdays%3D7%26finding%3Dpneumonia"' in answer.text


@pytest.mark.parametrize(
    "sender", [None, "", SITE, "https://evil.example//evil.example/", "http://[", "https://a//["]
)
async def test_whatever_names_no_page_of_ours_leads_to_the_worklist(
    pages: Pages, sender: str | None
) -> None:
    headers = BROWSER if sender is None else BROWSER | {"Referer": sender}

    answer = await pages.client.post(PROPOSAL, data=FORM, headers=headers)

    assert answer.status_code == 401
    assert 'href="/sign-in?next=/review"' in answer.text


async def test_program_that_acts_without_a_session_gets_the_problem(pages: Pages) -> None:
    answer = await pages.client.post(PROPOSAL, data=FORM)

    assert (answer.status_code, answer.json()["code"]) == (401, "CREDENTIALS_MISSING")


async def test_signing_out_after_the_session_ended_is_signed_out(pages: Pages) -> None:
    pages.answer(ANNA)

    out = await pages.client.post(
        "/sign-out", data={"csrf_token": TOKEN}, headers=BROWSER, follow_redirects=True
    )

    assert out.status_code == 200
    assert "Signed out" in out.text


@pytest.mark.parametrize("path", ["/sign-in?next=//[", "//["])
async def test_an_address_that_is_none_is_no_error_of_the_service(pages: Pages, path: str) -> None:
    pages.answer(ANNA)

    asked = await pages.client.get(
        f"{SITE}{path}", headers={"Accept": "text/html"}, follow_redirects=False
    )

    assert asked.status_code == 303
