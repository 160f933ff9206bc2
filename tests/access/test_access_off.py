"""Where access control may be off, and half of it is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.access.refusals import OpenToOthers
from service.app import create_app
from service.settings import ServerSettings
from tests.support.access import access_on, sign_in_on
from tests.support.apps import open_app, tiny_settings


@pytest.mark.parametrize(
    "name", ["forwarded", "x-forwarded-for", "x-forwarded-host", "via"]
)  # fmt: skip
async def test_while_access_is_off_no_proxy_may_stand_between(
    tiny_store: Path, tmp_path: Path, name: str
) -> None:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as opened:
        direct = await opened.client.get("/model")
        brought = await opened.client.get("/model", headers={name: "10.0.0.7"})
        probe = await opened.client.get("/healthz", headers={name: "10.0.0.7"})

    assert (direct.status_code, probe.status_code) == (200, 200)
    assert (brought.status_code, brought.json()["code"]) == (403, "ACCESS_OFF")


async def test_pages_say_that_access_is_off(tiny_store: Path, tmp_path: Path) -> None:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as opened:
        page = await opened.client.get("/", headers={"host": "127.0.0.1:8000"})

    assert "Access control is off" in page.text


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "triage.example", ""])
def test_service_that_others_reach_does_not_start_without_access(tmp_path: Path, host: str) -> None:
    settings = tiny_settings(tmp_path, tmp_path, server=ServerSettings(host=host))

    with pytest.raises(OpenToOthers, match="CXR_ACCESS__MODE=on"):
        create_app(settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_service_of_this_machine_alone_needs_no_access(tmp_path: Path, host: str) -> None:
    settings = tiny_settings(tmp_path, tmp_path, server=ServerSettings(host=host))

    assert create_app(settings).state.access.gatekeeper.is_on is False


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"public_url": "http://triage.example"}, "https"),
        ({"public_url": "https://triage.example/sub"}, "end after host"),
        ({"oidc_issuer": "http://login.example"}, "https"),
        ({"oidc_issuer": "https://login.example"}, "oidc_client_id, oidc_groups"),
        ({"trusted_proxies": ["0.0.0.0/0"]}, "everybody"),
        ({"trusted_proxies": ["proxy"]}, "proxy"),
        ({"oidc_groups": {"radiology": "everything"}}, "predict"),
    ],
)
def test_half_a_configuration_is_refused(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        access_on(tmp_path, **changes)


def test_sign_in_without_access_control_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="mode is off"):
        sign_in_on(tmp_path, mode="off")
