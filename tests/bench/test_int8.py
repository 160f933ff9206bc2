"""What a coarser network moves is counted against the thresholds of the version."""

from pathlib import Path

import numpy as np
import pytest

from bench.int8 import Compared, compare, draw_pictures, read_pictures, show
from service.core.artifact import load_current
from service.core.findings import FINDINGS
from tests.support.phantoms import png_bytes


def test_difference_and_moved_pictures_are_those_of_the_thresholds(tiny_store: Path) -> None:
    artifact = load_current(tiny_store)
    point = artifact.manifest.operating_points[0]
    assert point.threshold is not None
    column = FINDINGS.index(point.finding)
    exact = np.full((3, len(FINDINGS)), 1e-6, np.float32)
    other = exact.copy()
    exact[0, column], other[0, column] = point.threshold + 0.01, point.threshold - 0.01
    other[1, column] += 1e-7

    largest, usual, moved = compare(exact, other, artifact)

    assert largest == pytest.approx(0.02, abs=1e-5)
    assert usual <= largest
    assert moved == 1


def test_pictures_are_read_as_uploads_are_and_others_are_passed_over(
    tiny_store: Path, tmp_path: Path
) -> None:
    artifact = load_current(tiny_store)
    (tmp_path / "a.png").write_bytes(png_bytes())
    (tmp_path / "b.txt").write_text("no picture")

    pixels = read_pictures(tmp_path, artifact, 10)

    side_px = artifact.manifest.preprocess.side_px
    assert pixels.shape == (1, 1, side_px, side_px)
    assert draw_pictures(artifact, 2).shape == (2, 1, side_px, side_px)


def test_a_network_beyond_the_tolerance_is_told_not_to_do(tiny_store: Path) -> None:
    artifact = load_current(tiny_store)
    most = artifact.manifest.tolerance.probability
    rows = [
        Compared("near", 10.0, 0.1, most / 2, most / 4, 0),
        Compared("far", 20.0, 0.05, most * 2, most, 0),
        Compared("moved", 20.0, 0.05, most / 2, most / 4, 1),
    ]

    told = show(artifact, rows).splitlines()[-3:]

    assert [line.endswith("| yes |") for line in told] == [True, False, False]
