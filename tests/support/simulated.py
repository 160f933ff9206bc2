"""A simulated shadow log and the review pages over it, small enough for every run."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy import create_engine, text

from service.record import load_or_create_key, open_reader
from service.record.case_index import open_case_index
from service.settings import RecordSettings
from service.simulate import simulate
from tests.support.apps import OpenApp, open_app, tiny_settings

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS, PER_DAY = 30, 25
BLOCK_CASES = 64
"""So small that most of the log lies in sealed blocks."""
LOCAL = "http://127.0.0.1:8000"


def build_simulated_log(folder: Path) -> str:
    """Fill a log and its index; returns its address."""
    url = f"sqlite:///{folder}/shadow.db"
    simulate(url, start=START, days=DAYS, per_day=PER_DAY, seed=7)
    reader = open_reader(url)
    index = open_case_index(url, reader, block_cases=BLOCK_CASES)
    index.catch_up()
    index.close()
    reader.close()
    load_or_create_key(folder / "site.key")
    return url


def read_log(url: str, statement: str) -> list[tuple[object, ...]]:
    """Ask the chained tables directly, as somebody would who trusts no page."""
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(statement))]
    engine.dispose()
    return rows


def copy_log(source: Path, target: Path) -> str:
    """A log of a test's own, to write to."""
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        shutil.copy(file, target / file.name)
    return f"sqlite:///{target}/shadow.db"


@asynccontextmanager
async def open_pages(store: Path, folder: Path) -> AsyncIterator[tuple[OpenApp, httpx.AsyncClient]]:
    """The application over the log in `folder`, asked from this machine."""
    record = RecordSettings(url=f"sqlite:///{folder}/shadow.db", site_key_file=folder / "site.key")
    async with open_app(tiny_settings(store, folder, record=record)) as service:
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            yield service, client
