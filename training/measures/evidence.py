"""Records of what an evaluation shows beyond AUC and rates; each says which images it is about.

Plain values: they are written into `evaluation.json` and `tuning.json` and read back.
"""

from dataclasses import dataclass

from service.core.artifact import MetricInterval
from training.measures.statistics import ReliabilityBin

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """ROC and precision-recall of one question; both step from corner to corner."""

    finding: str
    positives: int
    negatives: int
    roc: Points
    """(1 - specificity, sensitivity)."""
    baseline_roc: Points
    precision_recall: Points
    """(sensitivity, ppv)."""
    average_precision: MetricInterval


@dataclass(frozen=True, slots=True)
class Histogram:
    """Images by log-odds of one finding's probability; the outer bins hold what is beyond."""

    finding: str
    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]
    """`source: truth` -> images per bin."""


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Net benefit of flagging at each probability, in true positives per image.

    The images are those of a question. To treat none has a net benefit of 0.
    """

    finding: str
    images: int
    positives: int
    thresholds: tuple[float, ...]
    model: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    treat_all: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """One finding against all else at one threshold, in images."""

    found: int
    missed: int
    false_alarms: int
    cleared: int


@dataclass(frozen=True, slots=True)
class PointConfusion:
    """An operating point's counts, pooled and within each source."""

    finding: str
    purpose: str
    threshold: float
    groups: dict[str, Confusion]


@dataclass(frozen=True, slots=True)
class SourceReliability:
    """How far the probabilities can be believed within one source."""

    images: int
    patients: int
    calibration_error: MetricInterval
    brier: MetricInterval
    log_loss: MetricInterval
    bins: dict[str, tuple[ReliabilityBin, ...]]
    """Of each finding."""


@dataclass(frozen=True, slots=True)
class SourcePoint:
    """One threshold within one source, and the three-class decision that it makes there."""

    source: str
    finding: str
    choice: str
    """How the threshold was chosen, and on which images."""
    asked_by: str
    threshold: float
    positives: int
    negatives: int
    sensitivity: MetricInterval
    specificity: MetricInterval
    accuracy: MetricInterval
    required_sensitivity: float
    required_specificity: float
    is_met: bool
    """Both values reach what is required; the intervals may not."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A number that this project asks of itself, or that somebody published."""

    name: str
    data: str
    measured: MetricInterval
    bound: float
    is_ceiling: bool
    claim: str

    @property
    def is_met(self) -> bool:
        """The value is on the right side of the bound."""
        value = self.measured.value
        return value <= self.bound if self.is_ceiling else value >= self.bound

    @property
    def is_certain(self) -> bool:
        """So is the whole interval."""
        if self.is_ceiling:
            return self.measured.high <= self.bound
        return self.measured.low >= self.bound


@dataclass(frozen=True, slots=True)
class PrevalenceEstimate:
    """What EM makes of the mix of unlabelled images, beside the mix that is known."""

    images: int
    prior: dict[str, float]
    estimated: dict[str, MetricInterval]
    true: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The measurements on one split; keys name the images they are about."""

    curves: dict[str, Curve]
    histograms: tuple[Histogram, ...]
    decision_curves: dict[str, DecisionCurve]
    confusions: tuple[PointConfusion, ...]
    sources: dict[str, SourceReliability]
    source_points: tuple[SourcePoint, ...]
    bars: tuple[Bar, ...]
    prevalence: dict[str, PrevalenceEstimate]


@dataclass(frozen=True, slots=True)
class PairedAuc:
    """Difference of two AUCs on the same images, with DeLong's paired test."""

    difference: MetricInterval
    p_value: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """Images that only one of two decided rightly, and the exact test of their balance."""

    only_current: int
    only_previous: int
    p_value: float


@dataclass(frozen=True, slots=True)
class QuestionComparison:
    """Two versions on the same images of one question."""

    positives: int
    negatives: int
    current: MetricInterval
    previous: MetricInterval
    resampled: MetricInterval
    """Current minus previous, patients drawn together."""
    delong: PairedAuc


@dataclass(frozen=True, slots=True)
class PointComparison:
    """Each version at its own flag and refer thresholds, on the images of one group."""

    finding: str
    group: str
    positives: int
    negatives: int
    sensitivity: McNemar | None
    specificity: McNemar | None
    sensitivity_change: MetricInterval | None
    specificity_change: MetricInterval | None
    reclassified_positives: MetricInterval | None
    """Share moved to a more urgent zone minus share moved to a less urgent one."""
    reclassified_negatives: MetricInterval | None
    """Share moved to a less urgent zone minus share moved to a more urgent one."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run beside an earlier release, on the same images."""

    previous: str
    digest: str
    is_same_split: bool
    """False where images measured here may have been trained on there."""
    images: int
    patients: int
    questions: dict[str, QuestionComparison]
    points: tuple[PointComparison, ...]
    losses: dict[str, MetricInterval]
    """Current minus previous; below 0 is better."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """How often a threshold misses its target when the sample is drawn again and again."""

    name: str
    population: str
    target_sensitivity: float
    positives: int
    draws: int
    seed: int
    misses_allowed: int | None
    certified_missed: MetricInterval | None
    """Share of draws whose true sensitivity is below the target; None: no certifiable threshold."""
    naive_missed: MetricInterval
    certified_sensitivity: float | None
    """Mean true sensitivity."""
    naive_sensitivity: float
    allowed: float
    """Risk plus three standard errors of the simulation."""

    @property
    def is_held(self) -> bool:
        """The guarantee holds within Monte Carlo error; so does giving no threshold."""
        return self.certified_missed is None or self.certified_missed.value <= self.allowed
