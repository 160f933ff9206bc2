"""In shadow mode nothing that a caller can see depends on what the model thinks."""

import io
import json
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from service.core.artifact import load_artifact, write_current
from service.core.store import name_candidate
from service.logs import set_up_logs
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.radiographs import dicom_bytes
from tests.support.tiny_network import chest_uploads

GROUP_LEAST = 2
"""Radiographs of each priority that are compared."""
OPEN_PAGES = ("/healthz", "/readyz", "/model", "/openapi.json")
OF_THE_PICTURE = re.compile(
    r"cxr_(raw_pixel|model_input)_intensity_|cxr_body_bytes_|cxr_image_checks_total"
    r"|cxr_drift_\w+\{[^}]*scalar=\"(raw|input)|cxr_warnings_total\{code=\"(?!OUT_OF_DIST)"
)
"""Families that measure what the caller sent, which the caller knows."""
OF_THE_MODEL = re.compile(r"priorit|flag|probabilit|distribution|score|feature|triage|finding")
CHANCE = re.compile(r"(?:^|_)(?:id|timestamp|seconds)$")
"""Fields of a log line that differ from one upload of a radiograph to the next."""
Told = dict[str, Any]


def _uploads() -> list[bytes]:
    """One radiograph after the other as DICOM files of one size."""
    pictures = [
        cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_GRAYSCALE)
        for body in chest_uploads()
    ]
    return [
        dicom_bytes(picture, bits_stored=8, tags={"SOPInstanceUID": f"1.2.826.0.1.77.{number}"})
        for number, picture in enumerate(map(np.asarray, pictures))
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has an opinion, and a candidate that has another."""
    folder = tmp_path_factory.mktemp("store")
    build_tiny_artifact(folder, TinyChoices(flag_threshold=0.4, refer_threshold=0.3))
    build_tiny_artifact(folder, TinyChoices(seed=5, version="0.0.2"))
    write_current(folder, load_artifact(folder / "tiny/0.0.1"))
    name_candidate(folder, "tiny/0.0.2")
    return folder


@pytest.fixture
async def shadow(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenApp]:
    """On a disk that nobody else writes to; its room is told in steps (`disk_metrics`)."""
    room = os.statvfs(tmp_path)
    monkeypatch.setattr("service.disk.os.statvfs", lambda _: room)
    async with open_app(tiny_settings(store, tmp_path, mode="shadow")) as service:
        yield service


async def _predictions(store: Path, folder: Path, uploads: list[bytes]) -> dict[str, list[int]]:
    """Places of the uploads by what the model says of them when it may speak."""
    groups = defaultdict(list)
    async with open_app(tiny_settings(store, folder)) as service:
        for place, upload in enumerate(uploads):
            answer = (await service.client.post("/predict", content=upload)).json()
            groups[answer["triage"]["priority"]].append(place)
            top = max(answer["probabilities"], key=answer["probabilities"].get)
            groups[top].append(place)
    return groups


def _series(exposition: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in exposition.splitlines() if line[:1] != "#")
    return {name: float(value) for name, _, value in lines}


def _moved(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """How far each series moved; of durations and of the picture only that they were counted."""
    moved = {name: value - before.get(name, 0.0) for name, value in after.items()}
    told = {}
    for name, by in moved.items():
        family = name.partition("{")[0]
        is_measured = "_seconds" in family or OF_THE_PICTURE.match(name) is not None
        if is_measured and not family.endswith("_count"):
            continue
        if by and not family.startswith(("process_", "python_")):
            told[name] = by
    return told


def _shape(value: object) -> object:
    """A body without what differs by chance: fields, kinds and lengths."""
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    return type(value).__name__, len(str(value))


def _seen(response: httpx.Response) -> Told:
    body = response.json()
    changing = ("id", "request_id", "instance")
    return {
        "status": response.status_code,
        "headers": [
            (name, len(value) if name in ("x-request-id", "etag") else value)
            for name, value in response.headers.items()
        ],
        "cookies": dict(response.cookies),
        "shape": _shape(body),
        "fixed": {name: value for name, value in body.items() if name not in changing},
        "length": len(response.content),
    }


async def _observe(service: OpenApp, upload: bytes) -> Told:
    """All that a caller can see of one radiograph."""
    client, candidate = service.client, service.runtime.shadow.current
    assert candidate is not None
    before = _series((await client.get("/metrics")).text)
    answers = {
        "first": await client.post("/predict", content=upload),
        "again": await client.post("/predict", content=upload),
        "as a form": await client.post("/predict", files={"file": ("a.dcm", upload)}),
        "map": await client.post("/explain", content=upload),
        "map of a finding": await client.post(
            "/explain", content=upload, params={"finding": "pneumonia"}
        ),
    }
    await candidate.wait_drained()
    after = _series((await client.get("/metrics")).text)
    return {
        "answers": {name: _seen(answer) for name, answer in answers.items()},
        "open pages": [(await client.get(path)).content for path in OPEN_PAGES],
        **_moved(before, after),
    }


async def test_radiographs_of_every_prediction_look_alike_to_the_caller(
    store: Path, tmp_path_factory: pytest.TempPathFactory, shadow: OpenApp
) -> None:
    uploads = _uploads()
    groups = await _predictions(store, tmp_path_factory.mktemp("live"), uploads)
    assert len({len(upload) for upload in uploads}) == 1
    assert len([name for name, places in groups.items() if len(places) >= GROUP_LEAST]) >= 4

    seen = [await _observe(shadow, upload) for upload in uploads]

    unlike = {
        (prediction, name): (seen[place].get(name), seen[0].get(name))
        for prediction, places in groups.items()
        for place in places
        for name in {**seen[0], **seen[place]}
        if seen[place].get(name) != seen[0].get(name)
    }
    assert unlike == {}


async def test_no_metric_of_shadow_mode_is_about_what_the_model_thinks(shadow: OpenApp) -> None:
    for upload in _uploads()[:3]:
        await shadow.client.post("/predict", content=upload)

    told = _series((await shadow.client.get("/metrics")).text)
    by_the_model = [
        name for name, value in told.items() if value and OF_THE_MODEL.search(name.lower())
    ]

    assert by_the_model == []


async def test_no_answer_of_shadow_mode_has_a_field_for_a_result(shadow: OpenApp) -> None:
    answers = [
        await shadow.client.post("/predict", content=upload) for upload in _uploads()[:2] * 2
    ]

    assert {answer.status_code for answer in answers} == {202}
    assert [set(answer.json()) for answer in answers] == [{"id", "mode", "notice"}] * 4
    assert not any(OF_THE_MODEL.search(name) for name in answers[0].headers)


async def test_log_lines_of_every_prediction_look_alike_to_who_reads_the_log(
    store: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    uploads = _uploads()
    groups = await _predictions(store, tmp_path_factory.mktemp("live"), uploads)
    stream = io.StringIO()
    set_up_logs("info", stream)
    async with open_app(tiny_settings(store, tmp_path, mode="shadow")) as service:
        for upload in uploads:
            await service.client.post("/predict", content=upload)

    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    stories = [
        {name: value for name, value in line.items() if CHANCE.search(name) is None}
        for line in told
        if line["event"] == "triage.completed"
    ]

    assert len(groups) >= 4
    assert len(stories) == len(uploads)
    assert [story for story in stories if story["priority"] is not None] == []
    assert {json.dumps(story | {"warnings": []}) for story in stories} == {
        json.dumps(stories[0] | {"warnings": []})
    }
