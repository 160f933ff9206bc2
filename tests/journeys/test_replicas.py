"""Two services behind one record answer as one: nothing is scored twice, and one chain is kept."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from service.record import open_record
from service.settings import RecordSettings, Settings
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.radiographs import chest_levels, dicom_bytes, png_bytes


def _replica(store: Path, folder: Path, name: str) -> Settings:
    """The same record and the same site key, in a folder of its own."""
    (folder / name).mkdir()
    key = folder / "first" / "site.key"
    if name != "first":
        shutil.copy(key, folder / name)
    record = RecordSettings(
        url=f"sqlite:///{folder}/shadow.db", site_key_file=folder / name / "site.key"
    )
    return tiny_settings(store, folder, record=record)


@pytest.fixture
async def replicas(tiny_store: Path, tmp_path: Path) -> AsyncIterator[tuple[OpenApp, OpenApp]]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_app(_replica(tiny_store, tmp_path, "first")))
        second = await stack.enter_async_context(open_app(_replica(tiny_store, tmp_path, "second")))
        yield first, second


async def test_what_one_has_answered_the_other_repeats(replicas: tuple[OpenApp, OpenApp]) -> None:
    first, second = replicas
    body = dicom_bytes()

    answered = await first.client.post("/predict", content=body)
    repeated = await second.client.post("/predict", content=body)

    assert repeated.json()["replay"] is True
    assert repeated.json()["id"] == answered.json()["id"]


async def test_contradiction_is_refused_by_the_one_that_did_not_see_the_first(
    replicas: tuple[OpenApp, OpenApp],
) -> None:
    first, second = replicas
    await first.client.post("/predict", content=dicom_bytes())

    other = await second.client.post("/predict", content=dicom_bytes(chest_levels()[::-1].copy()))

    assert other.status_code == 409


async def test_rows_of_both_make_one_whole_chain(
    replicas: tuple[OpenApp, OpenApp], tmp_path: Path
) -> None:
    calls = [one.client.post("/predict", content=png_bytes()) for one in replicas for _ in range(8)]

    answers = await asyncio.gather(*calls)
    record = open_record(f"sqlite:///{tmp_path}/shadow.db")
    report = record.verify()
    await record.close()

    assert [answer.status_code for answer in answers] == [200] * 16
    assert (report.is_whole, report.head.sequence) == (True, 16)
