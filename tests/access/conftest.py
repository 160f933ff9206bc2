"""The service behind its door, and its pages, for every file here."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from service.access.keyring import KeyRing
from service.access.options import AccessSettings
from service.access.scopes import Scope
from tests.support.access import NOW, SITE, access_on, add_key, sign_in_on
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.browsers import Pages
from tests.support.clocks import Calendar


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the keys file, which is not there yet."""
    return tmp_path / "keys.json"


@pytest.fixture
def clock() -> Calendar:
    """What the ring takes for now."""
    return Calendar(NOW)


@pytest.fixture
def ring(path: Path, clock: Calendar) -> KeyRing:
    """Reads that file."""
    return KeyRing(path, clock=clock)


@pytest.fixture
def access(tmp_path: Path) -> AccessSettings:
    return access_on(tmp_path)


@pytest.fixture
async def service(
    tiny_store: Path, tmp_path: Path, access: AccessSettings
) -> AsyncIterator[OpenApp]:
    add_key(access.keys_file, Scope.ADMIN)
    async with open_app(tiny_settings(tiny_store, tmp_path, access=access)) as opened:
        yield opened


@pytest.fixture
async def pages(tiny_store: Path, tmp_path: Path) -> AsyncIterator[Pages]:
    access = sign_in_on(tmp_path)
    add_key(access.keys_file, Scope.ADMIN)
    settings = tiny_settings(tiny_store, tmp_path, access=access)
    async with open_app(settings) as app:
        transport = httpx.ASGITransport(app.app)
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
            yield Pages(app, client, settings.record.url, access.keys_file)
