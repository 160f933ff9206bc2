"""Sections of the HTML report about the whole split: data, AUC, operating points, calibration."""

from collections.abc import Iterable, Iterator

from service.core.findings import FINDINGS
from training.measures.evidence import Evidence
from training.measures.results import Counts, Evaluation, PointRates, Stratum, Tuning
from training.measures.scope import scope_notes
from training.report.patients import patient_lines
from training.report.svg_plots import draw_precision_recall, draw_reliability_bins, draw_roc
from training.report.tables import Figure, Section, Table
from training.report.terminal import SCOPE_HEADER, scope_rows, text_of, text_of_threshold

AUC_NOTE = (
    "AUC, with 95 % intervals by resampling patients, and beside it DeLong's, which counts images "
    "as independent. The trivial baseline is a logistic regression on image size, shape, borders "
    "and grey levels: it cannot read a lung. A finding within a source is measured against the "
    "normal images of that source. Tier A: a radiologist, or the source's own protocol, confirmed "
    "the positives; tier B: labels mined from reports."
)


def data_section(evaluation: Evaluation, tuning: Tuning) -> Section:
    """Which images were trained on, tuned on and measured."""
    splits = (
        ("train", tuning.training_images),
        ("val", tuning.images),
        (evaluation.split, evaluation.images),
    )
    rows = tuple(
        (split, source, *(str(found.get(finding.value, 0)) for finding in FINDINGS))
        for split, counts in splits
        for source, found in counts.items()
    )
    note = (
        f"Every number is of the {evaluation.split} split ({total(evaluation.images)} images of "
        f"{evaluation.patients} patients) unless it says otherwise. "
        + " ".join(patient_lines(tuning, evaluation))
    )
    table = Table("Images", "", ("split", "source", *FINDINGS), rows)
    return Section("Data", note, (table,))


def total(counts: Counts) -> int:
    """Images in all sources."""
    return sum(sum(found.values()) for found in counts.values())


def discrimination_section(evaluation: Evaluation) -> Section:
    """AUC of every question, with its ROC and precision-recall curves."""
    header = (
        "question", "positive / other", "patients", "network", "DeLong", "trivial baseline",
        "gain", "average precision",
    )  # fmt: skip
    curves = evaluation.evidence.curves if evaluation.evidence else {}
    macro = evaluation.macro_auc
    rows = [("macro, one vs rest", "", str(evaluation.patients), text_of(macro.network), "",
             text_of(macro.baseline), "", "")]  # fmt: skip
    rows += [
        (
            name,
            f"{found.positives} / {found.negatives}",
            str(found.patients),
            text_of(found.network),
            text_of(found.delong),
            text_of(found.baseline),
            text_of(found.difference),
            text_of(curves[name].average_precision) if name in curves else "-",
        )
        for name, found in evaluation.discrimination.items()
    ]
    note = f"Without test-time augmentation the macro AUC is {text_of(macro.single_view)}."
    table = Table("AUC", note, header, tuple(rows))
    return Section("Discrimination", AUC_NOTE, (table,), tuple(_curve_figures(evaluation)))


def _curve_figures(evaluation: Evaluation) -> Iterator[Figure]:
    evidence = evaluation.evidence
    for name, curve in evidence.curves.items() if evidence else ():
        against = f"{curve.positives} against {curve.negatives}"
        area = text_of(evaluation.discrimination[name].network)
        yield Figure(f"ROC, {name}", f"{against}; AUC {area}", draw_roc(curve))
        precision = text_of(curve.average_precision)
        yield Figure(
            f"Precision and recall, {name}",
            f"{against}; average precision {precision}",
            draw_precision_recall(curve),
        )


def point_section(evaluation: Evaluation, tuning: Tuning) -> Section:
    """What each operating point was certified on, and what it does here."""
    note = (
        f"Thresholds were certified on the validation split, by the exact binomial with 95 % "
        f"confidence, on one image per patient. Rates and counts are of the {evaluation.split} "
        "split, with Wilson intervals; PPV is that of its mix of findings, which is no prevalence."
    )
    tables = [_certified(tuning), *_in_scope(tuning), _rates(evaluation.points)]
    if evaluation.evidence:
        tables.append(_confusions(evaluation.evidence))
    tables += [_most_likely(evaluation), _predictive(evaluation.points), _priorities(evaluation)]
    return Section("Operating points", note, tuple(tables))


def _certified(tuning: Tuning) -> Table:
    rows = tuple(
        (
            _name(rates),
            text_of_threshold(rates.point.threshold),
            str(rates.point.positives),
            "-" if rates.point.misses_allowed is None else str(rates.point.misses_allowed),
        )
        for rates in tuning.points
    )
    header = ("point", "threshold", "positive patients", "misses allowed")
    note = "Validation split. Without a certifiable threshold a finding is shadow-only."
    return Table("Certified thresholds", note, header, rows)


def _in_scope(tuning: Tuning) -> list[Table]:
    if not tuning.positives_in_scope:
        return []
    note = " ".join(scope_notes(tuning.positives_in_scope))
    rows = tuple(scope_rows(tuning))
    return [Table("Positive patients, by the ages of the intended use", note, SCOPE_HEADER, rows)]


def _rates(points: Iterable[PointRates]) -> Table:
    rows = tuple(
        (
            _name(rates),
            where,
            f"{at.positives} / {at.negatives}",
            text_of(at.sensitivity),
            text_of(at.specificity),
            text_of(at.ppv),
            text_of(at.npv),
        )
        for rates in points
        if rates.pooled is not None
        for where, at in {"pooled": rates.pooled, **rates.sources}.items()
    )
    header = (
        "point", "images", "positive / other", "sensitivity", "specificity", "PPV", "NPV",
    )  # fmt: skip
    return Table("Rates", "The finding against all else.", header, rows)


def _confusions(evidence: Evidence) -> Table:
    rows = tuple(
        (
            f"{point.finding} {point.purpose} at {point.threshold:.4f}",
            where,
            *map(str, (counts.found, counts.missed, counts.false_alarms, counts.cleared)),
        )
        for point in evidence.confusions
        for where, counts in point.groups.items()
    )
    header = ("point", "images", "found", "missed", "false alarms", "cleared")
    return Table("Confusion at the operating points", "In images.", header, rows)


def _most_likely(evaluation: Evaluation) -> Table:
    rows = tuple(
        (finding.value, *map(str, row))
        for finding, row in zip(FINDINGS, evaluation.confusion, strict=True)
    )
    note = "Truth in rows; all sources. No threshold takes part."
    return Table("Most likely finding", note, ("truth", *FINDINGS), rows)


def _predictive(points: Iterable[PointRates]) -> Table:
    rows = tuple(
        (_name(rates), f"{at.prevalence:.0%}", text_of(at.ppv), text_of(at.npv))
        for rates in points
        for at in rates.prevalence
    )
    note = "By Bayes from the pooled sensitivity and specificity above."
    title = "Predictive values at stated prevalences"
    return Table(title, note, ("point", "prevalence", "PPV", "NPV"), rows)


def _priorities(evaluation: Evaluation) -> Table:
    groups = evaluation.priorities
    names = tuple(next(iter(groups.values()))) if groups else ()
    rows = tuple((group, *map(str, found.values())) for group, found in groups.items())
    note = (
        "What the served triage makes of the scores alone, by source and truth; the detector of "
        "what is out of distribution sends further images to review."
    )
    return Table("Priority given", note, ("group", *names), rows)


def _name(rates: PointRates) -> str:
    return f"{rates.point.finding} {rates.point.purpose} {rates.point.label}"


def calibration_section(evaluation: Evaluation, tuning: Tuning) -> Section:
    """Errors overall and in each source, slope and intercept, reliability diagrams."""
    note = (
        f"One temperature, {tuning.calibration.temperature:.3f}, was fitted to the "
        f"{tuning.calibration.images} images of the validation split and took their log-loss from "
        f"{tuning.log_loss_before:.4f} to {tuning.log_loss_after:.4f}. Errors have intervals by "
        "resampling patients, the points of the diagrams Wilson's; the number beside a point "
        "counts its images. The error within a source weighs fewer images: it is biased upwards."
    )
    return Section(
        "Calibration",
        note,
        (_errors(evaluation), _lines(evaluation)),
        tuple(_reliability_figures(evaluation)),
    )


def _errors(evaluation: Evaluation) -> Table:
    pooled = (evaluation.calibration_error, evaluation.brier, evaluation.log_loss)
    rows = [("all", str(total(evaluation.images)), *map(text_of, pooled))]
    sources = evaluation.evidence.sources if evaluation.evidence else {}
    for source, found in sources.items():
        errors = (found.calibration_error, found.brier, found.log_loss)
        rows.append((source, str(found.images), *map(text_of, errors)))
    header = ("source", "images", "expected calibration error", "Brier score (0 to 2)", "log-loss")
    return Table("Calibration errors", "", header, tuple(rows))


def _lines(evaluation: Evaluation) -> Table:
    rows = tuple(
        (finding, text_of(found.line.slope, 2), text_of(found.line.intercept, 2))
        for finding, found in evaluation.calibration.items()
        if found.line is not None
    )
    note = "Slope 1 and intercept 0 are perfect; a slope below 1 is overconfident. All sources."
    return Table("Calibration line", note, ("finding", "slope", "intercept"), rows)


def _reliability_figures(evaluation: Evaluation) -> Iterator[Figure]:
    for finding, found in evaluation.calibration.items():
        drawing = draw_reliability_bins(finding, found.bins)
        yield Figure(f"Reliability, {finding}", "all sources", drawing)
    for source, reliability in (evaluation.evidence.sources if evaluation.evidence else {}).items():
        for finding in evaluation.images[source]:
            drawing = draw_reliability_bins(finding, reliability.bins[finding])
            yield Figure(f"Reliability, {finding}", f"{source} alone", drawing)


def group_section(evaluation: Evaluation) -> Section:
    """Age bands, sexes and views: over all sources, and within each."""
    note = (
        "A finding against normal images, in groups of at least 20 images whose age, sex or view "
        "is known; sensitivity and specificity at the flag threshold. A collection that does not "
        "tell them is in no row."
    )
    tables = (
        _strata("All sources", evaluation.strata),
        _strata("Within one source", evaluation.source_strata),
    )
    return Section("Age, sex and view", note, tables)


def _strata(title: str, strata: Iterable[Stratum]) -> Table:
    rows = tuple(
        (
            stratum.name,
            f"{stratum.finding} vs normal",
            f"{stratum.positives} / {stratum.negatives}",
            text_of(stratum.auc),
            text_of(stratum.rates.sensitivity if stratum.rates else None),
            text_of(stratum.rates.specificity if stratum.rates else None),
        )
        for stratum in strata
    )
    header = ("group", "question", "positive / normal", "AUC", "sensitivity", "specificity")
    return Table(title, "", header, rows)


def engine_section(evaluation: Evaluation) -> Section:
    """The engines that serve, against the reference that was measured."""
    rows = tuple(
        (name, f"{found.largest_difference:.4f}", f"{found.other_priority} of {found.images}")
        for name, found in evaluation.engines.items()
    )
    header = ("engine", "largest difference of a probability", "images with another priority")
    note = "Every number of this report is of the reference engine, with the released weights."
    return Section("Engines that serve", note, (Table("Agreement", "", header, rows),))
