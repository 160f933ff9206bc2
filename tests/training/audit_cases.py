"""Studies and networks whose fault is known: what an audit must find, and what it must not."""

import cv2
import numpy as np
from numpy.typing import NDArray

from service.core.findings import FINDINGS, Finding
from service.core.inference import Forward, Outputs, Recipe
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, crop_box, preprocess
from service.core.radiograph import Pixels, Radiograph
from service.core.tta import TtaView
from training.audit.scores import Seen, look_at
from training.data.dataset import Dataset, targets_of
from training.data.studies import Split, Study
from training.lungs.fields import LungField
from training.phantoms import draw_chest, draw_lungs, encode_png16

SIDE_PX, CELLS = 96, 6
SPEC = PreprocessSpec(side_px=SIDE_PX)
RECIPE = Recipe(SPEC, (TtaView.IDENTITY,), 1.0)
LUNG_CELLS = np.zeros((CELLS, CELLS), np.bool_)
LUNG_CELLS[1:5, 1] = LUNG_CELLS[1:5, 4] = True
CORNER_CELLS = np.zeros((CELLS, CELLS), np.bool_)
CORNER_CELLS[0, 0] = True
MARKER_PX = 12
DARK = -0.8
"""Grey of an air-filled lung after normalisation: no evidence below it."""


def make_studies(per_group: int, sources: tuple[str, ...] = ("east", "west")) -> tuple[Study, ...]:
    return tuple(
        Study(
            f"{source}-{finding}-{number}.png",
            finding,
            (Split.VAL, Split.TEST)[number % 2],
            source,
            f"{source}-{finding}-{number}",
            age_years=30.0 + number % 40,
            sex="MF"[number % 2],
            view=("PA", "AP")[number // 2 % 2],
        )
        for source in sources
        for finding in (Finding.NORMAL, Finding.PNEUMONIA)
        for number in range(per_group)
    )


def draw_dataset(studies: tuple[Study, ...], *, marked: Finding | None = None) -> Dataset:
    """Drawn chests; those of the marked finding bear a bright square in a corner."""
    pixels = np.stack([_draw(number, study) for number, study in enumerate(studies)])
    for index, study in enumerate(studies):
        if study.finding is marked:
            pixels[index, 0, :MARKER_PX, :MARKER_PX] = 1.0
    return Dataset(studies, pixels, targets_of(studies))


def reader_of(cells: NDArray[np.bool_], gain: float) -> Forward:
    """A network that takes brightness in some cells of the picture for pneumonia."""
    size = SIDE_PX // CELLS

    def forward(batch_nchw: Pixels) -> Outputs:
        grid = batch_nchw[:, 0].reshape(-1, CELLS, size, CELLS, size).mean(axis=(2, 4))
        maps = np.zeros((len(batch_nchw), len(FINDINGS), CELLS, CELLS), np.float32)
        bright = np.maximum(grid - DARK, 0)
        maps[:, FINDINGS.index(Finding.PNEUMONIA)] = np.where(cells, gain * bright, 0)
        features = grid.reshape(len(grid), -1).astype(np.float32)
        return Outputs(maps.mean(axis=(2, 3)), maps, features)

    return forward


def known_lungs(studies: tuple[Study, ...]) -> list[LungField]:
    """The lungs as they were drawn: a test of the audit is no test of the lung finder."""
    return [_known(number, study) for number, study in enumerate(studies)]


def seen_by(reader: Forward, pixels: Pixels) -> Seen:
    return look_at(pixels, reader, RECIPE)


def _draw(number: int, study: Study) -> Pixels:
    return preprocess(_radiograph(number, study), SPEC)


def _known(number: int, study: Study) -> LungField:
    drawn = draw_lungs(number, SIDE_PX, SIDE_PX)[crop_box(_radiograph(number, study), SPEC)]
    mask = cv2.resize(drawn.astype(np.uint8), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_NEAREST)
    return LungField(mask > 0, fit=1.0, edge=1.0, doubts=())


def _radiograph(number: int, study: Study) -> Radiograph:
    grey = draw_chest(number, study.finding, SIDE_PX, SIDE_PX)
    return read_radiograph(encode_png16(grey))
