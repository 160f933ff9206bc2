"""What is taken away is gone, what is not stays, and the border does not show."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service.core.findings import Finding
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from training.audit.occlusion import (
    cover_corners,
    cover_marks,
    fill,
    find_marks,
    hide_lungs,
    show_lungs_only,
)
from training.lungs.fields import find_lungs
from training.phantoms import draw_chest, encode_png16

SPEC = PreprocessSpec(side_px=128)
NOWHERE = np.zeros((128, 128), np.bool_)


def chest(finding: Finding = Finding.NORMAL) -> NDArray[np.float32]:
    return np.asarray(preprocess(read_radiograph(encode_png16(draw_chest(4, finding))), SPEC)[0])


def with_letter(picture: NDArray[np.float32], row: int, column: int) -> NDArray[np.float32]:
    """A bright L of three pixels' stroke."""
    marked = picture.copy()
    marked[row : row + 10, column : column + 3] = 1.0
    marked[row + 7 : row + 10, column : column + 8] = 1.0
    return marked


def test_what_lay_under_hidden_lungs_cannot_be_seen() -> None:
    normal = chest()
    lungs = find_lungs(normal).mask
    ill = normal.copy()
    ill[lungs] = np.random.default_rng(0).random(int(lungs.sum()), dtype=np.float32)

    assert hide_lungs(ill, lungs) == pytest.approx(hide_lungs(normal, lungs), abs=1e-6)


def test_hiding_lungs_leaves_the_rest_as_it_was() -> None:
    picture = chest()
    lungs = find_lungs(picture).mask

    hidden = hide_lungs(picture, lungs)

    assert np.array_equal(hidden[110:], picture[110:])
    assert np.abs(hidden - picture)[lungs].mean() > 0.1


def test_lungs_only_keeps_lungs_and_nothing_far_from_them() -> None:
    picture = chest()
    lungs = find_lungs(picture).mask
    other = picture.copy()
    other[:, :8] = 1.0 - other[:, :8]

    shown, again = show_lungs_only(picture, lungs), show_lungs_only(other, lungs)

    assert np.array_equal(shown[lungs], picture[lungs])
    assert np.array_equal(shown, again)


def test_a_filled_gap_has_no_edge() -> None:
    rows, columns = np.mgrid[0:1:128j, 0:1:128j]
    slope = np.asarray(0.3 * rows + 0.5 * columns, np.float32)
    hidden = NOWHERE.copy()
    hidden[40:80, 40:80] = True

    filled = fill(slope, hidden)

    steps = np.abs(np.diff(filled, axis=0)).max(), np.abs(np.diff(filled, axis=1)).max()
    assert max(steps) < 0.05
    assert np.abs(filled - slope).max() < 0.1


def test_nothing_hidden_changes_nothing_and_all_hidden_is_flat() -> None:
    picture = chest()

    assert np.array_equal(fill(picture, NOWHERE), picture)
    assert np.ptp(fill(picture, ~NOWHERE)[4:-4, 4:-4]) < 1e-6


def test_corners_are_covered_and_the_middle_is_not() -> None:
    picture = chest()
    marked = picture.copy()
    marked[:12, :12] = marked[-12:, -12:] = 1.0

    covered = cover_corners(marked)

    assert np.array_equal(covered[30:-30, 30:-30], picture[30:-30, 30:-30])
    assert covered[:10, :10].max() < 0.9
    assert covered == pytest.approx(cover_corners(picture), abs=1e-6)


def test_a_letter_is_found_and_covered() -> None:
    picture = chest()
    marked = with_letter(picture, 4, 6)

    found = find_marks(marked, NOWHERE)
    covered = cover_marks(marked, NOWHERE)

    letter = marked != picture
    assert letter.any()
    assert found[letter].all()
    assert found.mean() < 0.05
    assert np.abs(covered - picture)[letter].mean() < 0.25 * np.abs(marked - picture)[letter].mean()


def test_a_letter_inside_the_lungs_is_left_alone() -> None:
    marked = with_letter(chest(), 60, 40)

    assert not find_marks(marked, NOWHERE)[55:75, 35:55].any()
