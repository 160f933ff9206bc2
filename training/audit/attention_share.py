"""Test 7: how much of the attention lies inside the lungs, as a number.

Axes: N images, F findings, h x w feature map, S side of the network's input.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from service.core.attention import evidence_for
from service.core.findings import Finding
from service.core.inference import Scores
from training.audit.results import AuditTest, Terms, Trial
from training.audit.scores import Seen, measure_mean
from training.data.studies import Study
from training.lungs.fields import LungField, LungMask
from training.measures.discrimination import SMALLEST_SIDE
from training.measures.operating import is_finding, is_source
from training.measures.statistics import Indices

ATTENTION = Terms(
    "7 attention inside the lungs",
    "Does the evidence for the labelled finding lie in the lungs?",
    "Abnormal images of each source. Share of the positive part of the map inside the lungs, less "
    "the lungs' share of the picture. Fail: the whole interval lies below 0. Warn: it includes 0, "
    "or the network's share is not shown to be above that of a network with weights drawn anew.",
)


def judge_attention(
    studies: Sequence[Study],
    fields: Sequence[LungField],
    seen: Seen,
    drawn_anew: Sequence[Seen],
    draws: Sequence[Indices],
) -> AuditTest:
    """Judge each source and finding on the images whose lungs were found.

    Parameters
    ----------
    drawn_anew
        By networks with other drawn weights; their shares are averaged.
    """
    trial = Trial(ATTENTION)
    shares = label_shares(studies, fields, seen)
    random = _mean_known(np.stack([label_shares(studies, fields, one) for one in drawn_anew]))
    areas = np.array([lungs.area_ratio for lungs in fields])
    for source in sorted({study.source for study in studies}):
        for finding in (Finding.PNEUMONIA, Finding.TUBERCULOSIS):
            inside = is_source(studies, source) & is_finding(studies, finding)
            if int((inside & np.isfinite(shares)).sum()) < SMALLEST_SIDE:
                continue
            kinds = {
                "share of attention inside the lungs": shares,
                "lungs' share of the picture": areas,
                "share of a network drawn anew": random,
                "gain over the picture": shares - areas,
                "gain over a network drawn anew": shares - random,
            }
            found = {
                what: measure_mean(np.where(inside, values, np.nan), draws)
                for what, values in kinds.items()
            }
            for what, value in found.items():
                trial.note(f"{source}: {finding}", what, value, int(inside.sum()))
            gain, control = found["gain over the picture"], found["gain over a network drawn anew"]
            trial.object(
                f"{source}: {finding}: {gain.value:+.2f} over the lungs' share of the picture, "
                f"{control.value:+.2f} over a network drawn anew",
                fails=gain.high < 0,
                warns=gain.low <= 0 or control.low <= 0,
            )
    return trial.conclude()


def label_shares(
    studies: Sequence[Study], fields: Sequence[LungField], seen: Seen
) -> NDArray[np.float64]:
    """(N,) share inside the lungs of the evidence for each image's own label; NaN for normal."""
    return np.array(
        [
            share_inside(evidence_of(seen, index, study.finding), lungs.mask)
            if study.finding is not Finding.NORMAL
            else np.nan
            for index, (study, lungs) in enumerate(zip(studies, fields, strict=True))
        ]
    )


def evidence_of(seen: Seen, index: int, finding: Finding) -> NDArray[np.float32]:
    """(h, w) of one image: what each place adds to the log-odds of a finding against normal."""
    nothing = np.zeros(0, np.float32)
    scores = Scores(seen.probabilities_nf[index], nothing, seen.attention_nfhw[index])
    return evidence_for(finding, scores)


def share_inside(evidence_hw: NDArray[np.float32], lungs: LungMask) -> float:
    """Share of the positive evidence that lies inside; NaN where there is none."""
    side = lungs.shape[0]
    positive = np.maximum(evidence_hw, 0)
    enlarged = cv2.resize(positive, (side, side), interpolation=cv2.INTER_LINEAR)
    total = float(enlarged.sum())
    return float(enlarged[lungs].sum()) / total if total > 0 else float("nan")


def rank_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Spearman's rho over the places of two maps; 0 where one is flat."""
    first, second = rankdata(one), rankdata(other)
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _mean_known(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean down each column of what is not NaN; NaN where all is."""
    known = np.isfinite(rows)
    count = known.sum(axis=0)
    total = np.where(known, rows, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
