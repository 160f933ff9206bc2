"""What is asked of a version, or was published by others, beside what was measured."""

from collections.abc import Mapping, Sequence

from service.core.artifact import MetricInterval
from service.core.findings import Finding
from training.measures.evidence import Bar, SourcePoint
from training.measures.results import Discrimination
from training.measures.source_points import PREDECESSOR, PROJECT, SERVED

AUC_BARS = (
    ("kermany: pneumonia vs normal", 0.990, PREDECESSOR),
    (
        "kermany: pneumonia vs normal",
        0.9892,
        "frozen DINO + linear on PneumoniaMNIST+ (Kermany, another split)",
    ),
    ("nih: pneumonia vs normal (tier A)", 0.75, PROJECT),
    ("shenzhen128: tuberculosis vs normal", 0.90, "TB software in the field: AUC 0.77 to 0.91"),
    ("tuberculosis vs rest", 0.98, PROJECT),
)
CALIBRATION_ERROR = 0.05
PREDECESSOR_ACCURACY = 0.76


def measure_bars(
    discrimination: Mapping[str, Discrimination],
    calibration_error: MetricInterval,
    source_points: Sequence[SourcePoint],
) -> tuple[Bar, ...]:
    """Each bar whose images are in the split; intervals are those of the measurement itself."""
    areas = tuple(
        Bar(
            f"AUC {name}",
            _sizes(discrimination[name].positives, discrimination[name].negatives),
            discrimination[name].network,
            bound,
            is_ceiling=False,
            claim=claim,
        )
        for name, bound, claim in AUC_BARS
        if name in discrimination
    )
    error = Bar(
        "expected calibration error",
        "all images",
        calibration_error,
        CALIBRATION_ERROR,
        is_ceiling=True,
        claim=PROJECT,
    )
    return (*areas, *(bar for point in source_points for bar in _point_bars(point)), error)


def _point_bars(point: SourcePoint) -> tuple[Bar, ...]:
    where = f"{point.source} {point.finding} ({point.choice})"
    data = _sizes(point.positives, point.negatives)
    # The predecessor claims a sensitivity and an accuracy, and says nothing of a specificity.
    specificity_by = PROJECT if point.asked_by == PREDECESSOR else point.asked_by
    asked = [
        ("sensitivity", point.sensitivity, point.required_sensitivity, point.asked_by),
        ("specificity", point.specificity, point.required_specificity, specificity_by),
    ]
    if point.finding == Finding.PNEUMONIA:
        asked.append(("three-class accuracy", point.accuracy, PREDECESSOR_ACCURACY, PREDECESSOR))
    # Where the threshold was read off, the sensitivity is what was asked for by construction.
    kept = asked if point.choice == SERVED else asked[1:]
    return tuple(
        Bar(f"{name}, {where}", data, measured, bound, is_ceiling=False, claim=claim)
        for name, measured, bound, claim in kept
    )


def _sizes(positives: int, negatives: int) -> str:
    return f"{positives} / {negatives}"
