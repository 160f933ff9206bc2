"""How often each study is drawn, and what its source alone says.

Axes: N images, F findings.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.core.findings import FINDINGS
from training.config import RunConfig, Sampling
from training.data.dataset import targets_of
from training.data.studies import Study

SMALLEST_PRIOR = 1e-6
"""Of a finding that a source does not hold, when the prior is taken at full strength."""


def sampling_weights(studies: Sequence[Study]) -> NDArray[np.float64]:
    """Probability of drawing each study: groups of (source, finding) by the root of their size."""
    sizes = Counter((study.source, study.finding) for study in studies)
    weights = np.array([sizes[study.source, study.finding] ** -0.5 for study in studies])
    return np.asarray(weights / weights.sum(), np.float64)


def source_priors(studies: Sequence[Study], config: RunConfig) -> NDArray[np.float64]:
    """(N, F) probability of each finding given the source alone, among the images as drawn.

    `optimiser.source_prior` mixes it with the uniform distribution, which alone says nothing.
    """
    weights = (
        sampling_weights(studies)
        if config.data.sampling is Sampling.BALANCED
        else np.ones(len(studies))
    )
    targets = targets_of(studies)
    sources = sorted({study.source for study in studies})
    places = np.array([sources.index(study.source) for study in studies])
    drawn_sf = np.zeros((len(sources), len(FINDINGS)))
    np.add.at(drawn_sf, (places, targets), weights)
    shares_sf = drawn_sf / drawn_sf.sum(axis=1, keepdims=True)
    strength = config.optimiser.source_prior
    mixed_sf = strength * shares_sf + (1 - strength) / len(FINDINGS)
    return np.asarray(np.maximum(mixed_sf, SMALLEST_PRIOR)[places], np.float64)
