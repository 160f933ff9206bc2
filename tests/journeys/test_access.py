"""Access control on the real process: keys come and go, and slow callers hear no."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.access.scopes import Scope
from tests.support.access import add_key, bearer, id_of
from tests.support.apps import Service, running_service
from tests.support.radiographs import png_bytes


@dataclass(frozen=True, slots=True)
class Site:
    """A service that asks who calls, and where its keys lie."""

    service: Service
    keys_file: Path
    log: Path

    def keys(self, *words: str) -> str:
        """Run `cxr-triage keys ...` beside the service; returns what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "service", "keys", *words],
            env=os.environ | {"CXR_ACCESS__KEYS_FILE": str(self.keys_file)},
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        return done.stdout.strip()

    def predict(self, text: str) -> int:
        """Status of the answer to one radiograph."""
        answer = httpx.post(
            f"{self.service.url}/predict", content=png_bytes(), headers=bearer(text), timeout=60
        )
        return answer.status_code


@pytest.fixture
def site(tiny_store: Path, tmp_path: Path) -> Iterator[Site]:
    keys_file = tmp_path / "keys.json"
    with running_service(
        tiny_store, tmp_path, CXR_ACCESS__MODE="on", CXR_ACCESS__KEYS_FILE=str(keys_file)
    ) as service:
        yield Site(service, keys_file, tmp_path / "service.log")


@contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    """A bare connection to the service."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as opened:
        yield opened


def read_all(opened: socket.socket) -> bytes:
    """What comes until the other side closes."""
    told = b""
    while part := opened.recv(65_536):
        told += part
    return told


def peers_in(log: Path) -> list[str]:
    """Addresses of those whom the service refused."""
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    return [line["peer"] for line in lines if line["event"] == "access.refused"]


def test_keys_are_made_rotated_and_revoked_while_the_service_runs(site: Site) -> None:
    text = site.keys("create", "router", "--scope", "predict")
    made = site.predict(text)
    new = site.keys("rotate", id_of(text), "--overlap", "1h")
    both = site.predict(text), site.predict(new)
    site.keys("revoke", id_of(text))

    assert made == 200
    assert both == (200, 200)
    assert (site.predict(text), site.predict(new)) == (401, 200)


def test_refusal_reaches_a_caller_who_is_still_sending(site: Site) -> None:
    add_key(site.keys_file, Scope.PREDICT)
    head = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\nConnection: close\r\n\r\n"
    )

    with connection(site.service.url) as opened:
        opened.sendall(head + bytes(2_000_000))
        opened.sendall(bytes(2_000_000))
        told = read_all(opened)

    assert told.startswith(b"HTTP/1.1 401")
    assert b"CREDENTIALS_MISSING" in told


def test_caller_who_waits_to_be_asked_for_the_body_is_refused_without_it(site: Site) -> None:
    add_key(site.keys_file, Scope.PREDICT)
    head = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n"
        b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
    )

    with connection(site.service.url) as opened:
        opened.sendall(head)
        told = opened.recv(65_536)

    assert told.startswith(b"HTTP/1.1 401")
    assert b"100 Continue" not in told


def test_huge_header_is_refused_and_the_next_caller_is_served(site: Site) -> None:
    with connection(site.service.url) as opened:
        opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n")
        told = read_all(opened)

    assert told.startswith(b"HTTP/1.1 400")
    assert httpx.get(f"{site.service.url}/healthz", timeout=60).status_code == 200


def test_headers_of_a_proxy_are_not_believed_unless_it_is_configured(site: Site) -> None:
    add_key(site.keys_file, Scope.PREDICT)

    httpx.get(f"{site.service.url}/model", headers={"X-Forwarded-For": "10.9.8.7"}, timeout=60)
    site.service.stop(signal.SIGTERM)

    assert peers_in(site.log) == ["127.0.0.1"]


def test_headers_of_a_configured_proxy_are_believed(tiny_store: Path, tmp_path: Path) -> None:
    with running_service(
        tiny_store, tmp_path, CXR_ACCESS__MODE="on",
        CXR_ACCESS__KEYS_FILE=str(tmp_path / "keys.json"),
        CXR_ACCESS__TRUSTED_PROXIES='["127.0.0.1"]',
    ) as service:  # fmt: skip
        add_key(tmp_path / "keys.json", Scope.PREDICT)
        headers = {"X-Forwarded-For": "10.1.1.1, 10.9.8.7"}
        httpx.get(f"{service.url}/model", headers=headers, timeout=60)
        service.stop(signal.SIGTERM)

    assert peers_in(tmp_path / "service.log") == ["10.9.8.7"]


def test_service_that_others_would_reach_does_not_start_without_access(
    tiny_store: Path, tmp_path: Path
) -> None:
    with (
        pytest.raises(AssertionError, match="did not start"),
        running_service(tiny_store, tmp_path, CXR_SERVER__HOST="0.0.0.0"),
    ):
        pass

    assert "ACCESS_OPEN_TO_OTHERS" in (tmp_path / "service.log").read_text("utf-8")
