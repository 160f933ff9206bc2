"""The prevalence that unlabelled images tell of; offered, never applied to a probability.

Axes: N images, F findings.

References
----------
Saerens, Latinne and Decaestecker, Neural Computation 2002.
"""

from collections.abc import Sequence

import numpy as np

from service.core.artifact import MetricInterval
from service.core.findings import FINDINGS
from training.data.studies import Study
from training.measures.evidence import PrevalenceEstimate
from training.measures.operating import count_images, is_finding, is_source
from training.measures.results import Counts
from training.measures.statistics import LEVEL, Indices, Mask, Numbers

DRAWS = 200
"""EM for every draw is slow, and this interval is only offered."""

TOLERANCE = 1e-6
LARGEST_STEPS = 2000


def estimate_prevalence(probabilities_nf: Numbers, prior_f: Numbers) -> Numbers:
    """(F,) the mix of findings under which these unlabelled images are most likely, by EM.

    Parameters
    ----------
    prior_f
        Mix under which the probabilities are calibrated; above 0.
    """
    likelihood_nf = probabilities_nf.astype(np.float64) / prior_f
    prevalence_f = np.asarray(prior_f, np.float64)
    for _ in range(LARGEST_STEPS):
        weighted_nf = likelihood_nf * prevalence_f
        step_f = (weighted_nf / weighted_nf.sum(axis=1, keepdims=True)).mean(axis=0)
        is_settled = bool(np.abs(step_f - prevalence_f).max() < TOLERANCE)
        prevalence_f = step_f
        if is_settled:
            break
    return prevalence_f


def mix_of(counts: Counts) -> Numbers | None:
    """(F,) share of each finding among counted images; None where one is absent."""
    images_f = np.array(
        [sum(found.get(finding.value, 0) for found in counts.values()) for finding in FINDINGS],
        np.float64,
    )
    return images_f / images_f.sum() if images_f.all() else None


def offer_prevalence(
    probabilities_nf: Numbers,
    studies: Sequence[Study],
    calibrated_on: Counts,
    draws: Sequence[Indices],
) -> dict[str, PrevalenceEstimate]:
    """What EM reads from the split without its labels: pooled, and within each source."""
    prior_f = mix_of(calibrated_on)
    if prior_f is None:
        return {}
    groups = {"pooled": np.ones(len(studies), bool)}
    groups |= {source: is_source(studies, source) for source in count_images(studies)}
    return {
        name: _estimate(probabilities_nf, studies, prior_f, inside, draws)
        for name, inside in groups.items()
    }


def _estimate(
    probabilities_nf: Numbers,
    studies: Sequence[Study],
    prior_f: Numbers,
    inside: Mask,
    draws: Sequence[Indices],
) -> PrevalenceEstimate:
    value_f = estimate_prevalence(probabilities_nf[inside], prior_f)
    replicates = [
        estimate_prevalence(probabilities_nf[kept], prior_f)
        for kept in (draw[inside[draw]] for draw in draws[:DRAWS])
        if kept.size
    ]
    levels = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low_f, high_f = np.quantile(replicates, levels, axis=0) if replicates else (value_f, value_f)
    names = [finding.value for finding in FINDINGS]
    return PrevalenceEstimate(
        images=int(inside.sum()),
        prior=dict(zip(names, prior_f.tolist(), strict=True)),
        estimated={
            name: MetricInterval(value=float(value), low=float(low), high=float(high))
            for name, value, low, high in zip(names, value_f, low_f, high_f, strict=True)
        },
        true={
            finding.value: float(is_finding(studies, finding)[inside].mean())
            for finding in FINDINGS
        },
    )
