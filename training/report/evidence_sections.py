"""Sections of the HTML report about bars, guarantees, decisions, scores and an earlier release."""

from collections.abc import Iterable

from service.core.artifact import MetricInterval, OperatingPoint
from service.core.findings import FINDINGS
from training.measures.evidence import (
    Bar,
    Comparison,
    Evidence,
    McNemar,
    QuestionComparison,
    SourcePoint,
)
from training.measures.results import Evaluation, Tuning
from training.report.svg_plots import draw_decision, draw_histogram
from training.report.tables import Figure, Section, Table
from training.report.terminal import SIMULATION_HEADER, simulation_rows, text_of

DECISION_NOTE = (
    "Net benefit (Vickers and Elkin, 2006) of flagging at each probability, in true positives per "
    "image, beside flagging every image and none; bands by resampling patients. The threshold "
    "probability says how many false alarms one found patient is worth. The mix of findings is "
    "that of the images, not of a hospital: the height of a curve does not carry over, the order "
    "of the curves may."
)
COMPARISON_NOTE = (
    "Both versions scored the same {images} images of {patients} patients of the {split} split, "
    "each through its own preprocessing, views and temperature, and stands at its own thresholds. "
    "A change is this run minus {previous}. {origin} The p values are not corrected for the number "
    "of questions, and those of DeLong and McNemar count images as independent; the bootstrap "
    "draws patients."
)
SAME_SPLIT = "Both were trained and tuned on the same split of the data."
OTHER_SPLIT = (
    "The earlier version was made on another split: images measured here may have been among its "
    "training images, which would flatter it."
)


def bar_section(evidence: Evidence) -> Section:
    """Where the version stands against what is asked of it."""
    note = (
        "A bar is met when the measured value reaches it, and surely met when its whole interval "
        "does. The predecessor of this project claimed AUC 0.99, sensitivity 0.97 and accuracy "
        "0.76. A published claim was made on other images, even where the collection is the same."
    )
    tables = (_bar_table(evidence.bars), _source_point_table(evidence.source_points))
    return Section("Bars and published claims", note, tables)


def _bar_table(bars: tuple[Bar, ...]) -> Table:
    header = ("measure", "positive / other", "measured", "bar", "outcome", "asked or claimed by")
    rows = tuple(
        (
            bar.name,
            bar.data,
            text_of(bar.measured),
            f"{'<=' if bar.is_ceiling else '>='} {bar.bound:g}",
            _outcome(bar),
            bar.claim,
        )
        for bar in bars
    )
    return Table("Bars", "", header, rows)


def _source_point_table(points: tuple[SourcePoint, ...]) -> Table:
    header = (
        "source", "threshold", "at", "positive / other", "sensitivity", "specificity",
        "three-class accuracy", "asked", "outcome",
    )  # fmt: skip
    rows = tuple(
        (
            f"{point.source}: {point.finding}",
            point.choice,
            f"{point.threshold:.4f}",
            f"{point.positives} / {point.negatives}",
            text_of(point.sensitivity),
            text_of(point.specificity),
            text_of(point.accuracy),
            f"{point.required_sensitivity:g}, {point.required_specificity:g}",
            "met" if point.is_met else "not met",
        )
        for point in points
    )
    note = (
        "Within one source; asked are a sensitivity and a specificity. The three-class accuracy "
        "is of the decision that the flags make: the likeliest flagged finding, else normal. A "
        "threshold read off the very images that it is measured on describes the ROC curve and "
        "cannot be served; it is read off anew in every draw of its intervals."
    )
    return Table("At one operating point per source", note, header, rows)


def _outcome(bar: Bar) -> str:
    if bar.is_certain:
        return "surely met"
    return "met" if bar.is_met else "not met"


def simulation_section(tuning: Tuning) -> Section:
    """How often thresholds like these miss their target."""
    note = (
        "The validation positives of each point, one image per patient, were drawn again and "
        "again; a threshold was certified on each sample, and its sensitivity is known exactly in "
        "the population that the sample came from. Beside it the naive threshold, the empirical "
        "quantile of the sample. Nothing here is of the test split."
    )
    title = "How often the true sensitivity is below the target"
    rows = tuple(simulation_rows(tuning.simulations))
    return Section("Guarantee, by simulation", note, (Table(title, "", SIMULATION_HEADER, rows),))


def decision_section(evidence: Evidence) -> Section:
    """Decision curves of every question about an abnormal finding."""
    figures = tuple(
        Figure(
            name,
            f"{curve.positives} positive of {curve.images} images",
            draw_decision(curve),
        )
        for name, curve in evidence.decision_curves.items()
    )
    return Section("Decision curves", DECISION_NOTE, figures=figures)


def histogram_section(evaluation: Evaluation, evidence: Evidence) -> Section:
    """Scores by truth: all sources, then each source."""
    points = tuple(rates.point for rates in evaluation.points)
    figures = tuple(
        figure
        for histogram in evidence.histograms
        for figure in _histograms(histogram.finding, evidence, points, tuple(evaluation.images))
    )
    note = (
        "Images by the log-odds of a finding's probability, coloured by truth. The solid line is "
        "the flag threshold, the dashed one opens the refer zone."
    )
    return Section("Scores", note, figures=figures)


def _histograms(
    finding: str,
    evidence: Evidence,
    points: Iterable[OperatingPoint],
    sources: Iterable[str],
) -> list[Figure]:
    histogram = next(part for part in evidence.histograms if part.finding == finding)
    own = tuple(point for point in points if point.finding == finding)
    groups = {"all sources": tuple(histogram.counts)}
    groups |= {
        source: tuple(name for name in histogram.counts if name.startswith(f"{source}: "))
        for source in sources
    }
    return [
        Figure(
            f"Score of {finding}",
            f"{where}, {sum(sum(histogram.counts[name]) for name in names)} images",
            draw_histogram(histogram, names, own),
        )
        for where, names in groups.items()
    ]


def prevalence_section(evidence: Evidence) -> Section:
    """What could be corrected for, and is not."""
    rows = tuple(
        (
            group,
            str(found.images),
            finding.value,
            f"{found.prior[finding.value]:.3f}",
            text_of(found.estimated[finding.value]),
            f"{found.true[finding.value]:.3f}",
        )
        for group, found in evidence.prevalence.items()
        for finding in FINDINGS
    )
    note = (
        "The probabilities are calibrated to the mix of the validation split. Where another mix is "
        "met, EM (Saerens et al., 2002) can estimate it from the scores alone, without labels, and "
        "the probabilities could be corrected to it. This is offered and never applied: served "
        "probabilities and thresholds stay as they are. EM assumes that only the mix differs; "
        "within one source the images differ too, and the table shows what becomes of it."
    )
    header = ("images of", "images", "finding", "calibrated to", "EM estimate", "true share")
    return Section("Prevalence", note, (Table("Mix of findings", "", header, rows),))


def comparison_section(comparison: Comparison, split: str) -> Section:
    """Side by side with the earlier release."""
    note = COMPARISON_NOTE.format(
        images=comparison.images,
        patients=comparison.patients,
        split=split,
        previous=comparison.previous,
        origin=SAME_SPLIT if comparison.is_same_split else OTHER_SPLIT,
    )
    tables = (
        _question_table(comparison),
        _point_table(comparison),
        _reclassification_table(comparison),
        _loss_table(comparison.losses),
    )
    return Section(f"Beside {comparison.previous}", note, tables)


def _question_table(comparison: Comparison) -> Table:
    header = (
        "question", "positive / other", "this run", comparison.previous,
        "change, bootstrap", "change, DeLong", "p",
    )  # fmt: skip
    rows = tuple(_question_row(name, found) for name, found in comparison.questions.items())
    return Table("AUC", "", header, rows)


def _question_row(name: str, found: QuestionComparison) -> tuple[str, ...]:
    return (
        name,
        f"{found.positives} / {found.negatives}",
        text_of(found.current),
        text_of(found.previous),
        text_of(found.resampled),
        text_of(found.delong.difference),
        p_text(found.delong.p_value),
    )


def _point_table(comparison: Comparison) -> Table:
    header = (
        "flag", "images", "positive / other", "sensitivity, change", "found by one", "p",
        "specificity, change", "cleared by one", "p",
    )  # fmt: skip
    rows = tuple(
        (
            point.finding,
            point.group,
            f"{point.positives} / {point.negatives}",
            text_of(point.sensitivity_change),
            *_mcnemar_cells(point.sensitivity),
            text_of(point.specificity_change),
            *_mcnemar_cells(point.specificity),
        )
        for point in comparison.points
    )
    note = (
        "McNemar's exact test on the images that only one of the two decided rightly: this run / "
        "the earlier release."
    )
    return Table("At the flag thresholds", note, header, rows)


def _mcnemar_cells(test: McNemar | None) -> tuple[str, str]:
    if test is None:
        return "-", "-"
    return f"{test.only_current} / {test.only_previous}", p_text(test.p_value)


def _reclassification_table(comparison: Comparison) -> Table:
    header = ("finding", "images", "positive / other", "positives", "others")
    rows = tuple(
        (
            point.finding,
            point.group,
            f"{point.positives} / {point.negatives}",
            text_of(point.reclassified_positives),
            text_of(point.reclassified_negatives),
        )
        for point in comparison.points
    )
    note = (
        "Over the zones flag, refer and routine: the share of positives moved up less the share "
        "moved down, and of others the share moved down less the share moved up. Above 0 is better."
    )
    return Table("Net reclassification", note, header, rows)


def _loss_table(losses: dict[str, MetricInterval]) -> Table:
    rows = tuple((name, text_of(found)) for name, found in losses.items())
    return Table("Calibration and loss", "Below 0 is better.", ("measure", "change"), rows)


def p_text(p_value: float) -> str:
    """Three digits, and never 0."""
    return f"{p_value:.3f}" if p_value >= 0.0005 else "< 0.001"
