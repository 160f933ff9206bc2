"""Within each source: how far the probabilities can be believed, and whom a threshold catches.

Axes: N images, F findings.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from service.core.artifact import MetricInterval, OperatingPoint
from service.core.findings import FINDINGS
from training.data.studies import Study
from training.measures.evidence import Confusion, PointConfusion, SourceReliability
from training.measures.operating import count_images, count_patients, is_finding, is_source
from training.measures.statistics import (
    Indices,
    Mask,
    Numbers,
    bootstrap,
    brier,
    calibration_error,
    log_loss,
    reliability,
)

Loss = Callable[[Numbers, NDArray[np.int64]], float]


def measure_reliability(
    probabilities_nf: Numbers,
    targets: NDArray[np.int64],
    studies: Sequence[Study],
    draws: Sequence[Indices],
) -> dict[str, SourceReliability]:
    """Errors with patients resampled, and reliability with Wilson intervals, of each source."""
    found = {}
    for source in count_images(studies):
        inside = is_source(studies, source)

        def resample(loss: Loss, members: Mask = inside) -> MetricInterval:
            def statistic(draw: Indices) -> float:
                kept = draw[members[draw]]
                return loss(probabilities_nf[kept], targets[kept]) if kept.size else float("nan")

            return bootstrap(statistic, len(members), draws)

        found[source] = SourceReliability(
            images=int(inside.sum()),
            patients=count_patients([study for study in studies if study.source == source]),
            calibration_error=resample(calibration_error),
            brier=resample(brier),
            log_loss=resample(log_loss),
            bins={
                finding.value: reliability(
                    probabilities_nf[inside, column], is_finding(studies, finding)[inside]
                )
                for column, finding in enumerate(FINDINGS)
            },
        )
    return found


def count_confusions(
    points: Sequence[OperatingPoint], probabilities_nf: Numbers, studies: Sequence[Study]
) -> tuple[PointConfusion, ...]:
    """Of each operating point that has a threshold."""
    groups = {"pooled": np.ones(len(studies), bool)}
    groups |= {source: is_source(studies, source) for source in count_images(studies)}
    return tuple(
        PointConfusion(
            finding=point.finding.value,
            purpose=point.purpose.value,
            threshold=point.threshold,
            groups={
                name: _count(
                    probabilities_nf[inside, FINDINGS.index(point.finding)] >= point.threshold,
                    is_finding(studies, point.finding)[inside],
                )
                for name, inside in groups.items()
            },
        )
        for point in points
        if point.threshold is not None
    )


def _count(flagged: Mask, positive: Mask) -> Confusion:
    return Confusion(
        found=int((flagged & positive).sum()),
        missed=int((~flagged & positive).sum()),
        false_alarms=int((flagged & ~positive).sum()),
        cleared=int((~flagged & ~positive).sum()),
    )
