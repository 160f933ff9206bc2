"""Numbers -> report.html: one file that opens without a network."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from training.measures.results import Evaluation, Tuning
from training.report.evidence_sections import (
    bar_section,
    comparison_section,
    decision_section,
    histogram_section,
    prevalence_section,
    simulation_section,
)
from training.report.plots import COLOURS
from training.report.sections import (
    calibration_section,
    data_section,
    discrimination_section,
    engine_section,
    group_section,
    point_section,
    total,
)
from training.report.tables import Section, Table
from training.report.terminal import text_of

TEMPLATES = Path(__file__).with_name("templates")
TEMPLATE = "report.html.j2"
REPORT = "report.html"
BAD = ("not met", "not held", "fail", "failed")
"""Cells that a reader must not overlook."""


def write_html_report(
    evaluation: Evaluation,
    tuning: Tuning,
    sections: Sequence[Section] = (),
    *,
    title: str = "Evaluation",
) -> str:
    """The page as text.

    Parameters
    ----------
    sections
        Of other acts, shown after those of the evaluation.
    """
    shown = [
        *evaluation_sections(evaluation, tuning),
        *sections,
        provenance_section(evaluation, tuning),
    ]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        title=title,
        split=evaluation.split,
        cards=summary(evaluation),
        caveats=evaluation.caveats,
        sections=shown,
        colours=COLOURS,
        bad=BAD,
    )


def evaluation_sections(evaluation: Evaluation, tuning: Tuning) -> list[Section]:
    """Those whose numbers are at hand, in reading order."""
    evidence, comparison = evaluation.evidence, evaluation.comparison
    sections = [data_section(evaluation, tuning)]
    if evidence is not None:
        sections.append(bar_section(evidence))
    if comparison is not None:
        sections.append(comparison_section(comparison, evaluation.split))
    sections += [discrimination_section(evaluation), point_section(evaluation, tuning)]
    if tuning.simulations:
        sections.append(simulation_section(tuning))
    sections += [calibration_section(evaluation, tuning), group_section(evaluation)]
    if evidence is not None:
        sections += [
            decision_section(evidence),
            histogram_section(evaluation, evidence),
            prevalence_section(evidence),
        ]
    return [*sections, engine_section(evaluation)]


def summary(evaluation: Evaluation) -> tuple[tuple[str, str, str], ...]:
    """(number, what it is, on what) of what a reader looks for first."""
    images = f"{evaluation.split} split, {total(evaluation.images)} images, all sources"
    cards = [
        (text_of(evaluation.macro_auc.network), "macro AUC, one vs rest", images),
        (text_of(evaluation.calibration_error), "expected calibration error", images),
    ]
    for name, found in evaluation.discrimination.items():
        if name.endswith("vs normal"):
            source, _, question = name.rpartition(": ")
            data = f"{source}, {found.positives} against {found.negatives} images"
            cards.append((text_of(found.network), f"AUC, {question}", data))
    if evaluation.evidence is not None:
        bars = evaluation.evidence.bars
        met = f"{sum(bar.is_met for bar in bars)} of {len(bars)}"
        cards.append((met, "bars met", "each on its own images, see below"))
    return tuple(cards)


def provenance_section(evaluation: Evaluation, tuning: Tuning) -> Section:
    """What binds these numbers to weights, thresholds and data."""
    rows = (
        ("weights", evaluation.weights_digest),
        ("tuning", evaluation.tuning_digest),
        ("configuration", tuning.config_digest),
        ("split of the data", evaluation.split_digest),
        ("bootstrap", f"{evaluation.bootstrap_draws} draws of patients, seed {evaluation.seed}"),
    )
    table = Table("Digests", "", ("what", "value"), rows)
    return Section("Provenance", " ".join(tuning.notes), (table,))
