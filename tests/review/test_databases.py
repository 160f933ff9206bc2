"""The same traffic gives the same pages, whatever the database."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from service.record import open_reader, open_site_key
from service.record.tables import CHAINED
from service.settings import RecordSettings
from service.simulate import simulate
from tests.support.apps import open_app, tiny_settings
from tests.support.databases import DATABASES, empty_database
from tests.support.simulated import DAYS, LOCAL, PER_DAY, START

ENDPOINTS = (
    "worklist?days=3650", "worklist?days=3650&only=disagreement&warning=VIEW_AP", "disagreements",
    "thresholds?days=3650", "thresholds?days=9&finding=tuberculosis&reference=verdict",
    "comparison?days=3650", "queue?days=3650", "golive",
)  # fmt: skip


async def _answers(store: Path, folder: Path, url: str) -> list[Any]:
    record = RecordSettings(url=url, site_key_file=folder / "site.key")
    async with open_app(tiny_settings(store, folder, record=record)) as service:
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            return [(await client.get(f"/review/api/{path}")).json() for path in ENDPOINTS]


@pytest.mark.parametrize("kind", DATABASES)
async def test_every_endpoint_tells_the_same_on_every_database(
    tiny_store: Path, simulated_log: Path, tmp_path: Path, kind: str
) -> None:
    expected = await _answers(tiny_store, simulated_log, f"sqlite:///{simulated_log}/shadow.db")
    with empty_database(kind, tmp_path) as url:
        open_site_key(url, tmp_path / "site.key")
        simulate(url, start=START, days=DAYS, per_day=PER_DAY, seed=7)
        found = await _answers(tiny_store, tmp_path, url)
        reader = open_reader(url)
        whole = [reader.verify(table=table).is_whole for table in CHAINED]
        reader.close()

    assert found == expected
    assert whole == [True, True]
