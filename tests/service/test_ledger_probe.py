"""A log that refused a row keeps the service unready until something was written."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from service.record import Record, open_record
from service.record.database import open_engine
from tests.support.apps import open_app, tiny_settings
from tests.support.radiographs import png_bytes
from tests.support.simulated import read_log

FULL = "CREATE TRIGGER full_{0} BEFORE INSERT ON {0} BEGIN SELECT RAISE(FAIL, 'disk'); END"


def _tell(url: str, *statements: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_a_probe_reaches_the_disk_and_leaves_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shadow.db"
    record: Record = open_record(url)
    journal = tmp_path / "shadow.db-wal"
    before = journal.stat().st_size

    assert record.recorder.can_write()

    assert journal.stat().st_size > before
    assert read_log(url, "SELECT * FROM site_key") == []
    asyncio.run(record.close())


def test_a_log_that_refuses_cannot_be_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shadow.db"
    record = open_record(url)
    _tell(url, FULL.format("site_key"))

    assert not record.recorder.can_write()

    asyncio.run(record.close())


async def test_probe_that_fails_in_a_way_nobody_foresaw_is_not_the_last(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver may let the error of its socket out."""
    outcomes: Iterator[OSError | bool] = iter([ConnectionResetError("reset"), False, True])

    async def can_write(_record: Record) -> bool:
        outcome = next(outcomes)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    monkeypatch.setattr("service.ledger.PROBE_SECONDS", 0.0)
    monkeypatch.setattr(Record, "can_write", can_write)
    settings = tiny_settings(tiny_store, tmp_path)
    async with open_app(settings) as service:
        _tell(settings.record.url, FULL.format("shadow_log"))
        refused = await service.client.post("/predict", content=png_bytes())
        async with asyncio.timeout(30):
            while not (await service.client.get("/readyz")).is_success:  # noqa: ASYNC110 - only the page tells
                await asyncio.sleep(0)

    assert refused.json()["code"] == "RECORD_UNAVAILABLE"
    assert list(outcomes) == []


async def test_service_is_unready_until_a_write_succeeds(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.ledger.PROBE_SECONDS", 0.0)
    settings = tiny_settings(tiny_store, tmp_path)
    async with open_app(settings) as service:
        _tell(settings.record.url, FULL.format("shadow_log"), FULL.format("site_key"))
        refused = await service.client.post("/predict", content=png_bytes())
        told = await service.client.get("/readyz")
        _tell(settings.record.url, "DROP TRIGGER full_shadow_log", "DROP TRIGGER full_site_key")
        async with asyncio.timeout(30):
            while not (await service.client.get("/readyz")).is_success:  # noqa: ASYNC110 - only the page tells
                await asyncio.sleep(0)

    assert refused.json()["code"] == "RECORD_UNAVAILABLE"
    assert (told.status_code, "RECORD_UNAVAILABLE" in told.text) == (503, True)
