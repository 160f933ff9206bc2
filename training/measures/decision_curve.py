"""Decision curves: what flagging at a probability is worth, beside flagging all or none.

References
----------
Vickers and Elkin, Medical Decision Making 2006.
"""

from collections.abc import Sequence

import numpy as np

from service.core.findings import FINDINGS
from training.measures.discrimination import Question
from training.measures.evidence import DecisionCurve
from training.measures.statistics import LEVEL, Indices, Mask, Numbers

THRESHOLDS = np.arange(1, 100) / 100


def measure_decision(
    question: Question, probabilities_nf: Numbers, draws: Sequence[Indices]
) -> DecisionCurve:
    """Net benefit on the images of a question, with a band by resampling patients."""
    column = FINDINGS.index(question.finding)
    scores, positive, images = probabilities_nf[:, column], question.positive, question.images
    replicates = []
    for draw in draws:
        kept = draw[images[draw]]
        if kept.size:
            replicates.append(net_benefit(scores[kept], positive[kept], THRESHOLDS))
    model = net_benefit(scores[images], positive[images], THRESHOLDS)
    levels = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(replicates, levels, axis=0) if replicates else (model, model)
    return DecisionCurve(
        finding=question.finding.value,
        images=int(images.sum()),
        positives=int((positive & images).sum()),
        thresholds=_numbers(THRESHOLDS),
        model=_numbers(model),
        low=_numbers(low),
        high=_numbers(high),
        treat_all=_numbers(treat_all(positive[images], THRESHOLDS)),
    )


def net_benefit(scores: Numbers, positive: Mask, thresholds: Numbers) -> Numbers:
    """True positives per image, less the false ones at the odds of each threshold.

    Parameters
    ----------
    thresholds
        Probabilities in 0..1, 1 left out.
    """
    found = _at_or_above(scores[positive], thresholds)
    alarmed = _at_or_above(scores[~positive], thresholds)
    odds = thresholds / (1 - thresholds)
    return np.asarray((found - alarmed * odds) / len(scores))


def treat_all(positive: Mask, thresholds: Numbers) -> Numbers:
    """Net benefit of flagging every image."""
    share = float(positive.mean())
    return np.asarray(share - (1 - share) * thresholds / (1 - thresholds))


def _at_or_above(scores: Numbers, thresholds: Numbers) -> Numbers:
    ordered = np.sort(scores).astype(np.float64)
    return np.asarray(len(ordered) - np.searchsorted(ordered, thresholds, side="left"), np.float64)


def _numbers(values: Numbers) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
