"""The proxy in front of the real service: TLS, certificates of callers, limits, addresses, logs."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from service.access.keyfile import StoredKey, edit_keys
from service.access.keys import draw_key
from service.access.scopes import Scope
from tests.support.apps import running_service
from tests.support.compose import ROOT, program, render
from tests.support.http_servers import Asked, Told, listening
from tests.support.proxy import Authority, Proxy, make_authority, running_proxy
from tests.support.radiographs import png_bytes

FAILURES_PER_MINUTE = 3
MOST_BYTES = 200_000
ELSEWHERE, GUESSER = "127.0.0.2", "127.0.0.3"
FORGED = ("203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4")


@dataclass(frozen=True, slots=True)
class Site:
    """A service that stands behind the proxies of the tests."""

    upstream: str
    key: str


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates, and the proxies that show them."""

    authority: Authority
    any_caller: Proxy
    certified: Proxy


def draw_keys(path: Path) -> str:
    """A keys file with one key for all that is asked here."""
    text, shown = draw_key()
    key = StoredKey(
        id=shown.id, name="modality", digest=shown.digest.hex(), scopes=[Scope.PREDICT],
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    edit_keys(path, lambda file: file.with_key(key), now=key.created)
    return text


@pytest.fixture(scope="module")
def site(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    key = draw_keys(folder / "keys.json")
    with running_service(
        tiny_store,
        folder,
        CXR_ACCESS__MODE="on",
        CXR_ACCESS__KEYS_FILE=str(folder / "keys.json"),
        CXR_ACCESS__TRUSTED_PROXIES='["127.0.0.1"]',
        CXR_ACCESS__FAILURES_PER_MINUTE=str(FAILURES_PER_MINUTE),
        CXR_INTAKE__MAX_BODY_BYTES=str(MOST_BYTES),
    ) as service:
        yield Site(service.url.removeprefix("http://"), key)


@pytest.fixture(scope="module")
def tls(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    folders = [tmp_path_factory.mktemp(name) for name in ("any", "certified")]
    authority = make_authority(folders[0])
    certificates = {"PROXY_CERTIFICATE": "own", "PROXY_CERTIFICATES": str(folders[0])}
    with (
        running_proxy(folders[0], upstream=site.upstream, **certificates) as any_caller,
        running_proxy(
            folders[1], upstream=site.upstream, PROXY_CLIENTS="certified", **certificates
        ) as certified,
    ):
        yield Tls(authority, any_caller, certified)


@pytest.fixture
def caller(tls: Tls, site: Site) -> Iterator[httpx.Client]:
    """Somebody with a key, who trusts the hospital's certificate."""
    with httpx.Client(
        base_url=tls.any_caller.url,
        verify=tls.authority.root,
        headers={"Authorization": f"Bearer {site.key}"},
    ) as client:
        yield client


@pytest.mark.parametrize("certificate", ["internal", "own"])
@pytest.mark.parametrize("clients", ["any", "certified"])
def test_every_configuration_is_valid(certificate: str, clients: str, tmp_path: Path) -> None:
    make_authority(tmp_path)
    environment = {
        "PROXY_CERTIFICATE": certificate, "PROXY_CLIENTS": clients, "HOME": str(tmp_path),
        "PROXY_CERTIFICATES": str(tmp_path),
    }  # fmt: skip

    done = subprocess.run(
        [program("caddy"), "validate", "--config", "deploy/caddy/Caddyfile"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert '"warn"' not in done.stderr


@pytest.mark.parametrize(("drain_seconds", "grace_seconds"), [("", 40), ("120.5", 135.5)])
def test_proxy_passes_answers_on_for_as_long_as_the_service_has(
    drain_seconds: str, grace_seconds: float, tmp_path: Path
) -> None:
    rendered = render(CXR_SERVER__DRAIN_SECONDS=drain_seconds)
    environment = rendered["services"]["proxy"]["environment"] | {"HOME": str(tmp_path)}

    told = subprocess.run(
        [program("caddy"), "adapt", "--config", "deploy/caddy/Caddyfile"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip

    assert json.loads(told)["apps"]["http"]["grace_period"] == grace_seconds * 1e9


def test_radiograph_is_answered_through_tls(caller: httpx.Client) -> None:
    response = caller.post("/predict", files={"file": png_bytes()})

    assert response.status_code == 200
    assert response.json()["mode"] == "live"


def test_radiograph_goes_past_a_proxy_that_the_environment_names(
    site: Site, tmp_path: Path
) -> None:
    """Docker may put one into every container; it would see key and radiograph in clear text."""
    seen = list[str]()

    def keep(asked: Asked) -> Told:
        seen.append(asked.path)
        return Told()

    # Go asks no proxy for a loopback address; this one leads there too, and it would ask.
    upstream = site.upstream.replace("127.0.0.1", "0.0.0.0")
    with (
        listening(keep) as elsewhere,
        running_proxy(tmp_path, upstream=upstream, HTTP_PROXY=elsewhere) as proxy,
    ):
        response = httpx.post(
            f"{proxy.url}/predict",
            content=png_bytes(),
            headers={"Authorization": f"Bearer {site.key}"},
            verify=proxy.own_root,
            trust_env=False,
        )

    assert (seen, response.status_code) == ([], 200)
    assert response.json()["mode"] == "live"


def test_authority_of_its_own_needs_nothing_from_outside(site: Site, tmp_path: Path) -> None:
    with running_proxy(tmp_path, upstream=site.upstream) as proxy:
        response = httpx.get(f"{proxy.url}/readyz", verify=proxy.own_root)

    assert response.status_code == 200


def test_stranger_without_a_certificate_is_not_talked_to(tls: Tls) -> None:
    with pytest.raises(httpx.TransportError, match="certificate required"):
        httpx.get(f"{tls.certified.url}/healthz", verify=tls.authority.root)


def test_certificate_of_a_caller_opens_the_door_and_no_more(tls: Tls, site: Site) -> None:
    trusted = tls.authority.trusted_with_certificate()
    with httpx.Client(base_url=tls.certified.url, verify=trusted) as client:
        without_key = client.post("/predict", content=png_bytes())
        key = {"Authorization": f"Bearer {site.key}"}
        with_key = client.post("/predict", content=png_bytes(), headers=key)

    assert (without_key.status_code, with_key.status_code) == (401, 200)


def test_service_itself_refuses_what_is_too_large(caller: httpx.Client) -> None:
    response = caller.post("/predict", content=bytes(MOST_BYTES + 1))

    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")


def test_metrics_are_not_shown_in_front(caller: httpx.Client) -> None:
    assert caller.get("/metrics").status_code == 404


def test_request_for_another_name_is_refused(caller: httpx.Client) -> None:
    response = caller.get("/healthz", headers={"Host": "elsewhere.example"})

    assert response.status_code == 421


def test_forged_addresses_share_the_limit_of_the_true_one(tls: Tls) -> None:
    transport = httpx.HTTPTransport(verify=tls.authority.root, local_address=GUESSER)
    with httpx.Client(base_url=tls.any_caller.url, transport=transport) as guesser:
        statuses = [
            guesser.get("/model", headers={"X-Forwarded-For": address}).status_code
            for address in FORGED
        ]

    assert statuses == [401] * FAILURES_PER_MINUTE + [429]


def test_true_addresses_are_told_apart(tls: Tls) -> None:
    transport = httpx.HTTPTransport(verify=tls.authority.root, local_address=ELSEWHERE)
    with httpx.Client(base_url=tls.any_caller.url, transport=transport) as other:
        status = other.get("/model", headers={"X-Forwarded-For": "127.0.0.1"}).status_code

    (line,) = [
        entry["request"]
        for entry in tls.any_caller.requests()
        if isinstance(entry["request"], dict) and entry["request"]["remote_ip"] == ELSEWHERE
    ]
    assert status == 401
    assert line["client_ip"] == ELSEWHERE


def test_log_tells_neither_keys_nor_queries(caller: httpx.Client, tls: Tls, site: Site) -> None:
    caller.get("/sign-in/callback?code=secret-code&state=secret-state")

    text = tls.any_caller.log.read_text("utf-8")
    assert "/sign-in/callback" in text
    assert "secret-" not in text
    assert site.key not in text


def test_service_that_does_not_answer_is_a_coded_problem(tmp_path: Path) -> None:
    with running_proxy(tmp_path, upstream="127.0.0.1:1") as proxy:
        response = httpx.get(f"{proxy.url}/readyz", verify=proxy.own_root)

    assert response.status_code == 503
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"] == "5"
    assert response.json()["code"] == "SERVICE_UNREACHABLE"
