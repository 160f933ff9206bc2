"""The trivial baseline: what size, shape, borders and grey levels alone tell about the label.

A network that is not clearly better than this has learned the collections, not the lungs.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from service.core.findings import FINDINGS
from service.core.radiograph import WHITE, Radiograph
from training.data.dataset import read_study
from training.data.studies import Study

HISTOGRAM_BINS = 32
DARK = WHITE // 50
"""Below this grey a row or column counts as border."""

Features = NDArray[np.float64]


def describe(radiograph: Radiograph) -> Features:
    """Size, aspect, dark border on each side, mean, spread and histogram of one radiograph."""
    grey = radiograph.grey
    height, width = grey.shape
    share, _ = np.histogram(grey, bins=HISTOGRAM_BINS, range=(0, WHITE + 1))
    borders = [
        _border(grey.max(axis=1)),
        _border(grey.max(axis=1)[::-1]),
        _border(grey.max(axis=0)),
        _border(grey.max(axis=0)[::-1]),
    ]
    tone = [grey.mean() / WHITE, grey.std() / WHITE]
    size = [np.log(height), np.log(width), np.log(width / height)]
    return np.concatenate([size, borders, tone, share / grey.size])


def describe_studies(
    folder: Path,
    studies: Sequence[Study],
    on_images: Callable[[int], None] = lambda images: None,
) -> Features:
    """(N, features) of many studies."""

    def describe_study(study: Study) -> Features:
        features = describe(read_study(folder, study))
        on_images(1)
        return features

    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(describe_study, studies)))


def fit_baseline(
    train: Features, targets: NDArray[np.int64], test: Features
) -> NDArray[np.float64]:
    """Logistic regression on the training features -> probabilities (N, F) on the test ones.

    Where all are of one finding it is certain of that, as there is nothing to regress on.
    """
    probabilities_nf = np.zeros((len(test), len(FINDINGS)))
    if len(only := np.unique(targets)) == 1:
        probabilities_nf[:, only] = 1
        return probabilities_nf
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(train, targets)
    probabilities_nf[:, model.classes_] = model.predict_proba(test)
    return probabilities_nf


def _border(peaks: NDArray[np.uint16]) -> float:
    """Share of the lines before the first that holds something bright."""
    bright = np.flatnonzero(peaks > DARK)
    return float(bright[0] / len(peaks)) if bright.size else 1.0
