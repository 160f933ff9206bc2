"""Numbers -> tables for the terminal."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from service.core.artifact import MetricInterval
from service.core.findings import FINDINGS
from training.measures.evidence import Bar, Comparison, Simulation
from training.measures.results import Evaluation, PointRates, Tuning

SIMULATION_HEADER = (
    "point", "population", "target", "positives", "misses allowed", "certified: missed",
    "at most", "naive: missed", "mean sensitivity certified / naive", "outcome",
)  # fmt: skip


def text_of(interval: MetricInterval | None, digits: int = 3) -> str:
    """`0.912 (0.880 to 0.940)`, or a dash where there is no number."""
    if interval is None:
        return "-"
    value, low, high = (
        f"{number:.{digits}f}" for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} ({low} to {high})"


def text_of_threshold(threshold: float | None) -> str:
    """The threshold, or that none can be certified."""
    return "none certifiable" if threshold is None else f"{threshold:.4f}"


def tuning_tables(tuning: Tuning) -> list[Table]:
    """Calibration and operating points."""
    calibration = Table(title="Calibration on the validation split")
    for heading in ("images", "patients", "temperature", "log-loss before", "after"):
        calibration.add_column(heading, justify="right")
    calibration.add_row(
        str(tuning.calibration.images),
        str(tuning.patients),
        f"{tuning.calibration.temperature:.3f}",
        f"{tuning.log_loss_before:.4f}",
        f"{tuning.log_loss_after:.4f}",
    )
    tables = [calibration, point_table(tuning.points, "Operating points on the validation split")]
    if tuning.positives_in_scope:
        tables.append(scope_table(tuning))
    return [*tables, simulation_table(tuning.simulations)] if tuning.simulations else tables


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """Discrimination beside the trivial baseline, operating points, confusion, calibration."""
    title = f"Operating points on the {evaluation.split} split"
    added = []
    if evaluation.evidence is not None:
        added.append(bar_table(evaluation.evidence.bars))
    if evaluation.comparison is not None:
        added.append(comparison_table(evaluation.comparison))
    return [
        discrimination_table(evaluation),
        point_table(evaluation.points, title),
        priority_table(evaluation),
        confusion_table(evaluation),
        engine_table(evaluation),
        calibration_table(evaluation),
        *added,
    ]


def discrimination_table(evaluation: Evaluation) -> Table:
    """AUC of each question, network and baseline side by side."""
    table = Table(title=f"AUC on the {evaluation.split} split (95 % interval)")
    for heading in ("question", "positives", "negatives", "network", "trivial baseline", "gain"):
        table.add_column(heading, justify="left" if heading == "question" else "right")
    macro = evaluation.macro_auc
    table.add_row("macro, one vs rest", "", "", text_of(macro.network), text_of(macro.baseline), "")
    for name, measured in evaluation.discrimination.items():
        table.add_row(
            name,
            str(measured.positives),
            str(measured.negatives),
            text_of(measured.network),
            text_of(measured.baseline),
            text_of(measured.difference),
        )
    return table


def point_table(points: Iterable[PointRates], title: str) -> Table:
    """Each operating point, pooled and within each source."""
    table = Table(title=f"{title} (95 % interval)")
    for heading in ("operating point", "threshold", "images", "sensitivity", "specificity"):
        table.add_column(heading, justify="right" if heading == "threshold" else "left")
    for rates in points:
        point = rates.point
        name = f"{point.finding} {point.purpose} {point.label}"
        threshold = text_of_threshold(point.threshold)
        if rates.pooled is None:
            table.add_row(name, threshold, f"{point.positives} positives", "-", "-")
            continue
        for where, found in {"pooled": rates.pooled, **rates.sources}.items():
            sensitivity, specificity = text_of(found.sensitivity), text_of(found.specificity)
            table.add_row(name, threshold, where, sensitivity, specificity)
            name = threshold = ""
    return table


SCOPE_HEADER = (
    "point", "in scope", "outside", "age unknown", "missed in scope", "allowed",
    "certified in scope",
)  # fmt: skip


def scope_rows(tuning: Tuning) -> list[tuple[str, ...]]:
    """On whom each operating point rests, as texts."""
    return [
        (
            f"{one.finding} {one.purpose}",
            str(one.in_scope),
            str(one.outside),
            str(one.age_unknown),
            str(one.missed) if one.is_given else "-",
            "-" if one.misses_allowed is None else str(one.misses_allowed),
            "yes" if one.is_certified else "no",
        )
        for one in tuning.positives_in_scope
    ]


def scope_table(tuning: Tuning) -> Table:
    """The positive patients of each operating point, by the ages of the intended use."""
    table = Table(title="Positive patients of each operating point, by the intended ages")
    for heading in SCOPE_HEADER:
        table.add_column(heading)
    for row in scope_rows(tuning):
        table.add_row(*row)
    return table


def priority_table(evaluation: Evaluation) -> Table:
    """What the triage makes of each group of images."""
    table = Table(title="Priority by the scores alone, by source and truth")
    table.add_column("group")
    for heading in ("urgent", "review", "routine"):
        table.add_column(heading, justify="right")
    for group, counts in evaluation.priorities.items():
        table.add_row(group, *(str(count) for count in counts.values()))
    return table


def confusion_table(evaluation: Evaluation) -> Table:
    """Truth against the most likely finding."""
    table = Table(title="Most likely finding (columns) against the truth (rows)")
    table.add_column("")
    for finding in FINDINGS:
        table.add_column(finding, justify="right")
    for finding, row in zip(FINDINGS, evaluation.confusion, strict=True):
        table.add_row(finding, *(str(count) for count in row))
    return table


def engine_table(evaluation: Evaluation) -> Table:
    """The engines that serve, against the reference that was measured."""
    table = Table(title="Engines that serve, against the reference")
    table.add_column("engine")
    for heading in ("largest difference of a probability", "images with another priority"):
        table.add_column(heading, justify="right")
    for name, found in evaluation.engines.items():
        changed = f"{found.other_priority} of {found.images}"
        table.add_row(name, f"{found.largest_difference:.4f}", changed)
    return table


def calibration_table(evaluation: Evaluation) -> Table:
    """Overall errors, then slope and intercept of each finding."""
    table = Table(title="Calibration (95 % interval)")
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_row("expected calibration error", text_of(evaluation.calibration_error))
    table.add_row("Brier score (0 to 2)", text_of(evaluation.brier))
    table.add_row("log-loss", text_of(evaluation.log_loss))
    for finding, found in evaluation.calibration.items():
        if found.line is not None:
            table.add_row(f"{finding}: slope", text_of(found.line.slope, 2))
            table.add_row(f"{finding}: intercept", text_of(found.line.intercept, 2))
    return table


def simulation_table(simulations: Iterable[Simulation]) -> Table:
    """Share of repeated samples whose threshold misses its target, certified and naive."""
    table = Table(title="How often the true sensitivity is below the target")
    for heading in SIMULATION_HEADER:
        table.add_column(heading)
    for row in simulation_rows(simulations):
        table.add_row(*row)
    return table


def simulation_rows(simulations: Iterable[Simulation]) -> list[tuple[str, ...]]:
    """A row a simulation, as texts."""
    return [
        (
            found.name,
            found.population,
            f"{found.target_sensitivity:g}",
            str(found.positives),
            "-" if found.misses_allowed is None else str(found.misses_allowed),
            _missed_text(found),
            f"{found.allowed:.3f}",
            text_of(found.naive_missed),
            f"{_number_text(found.certified_sensitivity)} / {found.naive_sensitivity:.3f}",
            _outcome(found),
        )
        for found in simulations
    ]


def _outcome(found: Simulation) -> str:
    if found.certified_missed is None:
        return "none given"
    return "held" if found.is_held else "not held"


def _missed_text(found: Simulation) -> str:
    if found.certified_missed is None:
        return "no certifiable threshold"
    return text_of(found.certified_missed)


def _number_text(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def bar_table(bars: Iterable[Bar]) -> Table:
    """What is asked, and whether it is met."""
    table = Table(title="Bars")
    for heading in ("measure", "positive / other", "measured", "bar", "outcome"):
        table.add_column(heading)
    for bar in bars:
        bound = f"{'<=' if bar.is_ceiling else '>='} {bar.bound:g}"
        outcome = Text("met") if bar.is_met else Text("not met", style="red")
        table.add_row(bar.name, bar.data, text_of(bar.measured), bound, outcome)
    return table


def comparison_table(comparison: Comparison) -> Table:
    """AUC of both versions on the same images."""
    table = Table(title=f"AUC beside {comparison.previous}, on the same images")
    for heading in ("question", "this run", comparison.previous, "change", "p (DeLong)"):
        table.add_column(heading)
    for name, found in comparison.questions.items():
        table.add_row(
            name,
            text_of(found.current),
            text_of(found.previous),
            text_of(found.resampled),
            f"{found.delong.p_value:.3f}",
        )
    return table
