"""Lungs are found where they were drawn, whatever is done to the picture, and not in anything."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service.core.findings import FINDINGS, Finding
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from training.audit.lung_quality import measure_lungs, measure_phantoms, overlap, turn
from training.data.studies import Split, Study
from training.lungs.fields import find_lungs
from training.lungs.outline import shortest_round
from training.phantoms import draw_chest, draw_lungs, encode_png16

SPEC = PreprocessSpec(side_px=128)
GOOD_OVERLAP = 0.75
"""Drawn lungs are plain ellipses, and the template has the shape of lungs."""


def chest(seed: int, finding: Finding) -> NDArray[np.float32]:
    return np.asarray(preprocess(read_radiograph(encode_png16(draw_chest(seed, finding))), SPEC)[0])


def test_lungs_of_drawn_chests_are_found() -> None:
    quality = measure_phantoms(SPEC.side_px)

    assert quality.low > GOOD_OVERLAP


@pytest.mark.parametrize("finding", FINDINGS)
def test_lungs_are_plausible_with_any_finding(finding: Finding) -> None:
    lungs = find_lungs(chest(3, finding))

    assert lungs.is_plausible
    assert 0.15 < lungs.area_ratio < 0.5


def test_opacities_stay_inside_the_lungs() -> None:
    normal, ill = find_lungs(chest(5, Finding.NORMAL)), find_lungs(chest(5, Finding.PNEUMONIA))

    assert overlap(normal.mask, ill.mask) > 0.85


@pytest.mark.parametrize("gamma", [0.7, 1.4])
def test_brightness_does_not_move_the_lungs(gamma: float) -> None:
    picture = chest(7, Finding.NORMAL)

    brighter = find_lungs(np.asarray(picture**gamma, np.float32))

    assert overlap(brighter.mask, find_lungs(picture).mask) > 0.8


def test_a_turned_picture_has_turned_lungs() -> None:
    picture = chest(8, Finding.NORMAL)

    turned = find_lungs(turn(picture, 5.0)).mask

    back = turn(turned.astype(np.float32), -5.0) > 0.5
    assert overlap(back, find_lungs(picture).mask) > 0.85


@pytest.mark.parametrize("side_px", [64, 192])
def test_the_mask_has_the_side_of_the_picture(side_px: int) -> None:
    body = encode_png16(draw_chest(2, Finding.NORMAL))
    picture = preprocess(read_radiograph(body), PreprocessSpec(side_px=side_px))[0]

    lungs = find_lungs(picture)

    assert lungs.mask.shape == (side_px, side_px)
    assert lungs.is_plausible


@pytest.mark.parametrize("name", ["blank", "noise", "ramp", "upside down"])
def test_a_picture_without_lungs_is_doubted(name: str) -> None:
    generator = np.random.default_rng(0)
    pictures = {
        "blank": np.full((128, 128), 0.5, np.float32),
        "noise": generator.random((128, 128), dtype=np.float32),
        "ramp": np.tile(np.linspace(0, 1, 128, dtype=np.float32), (128, 1)),
        "upside down": np.ascontiguousarray(1 - chest(1, Finding.NORMAL)),
    }

    assert find_lungs(pictures[name]).doubts


def test_lungs_are_the_same_each_time() -> None:
    picture = chest(4, Finding.TUBERCULOSIS)

    assert np.array_equal(find_lungs(picture).mask, find_lungs(picture.copy()).mask)


def test_drawn_lungs_are_darker_than_the_chest_around_them() -> None:
    grey, lungs = draw_chest(6, Finding.NORMAL), draw_lungs(6)

    assert grey[lungs].mean() < 0.6 * grey[~lungs][grey[~lungs] > 20_000].mean()


def test_shortest_round_follows_a_cheap_ring_and_closes() -> None:
    angles = np.arange(24)
    ring = np.round(8 + 3 * np.sin(angles / 24 * 2 * np.pi)).astype(int)
    costs = np.ones((24, 16))
    costs[angles, ring] = 0.0

    path = shortest_round(costs, 0.01)

    assert np.array_equal(path, ring)
    assert abs(int(path[0]) - int(path[-1])) <= 1


def test_quality_counts_the_doubts_by_source() -> None:
    pictures = [
        chest(1, Finding.NORMAL),
        chest(2, Finding.NORMAL),
        np.zeros((128, 128), np.float32),
    ]
    pixels = np.stack(pictures)[:, np.newaxis]
    studies = tuple(
        Study(f"{i}.png", Finding.NORMAL, Split.VAL, ("east", "east", "west")[i], str(i))
        for i in range(3)
    )

    quality = measure_lungs(studies, pixels, [find_lungs(picture) for picture in pictures])

    assert quality.plausible["east"].value == 1.0
    assert quality.plausible["west"].value == 0.0
    assert quality.doubts
    assert set(quality.agreement) == {
        "mirrored", "turned by 5 degrees", "gamma 0.8", "gamma 1.25"
    }  # fmt: skip
    assert min(value.value for value in quality.agreement.values()) > GOOD_OVERLAP
