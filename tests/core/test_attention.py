"""The overlay: colour only where there is evidence, and only where the network looked."""

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
from service.core.preprocess import PreprocessSpec
from service.core.radiograph import FileFormat, Radiograph
from tests.support.radiographs import chest_levels

SPEC = PreprocessSpec(side_px=64)
MARGIN = 40


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


def test_more_probable_abnormal_finding_is_shown() -> None:
    scores = build_scores(1.0, Finding.TUBERCULOSIS)

    overlay = overlay_attention(draw_backdrop(build_radiograph(), SPEC), scores, None)

    assert overlay.finding is top_abnormal(scores) is Finding.TUBERCULOSIS


def test_finding_that_was_asked_for_is_shown() -> None:
    backdrop = draw_backdrop(build_radiograph(), SPEC)

    overlay = overlay_attention(backdrop, build_scores(1.0), Finding.TUBERCULOSIS)

    assert overlay.finding is Finding.TUBERCULOSIS
