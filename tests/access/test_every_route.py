"""Every route, for everybody: who gets in, and what the others are told."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from service.access.keys import draw_key
from service.access.scopes import BELOW, PATHS, Need, Scope, may, need_of
from service.app import create_app
from service.codes import ACCESS
from tests.support.access import SITE, access_on, add_key, bearer, open_session, sign_in_on
from tests.support.apps import OpenApp, open_app, tiny_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = {
    "/healthz", "/readyz", "/sign-in", "/sign-in/callback", "/signed-out", "/docs/assets/",
    "/review/static/",
}  # fmt: skip
ENTRY = "01970000-0000-7000-8000-000000000000"
REFUSED: Mapping[str, tuple[int, str]] = {
    "nothing": (401, "CREDENTIALS_MISSING"),
    "forged": (401, "CREDENTIALS_INVALID"),
    "unknown": (401, "CREDENTIALS_INVALID"),
    "no key": (401, "CREDENTIALS_INVALID"),
    "another scheme": (401, "CREDENTIALS_INVALID"),
    "two at once": (401, "CREDENTIALS_INVALID"),
    "expired": (401, "KEY_EXPIRED"),
    "rotated out": (401, "KEY_EXPIRED"),
    "revoked": (401, "KEY_REVOKED"),
    "stale session": (401, "CREDENTIALS_MISSING"),
}


@dataclass(frozen=True, slots=True)
class Site:
    """A service with a key or session of each kind."""

    app: OpenApp
    client: httpx.AsyncClient
    holders: Mapping[str, dict[str, str]]


def every_path(routes: list[Any]) -> Iterator[str]:
    """Paths as declared, of included routers too; a mount is everything below it."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from every_path(inner.routes)
        else:
            yield route.path if hasattr(route, "methods") else f"{route.path}/"


def declared_under(path: str) -> str:
    """`/review/cases/{entry_id}` -> `/review/cases/`."""
    return path.partition("{")[0]


def make_holders(path: Path, app: OpenApp) -> dict[str, dict[str, str]]:
    """Headers by who sends them."""
    past = datetime.now(UTC) - timedelta(minutes=1)
    good = add_key(path, Scope.ADMIN)
    return {
        "nothing": {},
        "forged": bearer(good[:-1] + ("A" if good[-1] != "A" else "B")),
        "unknown": bearer(draw_key()[0]),
        "no key": bearer("letmein"),
        "another scheme": {"Authorization": "Basic YWRtaW46YWRtaW4="},
        "two at once": bearer(good) | {"X-API-Key": good},
        "expired": bearer(add_key(path, *Scope, expires=past)),
        "rotated out": bearer(add_key(path, *Scope, expires=past, replaced_by="0" * 12)),
        "revoked": bearer(add_key(path, *Scope, revoked=past)),
        "stale session": {"Cookie": "__Host-cxr_session=of-yesterday"},
        **{scope.value: {"X-API-Key": add_key(path, scope)} for scope in Scope},
        "person": open_session(app.app, Scope.REVIEW),
    }


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    access = access_on(folder, requests_per_minute=100_000, failures_per_minute=100_000)
    async with open_app(tiny_settings(tiny_store, folder, access=access)) as app:
        transport = httpx.ASGITransport(app.app)
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
            yield Site(app, client, make_holders(access.keys_file, app))


async def ask_everything(site: Site, holder: str) -> dict[str, httpx.Response]:
    """The answer of every route, by declared path, to its first method."""
    paths = sorted(set(every_path(site.app.app.routes)))
    return {
        path: await site.client.request(
            "POST" if need_of(path) is Need.PREDICT else "GET",
            path.replace("{entry_id}", ENTRY),
            headers=site.holders[holder],
            follow_redirects=False,
        )
        for path in paths
    }


def code_of(response: httpx.Response) -> str | None:
    """Code of a problem body."""
    is_problem = response.headers.get("content-type") == "application/problem+json"
    return response.json()["code"] if is_problem else None


async def test_every_route_declares_what_it_needs(site: Site, tmp_path: Path) -> None:
    with_sign_in = create_app(tiny_settings(tmp_path, tmp_path, access=sign_in_on(tmp_path)))

    paths = set(every_path(site.app.app.routes)) | set(every_path(with_sign_in.routes))

    assert [path for path in paths if need_of(declared_under(path)) is None] == []
    assert len(paths) >= 25


async def test_every_declaration_belongs_to_a_route(tmp_path: Path) -> None:
    app = create_app(tiny_settings(tmp_path, tmp_path, access=sign_in_on(tmp_path)))

    paths = {declared_under(path) for path in every_path(app.routes)}

    assert set(PATHS) - paths == set()
    assert [start for start in BELOW if not any(p.startswith(start) for p in paths)] == []


async def test_open_is_what_is_listed_here_and_no_more() -> None:
    assert {path for path, need in {**PATHS, **BELOW}.items() if need is Need.OPEN} == OPEN


@pytest.mark.parametrize("holder", REFUSED)
async def test_whoever_has_no_good_credential_gets_nowhere(site: Site, holder: str) -> None:
    status, code = REFUSED[holder]

    answers = await ask_everything(site, holder)

    closed = {path: told for path, told in answers.items() if need_of(path) is not Need.OPEN}
    assert {(told.status_code, code_of(told)) for told in closed.values()} == {(status, code)}
    assert {told.headers["WWW-Authenticate"] for told in closed.values()} == {
        'Bearer realm="cxr-triage"'
    }
    assert len(closed) >= 18


@pytest.mark.parametrize("holder", [*[scope.value for scope in Scope], "person"])
async def test_each_scope_opens_its_own_routes_and_no_other(site: Site, holder: str) -> None:
    scope = Scope.REVIEW if holder == "person" else Scope(holder)

    answers = await ask_everything(site, holder)

    refused = {path for path, told in answers.items() if code_of(told) in ACCESS}
    expected = {
        path
        for path in answers
        if not may(frozenset({scope}), need_of(declared_under(path)) or Need.ADMIN)
    }
    assert refused == expected
    assert {answers[path].status_code for path in refused} <= {403}


async def test_path_that_nobody_declared_is_hidden_from_all_but_operators(site: Site) -> None:
    site.app.app.add_api_route("/forgotten", lambda: {"secret": 1})

    answers = {
        holder: (await site.client.get("/forgotten", headers=site.holders[holder])).status_code
        for holder in ("nothing", "predict", "review", "metrics", "admin")
    }

    assert answers == {"nothing": 401, "predict": 404, "review": 404, "metrics": 404, "admin": 200}


@pytest.mark.parametrize(
    "path",
    [
        "/metrics%0a", "/metrics%00", "//metrics", "/metrics/", "/./metrics", "/METRICS",
        "/healthz/../metrics", "/docs/assets/../../metrics", "/review/static/%2e%2e/%2e%2e/metrics",
        "/review/static/..%2f..%2f..%2fpyproject.toml", "/docs/assets/%2e%2e%2f__init__.py",
        "/review/static/..%5c..%5cgate.py", "/healthz;/metrics", "/healthz%2f..%2fmetrics",
    ],
)  # fmt: skip
async def test_no_other_spelling_of_a_path_leads_past_the_door(site: Site, path: str) -> None:
    request = site.client.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())

    answer = await site.client.send(request)

    assert answer.status_code in (401, 404)
    assert "cxr_" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
async def test_no_other_method_leads_past_the_door(site: Site, method: str) -> None:
    answers = [await site.client.request(method, path) for path in ("/metrics", "/predict", "/")]

    assert {answer.status_code for answer in answers} == {401}
