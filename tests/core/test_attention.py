"""The overlay: colour only where there is evidence, and only where the network looked."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from service.core.attention import (
    FULL_COLOUR_LOG_ODDS,
    MAX_SIDE_PX,
    colour_evidence,
    draw_backdrop,
    overlay_attention,
    top_abnormal,
)
from service.core.findings import FINDINGS, Finding
from service.core.inference import Scores
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec
from service.core.radiograph import FileFormat, Radiograph
from tests.support.radiographs import chest_levels, dicom_bytes

SPEC = PreprocessSpec(side_px=64)
MARGIN = 40
WITHOUT: dict[str, object] = {"ImagerPixelSpacing": None}
"""What stands in every phantom."""


def build_radiograph(rows: int = 256, columns: int = 224) -> Radiograph:
    """The phantom inside a black collimator border."""
    grey = np.pad(chest_levels(rows, columns, bits=16), MARGIN)
    return Radiograph(grey, FileFormat.PNG)


def build_scores(evidence: float, finding: Finding = Finding.PNEUMONIA) -> Scores:
    """The same evidence for one finding everywhere, and none for the others."""
    attention = np.zeros((len(FINDINGS), 4, 4), np.float32)
    attention[FINDINGS.index(finding)] = evidence
    probabilities = np.full(len(FINDINGS), 0.1, np.float32)
    probabilities[FINDINGS.index(finding)] = 0.8
    return Scores(probabilities, np.zeros(len(FINDINGS), np.float32), attention)


def decode(png: bytes) -> NDArray[np.uint8]:
    """(H, W, 3)."""
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("evidence", [0.0, -3.0])
def test_radiograph_without_evidence_stays_grey(evidence: float) -> None:
    backdrop = draw_backdrop(build_radiograph(), SPEC)

    picture = decode(overlay_attention(backdrop, build_scores(evidence), None).png)

    assert np.array_equal(picture, cv2.cvtColor(backdrop.grey, cv2.COLOR_GRAY2BGR))


def test_colour_stays_inside_what_the_network_saw() -> None:
    backdrop = draw_backdrop(build_radiograph(), SPEC)

    picture = colour_evidence(backdrop, np.full((4, 4), FULL_COLOUR_LOG_ODDS, np.float32))

    is_coloured = picture.max(axis=2) != picture.min(axis=2)
    assert is_coloured[backdrop.seen].all()
    assert is_coloured.sum() == is_coloured[backdrop.seen].size
    assert backdrop.seen == (slice(MARGIN, MARGIN + 256), slice(MARGIN, MARGIN + 224))


def test_large_radiograph_is_shrunk_with_its_crop() -> None:
    backdrop = draw_backdrop(build_radiograph(2048 - 2 * MARGIN, 1024 - 2 * MARGIN), SPEC)

    assert backdrop.grey.shape == (MAX_SIDE_PX, MAX_SIDE_PX // 2)
    assert backdrop.seen[0] == slice(MARGIN // 2, MAX_SIDE_PX - MARGIN // 2)


@pytest.mark.parametrize(
    ("tags", "shrunk"),
    [
        ({"PixelAspectRatio": ["2", "1"]}, (1, 2)),
        ({"PixelAspectRatio": ["1", "2"]}, (2, 1)),
        ({"PixelSpacing": ["0.2", "0.1"]}, (1, 2)),
        ({"ImagerPixelSpacing": ["0.1", "0.2"]}, (2, 1)),
        ({"NominalScannedPixelSpacing": ["0.2", "0.1"]}, (1, 2)),
        ({"PixelSpacing": ["0.1", "0.1"], "PixelAspectRatio": ["2", "1"]}, (1, 1)),
        ({"PixelSpacing": ["0.2", "0.1"], "PixelAspectRatio": ["1", "1"]}, (1, 2)),
        ({"PixelSpacing": ["0", "0.1"], "ImagerPixelSpacing": ["0.2", "0.1"]}, (1, 2)),
        ({"PixelSpacing": ["100", "0.1"]}, (1, 1)),
        ({"PixelAspectRatio": ["2"]}, (1, 1)),
    ],
)
def test_picture_and_map_have_the_true_shape_where_pixels_are_not_square(
    tags: dict[str, Sequence[str]], shrunk: tuple[int, int]
) -> None:
    stored = np.pad(chest_levels(256, 224, bits=12), MARGIN)
    down, across = shrunk

    backdrop = draw_backdrop(read_radiograph(dicom_bytes(stored, tags=WITHOUT | tags)), SPEC)

    assert backdrop.grey.shape == (stored.shape[0] // down, stored.shape[1] // across)
    assert backdrop.seen == (
        slice(MARGIN // down, (MARGIN + 256) // down),
        slice(MARGIN // across, (MARGIN + 224) // across),
    )


def test_large_radiograph_of_tall_pixels_fills_the_picture() -> None:
    tags: dict[str, object] = WITHOUT | {"PixelAspectRatio": ["2", "1"]}
    stored = chest_levels(1024, 2048, bits=12)

    backdrop = draw_backdrop(read_radiograph(dicom_bytes(stored, tags=tags)), SPEC)

    assert backdrop.grey.shape == (MAX_SIDE_PX, MAX_SIDE_PX)


def test_more_probable_abnormal_finding_is_shown() -> None:
    scores = build_scores(1.0, Finding.TUBERCULOSIS)

    overlay = overlay_attention(draw_backdrop(build_radiograph(), SPEC), scores, None)

    assert overlay.finding is top_abnormal(scores) is Finding.TUBERCULOSIS


def test_finding_that_was_asked_for_is_shown() -> None:
    backdrop = draw_backdrop(build_radiograph(), SPEC)

    overlay = overlay_attention(backdrop, build_scores(1.0), Finding.TUBERCULOSIS)

    assert overlay.finding is Finding.TUBERCULOSIS
