"""The golden uploads, read and scored anew: what every engine must pass before it serves.

By itself because it brings in the readers of every format, for which an engine that is being
compiled need not wait.
"""

import numpy as np

from service.core.artifact import GOLDEN, Artifact
from service.core.errors import SelfTestFailed
from service.core.golden import read_golden
from service.core.inference import Forward, describe_first_view, recipe_of, score_batch
from service.core.intake import read_radiograph
from service.core.ood import OOD
from service.core.preprocess import preprocess
from service.core.radiograph import Pixels


def self_test(artifact: Artifact, forward: Forward) -> float:
    """Recompute the golden uploads on the engine that will serve.

    Returns
    -------
    Largest absolute difference of a probability.

    Raises
    ------
    SelfTestFailed
        Pixels, probabilities or out-of-distribution distances differ by more than the manifest
        tolerates.
    """
    golden, tolerance = read_golden(artifact.files[GOLDEN]), artifact.manifest.tolerance
    recipe = recipe_of(artifact)
    radiographs = [read_radiograph(upload) for upload in golden.uploads]
    pixels = np.stack([preprocess(radiograph, recipe.preprocess) for radiograph in radiographs])
    if golden.pixels.shape != pixels.shape:
        raise SelfTestFailed(f"{GOLDEN}: pixels {pixels.shape}, expected {golden.pixels.shape}")
    _check("pixels", float(np.abs(pixels - golden.pixels).max()), tolerance.pixels)
    scored = score_batch(pixels, forward, recipe)
    probabilities = np.stack([scores.probabilities for scores in scored])
    difference = float(np.abs(probabilities - golden.probabilities).max())
    _check("probabilities", difference, tolerance.probability)
    _check_golden_distances(artifact, forward, pixels)
    return difference


def _check_golden_distances(artifact: Artifact, forward: Forward, pixels: Pixels) -> None:
    """Distances, not scores: drawn uploads are so unusual that every score is nearly 1."""
    point, recipe = artifact.manifest.out_of_distribution, recipe_of(artifact)
    if point is None or recipe.detector is None:
        return
    found = recipe.detector.distances(describe_first_view(pixels, forward, recipe))
    if found.shape != recipe.detector.golden.shape:
        raise SelfTestFailed(f"{OOD}: its golden distances are not of these uploads")
    difference = float(np.abs(found - recipe.detector.golden).max())
    _check("out-of-distribution distances", difference, point.distance_tolerance)


def _check(what: str, difference: float, tolerance: float) -> None:
    """Refuse NaN too: a comparison with it is false."""
    if not difference <= tolerance:
        raise SelfTestFailed(
            f"{GOLDEN}: {what} differ by {difference:.4g}; at most {tolerance:g} is accepted"
        )
