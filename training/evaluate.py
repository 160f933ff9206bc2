"""Act 3: what the tuned run is worth on images that took no part in it.

Axes: N images, F findings.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.core.artifact import MetricInterval, OperatingPoint
from service.core.findings import ABNORMAL, FINDINGS
from service.core.inference import Scores
from service.core.precision import Precision
from service.core.triage import Priority, triage
from training.data.patients import patients_of
from training.measures.bars import measure_bars
from training.measures.comparison import Contender, Shared, compare
from training.measures.curves import measure_curve, measure_histograms
from training.measures.decision_curve import measure_decision
from training.measures.discrimination import (
    Opponents,
    discriminate,
    macro_auc,
    questions,
    stratify,
    stratify_sources,
    tier_questions,
)
from training.measures.evidence import Comparison, Evidence
from training.measures.operating import count_images, count_patients, is_finding, point_rates
from training.measures.prevalence import offer_prevalence
from training.measures.results import (
    Counts,
    Discrimination,
    EngineAgreement,
    Evaluation,
    FindingCalibration,
    Tuning,
)
from training.measures.source_points import Case, measure_source_points
from training.measures.source_reliability import count_confusions, measure_reliability
from training.measures.statistics import (
    Indices,
    Numbers,
    bootstrap,
    brier,
    calibration_error,
    calibration_line,
    log_loss,
    patient_draws,
    reliability,
)
from training.scoring import SplitScores

Measure = Callable[[Numbers, NDArray[np.int64]], float]

DRAWS = 1000
SEED = 20_240
ADULT_YEARS = 18
ONE_SOURCE = (
    "All images are of one source: nothing here says what the network would be worth elsewhere, "
    "nor whether it reads what is particular to that source."
)
SEVERAL_SOURCES = (
    "The collection predicts the label: some collections hold one finding only, so every "
    "pooled number is partly a number about where an image is from. Read the rows within "
    "one source."
)
CAVEATS = (
    (
        "The trivial baseline sees size, shape, borders and grey levels only; where it comes near "
        "the network, the network has not been shown to read lungs."
    ),
    (
        "The mix of findings is that of the collections, not of a hospital; predictive values are "
        "given at stated prevalences instead."
    ),
    (
        "Intervals of AUC, log-loss, Brier score and calibration error resample patients; those of "
        "sensitivity, specificity and predictive values (Wilson) count images as independent and "
        "are too narrow where a patient has several."
    ),
    (
        "Priorities are those of scores and thresholds alone. The service also asks the "
        "out-of-distribution detector of the version, where it has one: that sends further images "
        "to review and refuses some; ood.json counts them."
    ),
)
NO_BF16 = "bf16 was not measured, as this CPU has none: a version of this run is served in fp32."
SOURCE_CAVEATS = {
    "kermany": "Kermany holds children aged 1 to 5 only: it is most of the pneumonia evidence, "
    "and none of it is about adults.",
    "nih": "The only adult pneumonia images are NIH's, with labels mined from reports and partly "
    "confirmed by a second reading; there is no external adult pneumonia set.",
    "shenzhen128": "Shenzhen was available at 128 px only: resolution may give it away.",
    "tbx11k": "TBX11K holds tuberculosis only: it adds positives and no negatives.",
}


def evaluate(
    scores: SplitScores,
    tuning: Tuning,
    baseline_nf: Numbers,
    engines: Mapping[str, SplitScores],
    *,
    split: str,
    tuning_digest: str,
    draws: int = DRAWS,
    previous: Contender | None = None,
) -> Evaluation:
    """Measure one split.

    Parameters
    ----------
    scores
        By the reference engine.
    baseline_nf
        The trivial baseline's probabilities.
    engines
        The same images scored by the engines that serve, by their names.
    previous
        An earlier release on the same images, to be compared with.
    """
    temperature = tuning.calibration.temperature
    probabilities_nf = scores.probabilities(temperature)
    studies, points = scores.studies, tuple(rates.point for rates in tuning.points)
    resampled = patient_draws(patients_of(studies), draws, SEED)
    single_view_nf = scores.single_view_probabilities(temperature)
    opponents = Opponents(studies, probabilities_nf, baseline_nf, single_view_nf, resampled)
    asked = questions(studies) | tier_questions(studies)
    discrimination = {name: discriminate(asked[name], opponents) for name in asked}
    error = _resample(calibration_error, probabilities_nf, scores, resampled)
    return Evaluation(
        weights_digest=tuning.weights_digest,
        tuning_digest=tuning_digest,
        split=split,
        split_digest=tuning.split_digest,
        config_digest=tuning.config_digest,
        images=count_images(studies),
        patients=count_patients(studies),
        bootstrap_draws=draws,
        seed=SEED,
        macro_auc=macro_auc(asked, opponents),
        discrimination=discrimination,
        points=tuple(point_rates(point, probabilities_nf, studies) for point in points),
        confusion=confusion_matrix(probabilities_nf, scores),
        priorities=count_priorities(scores, temperature, points),
        engines={
            name: compare_engine(scores, served, temperature, points)
            for name, served in engines.items()
        },
        log_loss=_resample(log_loss, probabilities_nf, scores, resampled),
        brier=_resample(brier, probabilities_nf, scores, resampled),
        calibration_error=error,
        calibration=calibrate_findings(probabilities_nf, scores),
        strata=stratify(opponents, points),
        caveats=caveats(scores, tuning, engines),
        source_strata=stratify_sources(opponents, points),
        evidence=gather_evidence(opponents, scores.targets, tuning, discrimination, error),
        comparison=compare_with(previous, opponents, scores.targets, tuning),
    )


def gather_evidence(
    opponents: Opponents,
    targets: NDArray[np.int64],
    tuning: Tuning,
    discrimination: Mapping[str, Discrimination],
    error: MetricInterval,
) -> Evidence:
    """Curves, sources, requirements and the prevalence that could be corrected for."""
    studies, probabilities_nf = opponents.studies, opponents.network_nf
    points, draws = tuple(rates.point for rates in tuning.points), opponents.draws
    asked = questions(studies) | tier_questions(studies)
    source_points = measure_source_points(Case(studies, probabilities_nf, targets, draws), points)
    return Evidence(
        curves={name: measure_curve(asked[name], opponents) for name in asked},
        histograms=measure_histograms(probabilities_nf, studies),
        decision_curves={
            name: measure_decision(question, probabilities_nf, draws)
            for name, question in asked.items()
            if question.finding in ABNORMAL
        },
        confusions=count_confusions(points, probabilities_nf, studies),
        sources=measure_reliability(probabilities_nf, targets, studies, draws),
        source_points=source_points,
        bars=measure_bars(discrimination, error, source_points),
        prevalence=offer_prevalence(probabilities_nf, studies, tuning.images, draws),
    )


def compare_with(
    previous: Contender | None,
    opponents: Opponents,
    targets: NDArray[np.int64],
    tuning: Tuning,
) -> Comparison | None:
    """Set this run beside an earlier release, each at its own thresholds."""
    if previous is None:
        return None
    current = Contender(
        name="this run",
        digest=tuning.weights_digest,
        split_digest=tuning.split_digest,
        probabilities_nf=opponents.network_nf,
        points=tuple(rates.point for rates in tuning.points),
    )
    shared = Shared(opponents.studies, targets, opponents.draws)
    asked = questions(shared.studies) | tier_questions(shared.studies)
    return compare(current, previous, shared, asked)


def confusion_matrix(probabilities_nf: Numbers, scores: SplitScores) -> tuple[tuple[int, ...], ...]:
    """Truth (rows) against the most likely finding (columns)."""
    counts = np.zeros((len(FINDINGS), len(FINDINGS)), int)
    np.add.at(counts, (scores.targets, probabilities_nf.argmax(axis=1)), 1)
    return tuple(tuple(int(count) for count in row) for row in counts)


def count_priorities(
    scores: SplitScores, temperature: float, points: Sequence[OperatingPoint]
) -> Counts:
    """What the served triage makes of each image's scores alone, by source and truth."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    decided = _prioritise(scores, temperature, points)
    for study, priority in zip(scores.studies, decided, strict=True):
        counts[f"{study.source}: {study.finding}"][priority] += 1
    return {
        group: {priority.value: counts[group][priority] for priority in Priority}
        for group in sorted(counts)
    }


def compare_engine(
    scores: SplitScores, served: SplitScores, temperature: float, points: Sequence[OperatingPoint]
) -> EngineAgreement:
    """How far an engine that serves is from the reference that was tuned and measured."""
    gap = np.abs(served.probabilities(temperature) - scores.probabilities(temperature))
    expected = _prioritise(scores, temperature, points)
    found = _prioritise(served, temperature, points)
    return EngineAgreement(
        largest_difference=float(gap.max()),
        images=len(scores.studies),
        other_priority=sum(a is not b for a, b in zip(expected, found, strict=True)),
    )


def calibrate_findings(
    probabilities_nf: Numbers, scores: SplitScores
) -> dict[str, FindingCalibration]:
    """Reliability of each finding against the rest."""
    found = {}
    for column, finding in enumerate(FINDINGS):
        positive = is_finding(scores.studies, finding)
        line = calibration_line(probabilities_nf[:, column], positive)
        found[finding.value] = FindingCalibration(
            line, reliability(probabilities_nf[:, column], positive)
        )
    return found


def caveats(scores: SplitScores, tuning: Tuning, engines: Collection[str]) -> tuple[str, ...]:
    """General ones, and those of the sources and engines at hand."""
    sources = {study.source for study in scores.studies}
    special = tuple(text for source, text in SOURCE_CAVEATS.items() if source in sources)
    ages = [study.age_years for study in scores.studies if study.age_years is not None]
    minors = sum(age < ADULT_YEARS for age in ages)
    known = f"{minors} of the {len(ages)} images whose patient's age is known are of minors."
    first = ONE_SOURCE if len(sources) == 1 else SEVERAL_SOURCES
    external = say_external(sources, {*tuning.training_images, *tuning.images})
    unmeasured = () if f"openvino {Precision.BF16}" in engines else (NO_BF16,)
    return (first, external, *CAVEATS, *special, *((known,) if minors else ()), *unmeasured)


def say_external(measured: Collection[str], known: Collection[str]) -> str:
    """Which of the measured sources nothing was learned from or tuned on."""
    new = sorted({*measured} - {*known})
    if not new:
        return "Every source was also trained or tuned on: nothing here is external validation."
    return f"External validation are the numbers of {', '.join(new)} alone, of which none was seen."


def _prioritise(
    scores: SplitScores, temperature: float, points: Sequence[OperatingPoint]
) -> list[Priority]:
    nothing = np.zeros((0, 0, 0), np.float32)
    pairs = zip(scores.probabilities(temperature), scores.view_spread(temperature), strict=True)
    return [triage(Scores(*pair, nothing), points).priority for pair in pairs]


def _resample(
    measure: Measure, probabilities_nf: Numbers, scores: SplitScores, draws: Sequence[Indices]
) -> MetricInterval:
    def statistic(draw: Indices) -> float:
        return measure(probabilities_nf[draw], scores.targets[draw])

    return bootstrap(statistic, len(scores.targets), draws)
