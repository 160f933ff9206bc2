"""`cxr-triage predict` and `POST /predict` say the same of the same file, code by code."""

from itertools import product
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom.uid import (
    CTImageStorage,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from service.core.artifact import load_current
from service.core.errors import NotEvaluated
from service.core.intake import read_radiograph
from service.core.scope import IntendedUse
from service.offline import FileResult, OfflineReader
from service.verified_engine import open_verified_engine
from tests.support.apps import open_app, tiny_settings
from tests.support.cases import LEVELS
from tests.support.dicom_catalogue import READ
from tests.support.radiographs import dicom_bytes
from tests.support.raster_catalogue import RASTER
from tests.support.refusal_catalogue import REFUSED
from tests.support.scope_catalogue import COLOURED

OUTSIDE: dict[str, tuple[dict[str, Any], str]] = {
    "CT": (
        {"modality": "CT", "tags": {"SOPClassUID": CTImageStorage}},
        "NOT_A_CHEST_RADIOGRAPH",
    ),
    "ultrasound": (
        {"modality": "US", "tags": {"SOPClassUID": UltrasoundMultiFrameImageStorage}},
        "NOT_A_CHEST_RADIOGRAPH",
    ),
    "hand": ({"body_part": "HAND"}, "NOT_A_CHEST_RADIOGRAPH"),
    "capture": ({"tags": {"SOPClassUID": SecondaryCaptureImageStorage}}, "DERIVED_IMAGE"),
    "raw": ({"tags": {"PresentationIntentType": "FOR PROCESSING"}}, "FOR_PROCESSING"),
    "lateral": ({"view": "LL"}, "VIEW_LATERAL"),
    "oblique": ({"view": "RAO"}, "VIEW_OTHER"),
    "child": ({"age": "007Y"}, "AGE_OUT_OF_SCOPE"),
}
"""Tags that are outside the intended use, and the reason."""

PIXELS: dict[str, dict[str, Any]] = {
    "readable": {"stored": LEVELS},
    "missing": {"tags": {"PixelData": None}},
    "cut": {"tags": {"PixelData": bytes(40)}},
    "garbled": {"frame": b"\0" * 64, "transfer_syntax": JPEG2000Lossless},
    "of another size": {"stored": LEVELS, "transfer_syntax": RLELossless, "tags": {"Rows": 95}},
    "of many frames": {"tags": {"NumberOfFrames": 30}},
    "coloured": {"stored": COLOURED, "photometric": "RGB", "bits_stored": 8},
    "of contradicting polarity": {
        "stored": np.full((96, 80), 7, np.uint16),
        "photometric": "MONOCHROME1",
        "presentation_lut_shape": "IDENTITY",
    },
    "far too many": {"tags": {"Rows": 65535, "Columns": 65535}},
    "of 32 bits": {"tags": {"BitsAllocated": 32}},
}
"""Pixels that would be answered each in its own way, if they were asked for."""


def outside(tags: str, pixels: str) -> bytes:
    """A file that its tags exclude, whatever its pixels are."""
    named, kind = OUTSIDE[tags][0], PIXELS[pixels]
    both = {**kind.get("tags", {}), **named.get("tags", {}), "SOPInstanceUID": f"1.2.3.{len(tags)}"}
    return dicom_bytes(**{**kind, **named, "tags": both})


def catalogue() -> dict[str, bytes]:
    """Every file of the catalogues, each with a SOP instance of its own."""
    listed = {**READ, **REFUSED, **RASTER}.items()
    return {
        name: case.body({"SOPInstanceUID": f"1.2.{place}"})
        for place, (name, case) in enumerate(listed)
    }


@pytest.mark.parametrize(("tags", "pixels"), product(OUTSIDE, PIXELS))
def test_tags_that_exclude_an_image_do_so_before_its_pixels_are_asked_for(
    tags: str, pixels: str
) -> None:
    with pytest.raises(NotEvaluated) as refusal:
        read_radiograph(outside(tags, pixels), intended_use=IntendedUse())

    assert refusal.value.reason == OUTSIDE[tags][1]


async def test_files_and_uploads_have_the_same_codes(tiny_store: Path, tmp_path: Path) -> None:
    excluded = {
        f"{tags}, {pixels}": outside(tags, pixels) for tags, pixels in product(OUTSIDE, PIXELS)
    }
    bodies = {**catalogue(), **excluded}
    settings, artifact = tiny_settings(tiny_store, tmp_path), load_current(tiny_store)
    (tmp_path / "files").mkdir()
    paths = [tmp_path / "files" / str(place) for place in range(len(bodies))]
    for path, body in zip(paths, bodies.values(), strict=True):
        path.write_bytes(body)

    async with open_app(settings) as service:
        answers = [await service.client.post("/predict", content=body) for body in bodies.values()]
    engine = open_verified_engine(settings, artifact)
    results = OfflineReader(artifact=artifact, engine=engine, decode_threads=2).read(paths)

    told = dict(zip(bodies, map(said_by_service, answers), strict=True))
    assert dict(zip(bodies, map(said_offline, results), strict=True)) == told


def said_by_service(answer: httpx.Response) -> tuple[str, frozenset[str]]:
    """Code, reason or `evaluated`, and the warnings of what was evaluated."""
    body = answer.json()
    code = body.get("code") or body["reason"] or body["status"]
    is_evaluated = code == "evaluated"
    return code, frozenset(
        told["code"] for told in body["warnings"]
    ) if is_evaluated else frozenset()


def said_offline(result: FileResult) -> tuple[str, frozenset[str]]:
    """The same of a file."""
    return result.code or result.status, frozenset(result.warnings)
