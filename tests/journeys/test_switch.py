"""A promotion takes effect under traffic, and no request is lost or answered by half a model."""

import asyncio
from pathlib import Path

from service.core.artifact import MANIFEST, load_artifact, load_current, write_current
from tests.support.apps import SlowUpload, open_app, tiny_settings
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.radiographs import png_bytes


def _two_versions(folder: Path) -> Path:
    build_tiny_artifact(folder)
    build_tiny_artifact(folder, TinyChoices(seed=5, version="0.0.2"))
    write_current(folder, load_artifact(folder / "tiny/0.0.1"))
    return folder


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


async def test_a_version_that_is_damaged_is_not_taken_over(tmp_path: Path) -> None:
    store = _two_versions(tmp_path / "store")
    async with open_app(tiny_settings(store, tmp_path)) as service:
        before = load_current(store).digest
        write_current(store, load_artifact(store / "tiny/0.0.2"))
        (store / "tiny/0.0.2" / MANIFEST).write_text("{}", encoding="utf-8")

        assert not await service.runtime.watch.look()
        answer = await service.client.post("/predict", content=png_bytes())

    assert answer.json()["model"]["digest"] == before
