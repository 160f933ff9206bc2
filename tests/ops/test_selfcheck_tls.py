"""`selfcheck --ca-file`: a running service behind the shipped proxy, by its certificate."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.access.keyfile import StoredKey, edit_keys
from service.access.keys import draw_key
from service.access.scopes import Scope
from service.cli import app
from service.ops.address import LogAddress
from service.ops.check import Verdict
from tests.support.apps import running_service
from tests.support.proxy import make_authority, running_proxy

Check = Callable[..., Result]


@dataclass(frozen=True, slots=True)
class Https:
    """A service that is reached by https alone, and what its callers need."""

    url: str
    root: Path
    key_file: Path


@pytest.fixture
def https(tiny_store: Path, site: LogAddress, tmp_path: Path) -> Iterator[Https]:
    text, shown = draw_key()
    key = StoredKey(
        id=shown.id, name="selfcheck", digest=shown.digest.hex(),
        scopes=[Scope.PREDICT, Scope.METRICS], created=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    keys = site.key.with_name("keys.json")
    edit_keys(keys, lambda file: file.with_key(key), now=key.created)
    (tmp_path / "key").write_text(text, "utf-8")
    (tmp_path / "tls").mkdir()
    authority = make_authority(tmp_path / "tls")
    access = {
        "CXR_ACCESS__MODE": "on",
        "CXR_ACCESS__KEYS_FILE": str(keys),
        "CXR_ACCESS__TRUSTED_PROXIES": '["127.0.0.1"]',
    }
    with (
        running_service(tiny_store, site.key.parent, **access) as service,
        running_proxy(
            tmp_path / "tls",
            upstream=service.url.removeprefix("http://"),
            PROXY_CERTIFICATE="own",
        ) as proxy,
    ):
        yield Https(proxy.url, Path(authority.root), tmp_path / "key")


@pytest.fixture
def check(https: Https, environment: dict[str, str]) -> Check:
    words = ["selfcheck", "--json", "--url", https.url, "--key-file", str(https.key_file)]
    return lambda *more: CliRunner(env=environment).invoke(app, [*words, *more])


def verdicts(result: Result) -> dict[str, str]:
    """By check."""
    return {check["name"]: check["verdict"] for check in json.loads(result.stdout)["checks"]}


def test_named_authority_is_trusted_and_no_other(check: Check, https: Https) -> None:
    trusting, wary = check("--ca-file", str(https.root)), check()

    assert verdicts(trusting)["service ready"] == Verdict.PASS, trusting.stdout
    assert verdicts(trusting)["round trip"] == Verdict.PASS
    assert set(verdicts(wary).values()) >= {Verdict.FAIL}
    assert "CERTIFICATE_VERIFY_FAILED" in wary.stdout
    assert verdicts(wary).get("round trip") != Verdict.PASS
    assert wary.exit_code == 1


def test_authority_that_is_no_certificate_is_a_failed_check(check: Check, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate", "utf-8")

    done = check("--ca-file", str(tmp_path / "ca.pem"))

    assert (done.exit_code, verdicts(done)["service"]) == (1, Verdict.FAIL)


def test_authority_that_is_not_there_is_a_mistake_of_the_operator(
    environment: dict[str, str], tmp_path: Path
) -> None:
    words = ["selfcheck", "--url", "https://localhost", "--ca-file", str(tmp_path / "none.pem")]

    done = CliRunner(env=environment).invoke(app, words)

    assert (done.exit_code, "--ca-file" in done.output) == (2, True)
