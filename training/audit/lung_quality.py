"""How good the lung finder is, without a single outlined radiograph to compare with.

Three answers: on how many radiographs it doubts itself, how well it agrees with itself when a
radiograph is mirrored, turned or brightened, and how well it finds the known lungs of drawn chests.
Axes: S side of the network's input.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from service.core.artifact import MetricInterval
from service.core.findings import FINDINGS
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, crop_box, preprocess
from training.audit.occlusion import Picture
from training.audit.results import LungQuality
from training.data.studies import Study
from training.lungs.fields import LungField, LungMask, find_lungs
from training.measures.operating import is_source
from training.measures.statistics import bootstrap, patient_draws, wilson
from training.phantoms import draw_chest, draw_lungs, encode_png16

ALTERED_IMAGES = 60
PHANTOMS_PER_FINDING = 5
DRAWS, SEED = 500, 20_241
TURN_DEGREES = 5.0
GAMMAS = (0.8, 1.25)

Change = Callable[[Picture], Picture]


def measure_lungs(
    studies: Sequence[Study],
    pixels: NDArray[np.float32],
    fields: Sequence[LungField],
    altered_images: int = ALTERED_IMAGES,
) -> LungQuality:
    """Measure the finder on (N, 1, S, S) pixels whose lungs were found already.

    Parameters
    ----------
    altered_images
        How many are mirrored, turned and brightened at most.
    """
    chosen = [i for i, lungs in enumerate(fields) if lungs.is_plausible][:altered_images]
    agreement = {}
    for name, (alter, back) in _changes().items() if chosen else ():
        again = [back(find_lungs(alter(pixels[index, 0])).mask) for index in chosen]
        agreement[name] = _mean_of(
            [overlap(lungs, fields[i].mask) for lungs, i in zip(again, chosen, strict=True)]
        )
    return LungQuality(
        plausible=count_plausible(studies, fields),
        doubts=dict(Counter(doubt for lungs in fields for doubt in lungs.doubts)),
        agreement=agreement,
        phantoms=measure_phantoms(pixels.shape[-1]),
    )


def count_plausible(
    studies: Sequence[Study], fields: Sequence[LungField]
) -> dict[str, MetricInterval]:
    """Share of the images of each source in which lungs were found."""
    found = np.array([lungs.is_plausible for lungs in fields], bool)
    shares = {}
    for source in sorted({study.source for study in studies}):
        inside = is_source(studies, source)
        shares[source] = wilson(int((found & inside).sum()), int(inside.sum()))
    return shares


def measure_phantoms(side_px: int) -> MetricInterval:
    """Overlap with the lungs of drawn chests of every finding."""
    spec = PreprocessSpec(side_px=side_px)
    overlaps = []
    for finding in FINDINGS:
        for seed in range(PHANTOMS_PER_FINDING):
            radiograph = read_radiograph(encode_png16(draw_chest(seed, finding)))
            drawn = draw_lungs(seed)[crop_box(radiograph, spec)].astype(np.uint8)
            size = (side_px, side_px)
            truth = cv2.resize(drawn, size, interpolation=cv2.INTER_NEAREST) > 0
            found = find_lungs(preprocess(radiograph, spec)[0])
            overlaps.append(overlap(found.mask, truth))
    return _mean_of(overlaps)


def overlap(one: LungMask, other: LungMask) -> float:
    """Dice coefficient: 1 where both are the same, 0 where they share nothing."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def turn(picture: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """About the middle; the edge is repeated."""
    side = picture.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1.0)
    turned = cv2.warpAffine(picture, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.float32)


def _changes() -> dict[str, tuple[Change, Callable[[LungMask], LungMask]]]:
    """What is done to a picture, and how its lungs are laid back on the original."""

    def turn_back(lungs: LungMask) -> LungMask:
        return turn(lungs.astype(np.float32), -TURN_DEGREES) > 0.5

    def brighten(gamma: float) -> Change:
        return lambda picture: np.asarray(picture**gamma, np.float32)

    changes: dict[str, tuple[Change, Callable[[LungMask], LungMask]]] = {
        "mirrored": (lambda p: np.ascontiguousarray(p[:, ::-1]), lambda m: m[:, ::-1]),
        f"turned by {TURN_DEGREES:g} degrees": (lambda p: turn(p, TURN_DEGREES), turn_back),
    }
    return changes | {f"gamma {gamma}": (brighten(gamma), lambda m: m) for gamma in GAMMAS}


def _mean_of(values: Sequence[float]) -> MetricInterval:
    numbers = np.array(values)
    draws = patient_draws([str(index) for index in range(len(numbers))], DRAWS, SEED)
    return bootstrap(lambda draw: float(numbers[draw].mean()), len(numbers), draws)
