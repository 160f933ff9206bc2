"""Strangers are pictures, the same ones each time, and a missing package is named."""

import importlib.util

import numpy as np
import pytest

from service.core.findings import Finding
from service.core.radiograph import WHITE, Grey
from training.audit.altered_radiographs import DAMAGES, SHIFTS, Alter
from training.ood import packages as stranger_packages
from training.ood.drawings import DRAWINGS, Draw
from training.ood.packages import PackageAbsent, stretch
from training.ood.strangers import Group, catalogue
from training.phantoms import draw_chest

CHEST = draw_chest(1, Finding.NORMAL, 200, 180)


def generator() -> np.random.Generator:
    return np.random.default_rng(4)


def is_picture(grey: Grey) -> bool:
    return grey.dtype == np.uint16 and grey.ndim == 2 and min(grey.shape) >= 16


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_drawing_is_a_picture_that_its_seed_repeats(draw: Draw) -> None:
    drawn = draw(generator())

    assert is_picture(drawn)
    assert np.array_equal(drawn, draw(generator()))


@pytest.mark.parametrize("alter", [*DAMAGES.values(), *SHIFTS.values()], ids=[*DAMAGES, *SHIFTS])
def test_altered_radiograph_is_another_picture_and_leaves_the_first_alone(alter: Alter) -> None:
    before = CHEST.copy()

    altered = alter(CHEST, generator())

    assert is_picture(altered)
    assert np.array_equal(altered, alter(CHEST, generator()))
    assert not np.array_equal(altered, CHEST)
    assert np.array_equal(CHEST, before)


def test_inverted_twice_is_itself() -> None:
    invert = DAMAGES["inverted"]

    assert np.array_equal(invert(invert(CHEST, generator()), generator()), CHEST)


def test_shuffled_tiles_keep_every_grey_level() -> None:
    shuffled = DAMAGES["tiles in random order"](CHEST, generator())

    assert np.array_equal(np.sort(shuffled, axis=None), np.sort(CHEST, axis=None))


def test_levels_are_stretched_over_the_whole_range() -> None:
    grey = stretch(np.linspace(-1000, 3000, 1_000_000).reshape(1000, 1000))

    assert (grey.min(), grey.max()) == (0, WHITE)
    assert max(grey.shape) == 768


def test_every_kind_has_a_group_an_origin_and_a_name_of_its_own() -> None:
    kinds = catalogue([CHEST, CHEST])

    assert len({kind.name for kind in kinds}) == len(kinds)
    assert {kind.group for kind in kinds} == set(Group)
    assert all(kind.origin for kind in kinds)


def test_kinds_made_of_radiographs_hold_one_of_each() -> None:
    kinds = {kind.name: kind for kind in catalogue([CHEST, CHEST, CHEST])}

    assert len(list(kinds["inverted"].draw())) == 3
    assert len(list(kinds["gamma 0.6"].draw())) == 3


def test_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    shipped = [kind for kind in catalogue([]) if not kind.origin.startswith(("drawn", "made"))]

    for kind in shipped:
        with pytest.raises(PackageAbsent, match="needs the package"):
            next(kind.draw())


def test_films_of_a_lower_leg_are_read_where_the_package_is() -> None:
    films = list(stranger_packages.extremity_films())

    assert len(films) == 32
    assert all(is_picture(film) for film in films)
