"""A promotion takes effect under traffic, and no request is lost or answered by half a model."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from service.case import serve_model
from service.core.artifact import MANIFEST, load_artifact, load_current, write_current
from service.core.drift_reference import DRIFT_REFERENCE, write_reference
from service.core.findings import ABNORMAL
from service.cores import count_cores
from service.decoders import Decoders
from service.drift_sighting import open_comparison
from service.record import open_reader
from tests.support.apps import OpenApp, SlowUpload, open_app, tiny_settings
from tests.support.drift import tiny_reference
from tests.support.gated_engine import GatedEngine, until
from tests.support.gates import Gate
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.radiographs import png_bytes
from tests.support.simulated import LOCAL

T = TypeVar("T")
U = TypeVar("U")

CROWD, FEW = 12, 4
"""More than one call of the engine takes, and some more."""

DECODERS = count_cores()


def _two_versions(folder: Path, *, with_references: bool = False) -> Path:
    for seed, version in ((0, "0.0.1"), (5, "0.0.2")):
        files = _reference_of(version) if with_references else {}
        build_tiny_artifact(folder, TinyChoices(seed=seed, version=version, extra_files=files))
    write_current(folder, load_artifact(folder / "tiny/0.0.1"))
    return folder


def _reference_of(version: str) -> dict[str, bytes]:
    """No two versions have the same one."""
    drawn = tiny_reference()
    header = drawn.header.model_copy(update={"weights_digest": version})
    return {DRIFT_REFERENCE: write_reference(replace(drawn, header=header))}


async def test_requests_under_way_finish_and_later_ones_get_the_new_model(tmp_path: Path) -> None:
    store = _two_versions(tmp_path / "store")
    async with open_app(tiny_settings(store, tmp_path)) as service:
        slow = SlowUpload(png_bytes())
        early = asyncio.create_task(service.client.post("/predict", content=slow))
        await slow.started.wait()
        burst = [
            asyncio.create_task(service.client.post("/predict", content=png_bytes()))
            for _ in range(12)
        ]
        write_current(store, load_artifact(store / "tiny/0.0.2"))
        assert await service.runtime.watch.look()
        late = await service.client.post("/predict", content=png_bytes())
        slow.finish.set()
        answers = [await early, *await asyncio.gather(*burst), late]
        metrics = (await service.client.get("/metrics")).text

    assert [answer.status_code for answer in answers] == [200] * 14
    by_version: dict[str, set[str]] = {}
    for answer in answers:
        told = answer.json()
        by_version.setdefault(told["model"]["version"], set()).add(str(told["probabilities"]))
    assert late.json()["model"]["version"] == "0.0.2"
    assert all(len(scores) == 1 for scores in by_version.values())
    assert 'version="0.0.2"} 1.0' in metrics
    assert "cxr_model_info{digest" in metrics
    assert 'version="0.0.1"' not in metrics


def send(service: OpenApp, uploads: int) -> list[asyncio.Task[httpx.Response]]:
    """That many at the same time."""
    return [
        asyncio.create_task(service.client.post("/predict", content=png_bytes()))
        for _ in range(uploads)
    ]


@asynccontextmanager
async def decoders_at_work(service: OpenApp) -> AsyncIterator[Decoders]:
    """All threads that decode have something else to do until the end of the block."""
    decoders = service.runtime.slot.current.pipeline._decoders
    with Gate() as gate:
        busy = [asyncio.create_task(decoders.run(gate.hold)) for _ in range(DECODERS)]
        await gate.entered(DECODERS)
        yield decoders
    await asyncio.gather(*busy)


async def promote(service: OpenApp, store: Path, version: str) -> None:
    """Name the version, and have it taken over, once."""
    await service.runtime.watch.close()  # else it may look at the same time
    write_current(store, load_artifact(store / "tiny" / version))
    assert await service.runtime.watch.look()


def recorded(folder: Path) -> dict[str, tuple[str, object]]:
    """Version and answered probabilities of each row, by its id."""
    reader = open_reader(f"sqlite:///{folder}/shadow.db")
    rows = [logged.entry for logged in reader.rows(limit=1000)]
    reader.close()
    assert len({row.id for row in rows}) == len(rows)
    return {row.id: (row.model.version, (row.answer or {})["probabilities"]) for row in rows}


async def test_those_inside_the_old_model_and_those_inside_the_new_one_all_get_their_own(
    tmp_path: Path,
) -> None:
    store = _two_versions(tmp_path / "store")
    async with open_app(tiny_settings(store, tmp_path)) as service:
        (alone,) = await asyncio.gather(*send(service, 1))
        with Gate() as gate:
            old = GatedEngine(service.runtime, gate)
            early = send(service, CROWD)
            await old.holds(CROWD)
            async with decoders_at_work(service) as decoders:
                early += send(service, FEW)
                await until(lambda: decoders.waiting == FEW)
                await promote(service, store, "0.0.2")
            await old.holds(CROWD + FEW)
            new = GatedEngine(service.runtime, gate)
            late = send(service, CROWD)
            await new.holds(CROWD)
            inside = [not task.done() for task in (*early, *late)]
        answers = [await asyncio.gather(*tasks) for tasks in (early, late)]

    told = [[answer.json() for answer in group] for group in answers]
    assert all(inside)
    assert {a.status_code for group in answers for a in group} == {200}
    assert [{a["model"]["version"] for a in group} for group in told] == [{"0.0.1"}, {"0.0.2"}]
    first, second = ([a["probabilities"] for a in group] for group in told)
    assert first == [alone.json()["probabilities"]] * (CROWD + FEW)
    assert second == [second[0]] * CROWD
    assert second[0] != first[0]
    assert recorded(tmp_path) == {
        a["id"]: (a["model"]["version"], a["probabilities"])
        for a in (alone.json(), *told[0], *told[1])
    }


async def test_drift_compares_each_radiograph_with_the_reference_of_its_own_model(
    tmp_path: Path,
) -> None:
    store = _two_versions(tmp_path / "store", with_references=True)
    async with open_app(tiny_settings(store, tmp_path)) as service:
        with Gate() as gate:
            old = GatedEngine(service.runtime, gate)
            early = send(service, CROWD)
            await old.holds(CROWD)
            await promote(service, store, "0.0.2")
        late = send(service, FEW)
        await asyncio.gather(*early, *late)
        drift = service.runtime.drift
        await asyncio.to_thread(drift.settle)
        track = drift._state.scanners["other"].track

    assert track is not None
    assert track.images == FEW


async def test_what_a_version_brings_is_read_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _two_versions(tmp_path / "store", with_references=True)
    holding_up: list[str] = []

    def watched(read: Callable[[T], U]) -> Callable[[T], U]:
        def read_watched(what: T) -> U:
            with suppress(RuntimeError):  # on a thread of its own no loop is running
                asyncio.get_running_loop()
                holding_up.append(read.__name__)
            return read(what)

        return read_watched

    for read in (open_comparison, serve_model):
        monkeypatch.setattr(f"service.workshop.{read.__name__}", watched(read))
    async with open_app(tiny_settings(store, tmp_path)) as service:
        await promote(service, store, "0.0.2")

    assert holding_up == []


async def test_explanation_under_way_names_the_model_that_gives_it(tmp_path: Path) -> None:
    store = _two_versions(tmp_path / "store")
    async with open_app(tiny_settings(store, tmp_path)) as service:
        with Gate() as gate:
            old = GatedEngine(service.runtime, gate)
            early = asyncio.create_task(service.client.post("/explain", content=png_bytes()))
            await old.holds(1)
            await promote(service, store, "0.0.2")
        late = await service.client.post("/explain", content=png_bytes())

    assert [(await early).headers["x-model"], late.headers["x-model"]] == [
        "tiny/0.0.1",
        "tiny/0.0.2",
    ]


async def test_try_page_shows_the_maps_of_the_model_that_gave_its_scores(tmp_path: Path) -> None:
    store = _two_versions(tmp_path / "store")
    async with open_app(tiny_settings(store, tmp_path)) as service:
        maps = [
            await service.client.post(f"/explain?finding={finding}", content=png_bytes())
            for finding in ABNORMAL
        ]
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            with Gate() as gate:
                old = GatedEngine(service.runtime, gate)
                files = {"file": ("a.png", png_bytes())}
                trying = asyncio.create_task(client.post("/review/try", files=files))
                await old.holds(1)
                await promote(service, store, "0.0.2")
            page = (await trying).text

    assert "tiny/0.0.1" in page
    assert [base64.b64encode(told.content).decode() in page for told in maps] == [True, True]


async def test_a_version_that_is_damaged_is_not_taken_over(tmp_path: Path) -> None:
    store = _two_versions(tmp_path / "store")
    async with open_app(tiny_settings(store, tmp_path)) as service:
        before = load_current(store).digest
        write_current(store, load_artifact(store / "tiny/0.0.2"))
        (store / "tiny/0.0.2" / MANIFEST).write_text("{}", encoding="utf-8")

        assert not await service.runtime.watch.look()
        answer = await service.client.post("/predict", content=png_bytes())

    assert answer.json()["model"]["digest"] == before
