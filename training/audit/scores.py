"""Pictures -> what the network makes of them, and AUCs within a source with paired intervals.

Axes: N images, F findings, D features, h x w feature map, S side of the network's input.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.core.artifact import MetricInterval
from service.core.findings import FINDINGS
from service.core.inference import Forward, Recipe, Scalars, Scores, score_batch
from service.core.radiograph import Pixels
from training.data.studies import Study
from training.measures.discrimination import Question, questions
from training.measures.statistics import Indices, Numbers, auc, bootstrap, newcombe
from training.scoring import CHUNK_IMAGES

OnImages = Callable[[int], None]
CHANCE = 0.5
PROBABILITY_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network makes of N pictures: as served, and its features."""

    probabilities_nf: Scalars
    attention_nfhw: Scalars = field(repr=False)
    features_nd: Scalars = field(repr=False)


def look_at(
    pixels: Pixels, forward: Forward, recipe: Recipe, on_images: OnImages = lambda images: None
) -> Seen:
    """Score (N, 1, S, S) as the service would, in chunks."""
    scored: list[Scores] = []
    for start in range(0, len(pixels), CHUNK_IMAGES):
        chunk = pixels[start : start + CHUNK_IMAGES]
        scored.extend(score_batch(chunk, forward, recipe))
        on_images(len(chunk))
    return Seen(
        np.stack([one.probabilities for one in scored]),
        np.stack([one.attention for one in scored]),
        np.stack([one.features for one in scored]),
    )


def questions_within(studies: Sequence[Study]) -> dict[str, Question]:
    """Each abnormal finding against normal within each source that holds enough of both."""
    return {name: asked for name, asked in questions(studies).items() if ":" in name}


def column_of(question: Question, scores_nf: Numbers) -> Numbers:
    """(N,) of the finding that is asked for."""
    return scores_nf[:, FINDINGS.index(question.finding)]


def measure_area(question: Question, scores: Numbers, draws: Sequence[Indices]) -> MetricInterval:
    """AUC, resampled by patient; by Newcombe's method where the separation is perfect."""
    interval = bootstrap(lambda draw: _area(question, scores, draw), len(question.images), draws)
    if interval.value in (0.0, 1.0):
        positives = int((question.positive & question.images).sum())
        return newcombe(interval.value, positives, int(question.images.sum()) - positives)
    return interval


def measure_fall(
    question: Question, before: Numbers, after: Numbers, draws: Sequence[Indices]
) -> MetricInterval:
    """AUC before less AUC after, on the same images, resampled together."""

    def fall(draw: Indices) -> float:
        return _area(question, before, draw) - _area(question, after, draw)

    return bootstrap(fall, len(question.images), draws)


def measure_mean(values: Numbers, draws: Sequence[Indices]) -> MetricInterval:
    """Mean over the images, resampled by patient; NaN counts as not measured."""

    def mean(draw: Indices) -> float:
        known = values[draw][np.isfinite(values[draw])]
        return float(known.mean()) if known.size else float("nan")

    return bootstrap(mean, len(values), draws)


def kept_share(before: float, after: float) -> float:
    """How much of an AUC above chance is left: 1 all of it, 0 none."""
    return (after - CHANCE) / (before - CHANCE) if before > CHANCE else float("nan")


def say_share(share: float, words: str) -> str:
    """Words with the share in its place; below chance none is kept, and of nothing there is none.

    Parameters
    ----------
    words
        With `{share}`, to be read before "the AUC above 0.5".
    """
    if not np.isfinite(share):
        return "the AUC is not above 0.5, so no share of it can be told"
    return words.format(share=f"{max(share, 0.0):.0%}")


def log_odds(probabilities_nf: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, F - 1) of each abnormal finding against normal."""
    bounded = np.clip(probabilities_nf.astype(np.float64), PROBABILITY_FLOOR, 1)
    return np.asarray(np.log(bounded[:, 1:] / bounded[:, :1]))


def _area(question: Question, scores: Numbers, draw: Indices) -> float:
    kept = draw[question.images[draw]]
    return auc(scores[kept], question.positive[kept])
