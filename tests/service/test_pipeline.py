"""From bytes to a durable row: replays, conflicts, and what is outside the intended use."""

import io
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless

from service.core.errors import EngineFailed, RecordUnavailable
from service.record import Entry, Outcome
from service.settings import IntakeSettings
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.radiographs import chest_levels, dicom_bytes, png_bytes
from tests.support.refusal_catalogue import REFUSED
from tests.support.scope_catalogue import COLOURED

REFUSED_WHILE_READING = [
    "multi-frame", "coloured secondary capture", "contradicting polarity, no chest to judge by",
]  # fmt: skip
UNREADABLE: list[dict[str, Any]] = [
    {"stored": COLOURED, "photometric": "RGB", "bits_stored": 8, "modality": "US"},
    {"modality": "RTDOSE", "tags": {"BitsAllocated": 32}},
    {"modality": "SEG", "tags": {"BitsAllocated": 1, "BitsStored": 1}},
]


@pytest.fixture
async def service(tiny_store: Path, tmp_path: Path) -> AsyncIterator[OpenApp]:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as opened:
        yield opened


def entries(service: OpenApp) -> list[Entry]:
    """All rows of the shadow log, in order."""
    return [logged.entry for logged in service.runtime.record.reader.rows()]


async def test_row_is_there_when_the_answer_is(service: OpenApp) -> None:
    answer = (await service.client.post("/predict", content=dicom_bytes())).json()

    (entry,) = entries(service)
    assert entry.id == answer["id"]
    assert entry.probabilities == answer["probabilities"]
    assert entry.pseudonyms.sop_instance is not None
    assert entry.model.digest == answer["model"]["digest"]


async def test_repeated_upload_gets_the_stored_answer(service: OpenApp) -> None:
    first = (await service.client.post("/predict", content=dicom_bytes())).json()
    second = (await service.client.post("/predict", content=dicom_bytes())).json()

    assert second["replay"] is True
    assert second["id"] == first["id"]
    assert second["probabilities"] == first["probabilities"]
    assert [entry.outcome for entry in entries(service)] == [Outcome.EVALUATED, Outcome.REPLAYED]


async def test_same_instance_with_other_pixels_is_a_conflict(service: OpenApp) -> None:
    other = dicom_bytes(chest_levels(bits=12, seed=1))
    await service.client.post("/predict", content=dicom_bytes())

    response = await service.client.post("/predict", content=other)

    assert response.status_code == 409
    assert response.json()["code"] == "SOP_INSTANCE_CONFLICT"
    assert [entry.outcome for entry in entries(service)] == [Outcome.EVALUATED, Outcome.CONFLICT]


@pytest.mark.parametrize(
    "options",
    [
        {"window": (1500, 3000)},
        {"voi_lut": ([n // 2 for n in range(4096)], 0, 11)},
        {"rescale": (2, 1)},
        {"photometric": "MONOCHROME1"},
        {"stored": chest_levels(bits=12) | np.uint16(0xA000)},
        {"window": (1500, 3000), "transfer_syntax": JPEG2000Lossless},
    ],
    ids=["window", "VOI LUT", "rescale", "polarity", "unused bits", "window and encoding"],
)
async def test_same_pixels_with_corrected_tags_are_evaluated(
    service: OpenApp, options: dict[str, Any]
) -> None:
    await service.client.post("/predict", content=dicom_bytes())

    response = await service.client.post("/predict", content=dicom_bytes(**options))

    assert response.status_code == 200
    assert (response.json()["status"], response.json()["replay"]) == ("evaluated", False)


async def test_same_pixels_in_another_encoding_are_evaluated(service: OpenApp) -> None:
    compressed = dicom_bytes(transfer_syntax=JPEG2000Lossless)

    first = (await service.client.post("/predict", content=dicom_bytes())).json()
    second = (await service.client.post("/predict", content=compressed)).json()

    assert second["replay"] is False
    assert second["probabilities"] == first["probabilities"]


async def test_picture_without_tags_is_never_a_replay(service: OpenApp) -> None:
    answers = [(await service.client.post("/predict", content=png_bytes())).json() for _ in "ab"]

    assert [answer["replay"] for answer in answers] == [False, False]
    assert answers[0]["id"] != answers[1]["id"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (dicom_bytes(view="LATERAL"), "VIEW_LATERAL"),
        (dicom_bytes(age="007Y"), "AGE_OUT_OF_SCOPE"),
        (dicom_bytes(body_part="KNEE"), "NOT_A_CHEST_RADIOGRAPH"),
        (dicom_bytes(np.full((256, 224), 7, np.uint16)), "IMAGE_BLANK"),
    ],
)
async def test_image_outside_the_intended_use_has_no_scores_and_a_row(
    service: OpenApp, body: bytes, reason: str
) -> None:
    answer = (await service.client.post("/predict", content=body)).json()

    (entry,) = entries(service)
    assert (answer["status"], answer["reason"]) == ("not_evaluated", reason)
    assert answer["probabilities"] is None
    assert answer["triage"] is None
    assert (entry.outcome, entry.reason) == (Outcome.NOT_EVALUATED, reason)


@pytest.mark.parametrize("name", REFUSED_WHILE_READING)
async def test_what_is_refused_while_reading_has_an_identity_and_is_replayed(
    service: OpenApp, name: str
) -> None:
    body = REFUSED[name].body({"SOPInstanceUID": "1.2.3.4", "AccessionNumber": "A1"})

    first, second = [(await service.client.post("/predict", content=body)).json() for _ in "ab"]

    assert first["reason"] == REFUSED[name].outcome
    assert (second["id"], second["replay"]) == (first["id"], True)
    assert [entry.outcome for entry in entries(service)] == [
        Outcome.NOT_EVALUATED,
        Outcome.REPLAYED,
    ]
    for entry in entries(service):
        assert None not in (entry.pseudonyms.sop_instance, entry.pseudonyms.accession)


@pytest.mark.parametrize("options", UNREADABLE)
async def test_another_modality_is_not_evaluated_even_where_its_pixels_are_not_read(
    service: OpenApp, options: dict[str, Any]
) -> None:
    answer = await service.client.post("/predict", content=dicom_bytes(**options))
    as_radiograph = await service.client.post(
        "/predict", content=dicom_bytes(**{**options, "modality": "CR"})
    )

    assert answer.status_code == 200
    assert answer.json()["reason"] == "NOT_A_CHEST_RADIOGRAPH"
    assert as_radiograph.status_code == 422


async def test_row_that_cannot_be_written_is_no_answer(service: OpenApp) -> None:
    await service.runtime.record.close()

    response = await service.client.post("/predict", content=png_bytes())
    ready = await service.client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["code"] == RecordUnavailable.code
    assert ready.json()["reasons"] == [RecordUnavailable.code]


@pytest.mark.parametrize(
    "body",
    [dicom_bytes(view="LATERAL"), dicom_bytes(), dicom_bytes(chest_levels(bits=12, seed=1))],
    ids=["not evaluated", "replayed", "in conflict"],
)
async def test_deadline_holds_for_every_ending(
    service: OpenApp, tmp_path: Path, body: bytes
) -> None:
    await service.client.post("/predict", content=dicom_bytes())
    holder = sqlite3.connect(tmp_path / "shadow.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")  # another process writes, and takes its time
    try:
        late = await service.client.post("/predict", content=body, headers={"X-Deadline-Ms": "400"})
    finally:
        holder.execute("ROLLBACK")
        holder.close()

    assert (late.status_code, late.json()["code"]) == (503, "DEADLINE_EXCEEDED")


async def test_decoded_levels_count_as_held_while_their_instance_is_looked_up(
    tiny_store: Path, tmp_path: Path
) -> None:
    body = dicom_bytes()
    room = len(body) + chest_levels(bits=12).nbytes - 1
    limits = IntakeSettings(max_body_bytes=len(body), max_in_flight_bytes=room)
    async with open_app(tiny_settings(tiny_store, tmp_path, intake=limits)) as service:
        answer = await service.client.post("/predict", content=body)

        assert (answer.status_code, answer.json()["code"]) == (503, "QUEUE_FULL")
        assert service.runtime.admission.in_flight_bytes == 0


async def test_broken_engine_is_not_ready(service: OpenApp) -> None:
    service.runtime.slot.current.engine_watch.is_broken = True

    ready = await service.client.get("/readyz")

    assert (ready.status_code, ready.json()["reasons"]) == (503, [EngineFailed.code])


async def test_engine_that_fails_is_no_answer_and_no_row(service: OpenApp) -> None:
    service.runtime.engine.close()
    service.runtime.batcher._score = _fail

    response = await service.client.post("/predict", content=png_bytes())

    assert response.status_code == 503
    assert response.json()["code"] == EngineFailed.code
    assert entries(service) == []


async def test_shadow_mode_records_what_it_does_not_tell(tiny_store: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_store, tmp_path, mode="shadow")
    async with open_app(settings) as service:
        answer = (await service.client.post("/predict", content=png_bytes())).json()

        (entry,) = entries(service)

    assert entry.probabilities is not None
    assert entry.answer == answer


def _fail(_batch: object) -> tuple[()]:
    raise io.UnsupportedOperation("device lost")
