"""What a person does on the pages: under their own name, and never for another site."""

from pathlib import Path

import pytest

from service.access.scopes import Scope
from tests.support.access import SITE, TOKEN, add_key, bearer, open_session
from tests.support.browsers import ANNA, Pages
from tests.support.radiographs import png_bytes
from tests.support.simulated import copy_log, read_log

PROPOSAL = "/review/thresholds/proposal"
FORM = {"finding": "pneumonia", "threshold": "0.4"}
SAME = {"Origin": SITE, "Sec-Fetch-Site": "same-origin"}
ACTORS = "SELECT actor FROM evidence_log ORDER BY sequence"


@pytest.fixture
def drawn_log(simulated_log: Path, tmp_path: Path) -> None:
    """Reported studies, without which there is nothing to propose."""
    copy_log(simulated_log, tmp_path)


@pytest.mark.usefixtures("drawn_log")
async def test_action_of_the_own_page_is_recorded_under_the_persons_name(pages: Pages) -> None:
    session = open_session(pages.app.app, Scope.REVIEW)

    by_field = await pages.client.post(
        PROPOSAL, data=FORM | {"csrf_token": TOKEN}, headers=session | SAME
    )
    by_header = await pages.client.post(
        PROPOSAL,
        data=FORM | {"threshold": "0.5"},
        headers=session | SAME | {"X-CSRF-Token": TOKEN},
    )
    by_key = await pages.client.post(
        PROPOSAL, data=FORM, headers=bearer(add_key(pages.keys_file, Scope.REVIEW))
    )

    assert [told.status_code for told in (by_field, by_header, by_key)] == [200, 200, 200]
    actors = [str(actor) for (actor,) in read_log(pages.url, ACTORS)][-3:]
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
