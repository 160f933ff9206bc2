"""Act 5: attention overlays for a fixed panel, and whether maps depend on what was learned.

Axes: N images, F findings, h x w feature map, S side of the network's input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from service.core.artifact import AuditVerdict, MetricInterval
from service.core.attention import Backdrop, Colour, colour_evidence
from service.core.findings import FINDINGS, Finding
from service.core.radiograph import Pixels
from training.audit.attention_share import evidence_of, rank_correlation, share_inside
from training.audit.scores import Seen, measure_mean
from training.data.dataset import Dataset
from training.data.lots import lot_of
from training.data.patients import patients_of
from training.data.studies import Split, Study, select
from training.lungs.fields import LungField
from training.measures.statistics import patient_draws

EXPLANATION, SHEET = "explanation.json", "attention.png"
PER_GROUP = 4
PANEL_RULE = (
    "The first {count} test images of each finding of each source, val images where there is no "
    "test image, in the order of the SHA-256 of their file names."
)
CORRELATION_FAILS, CORRELATION_PASSES = 0.7, 0.4
SANITY = (
    "Mean over the panel of the absolute rank correlation (Spearman) between the map of the "
    f"trained network and that of one with every weight drawn anew. Pass: the interval lies below "
    f"{CORRELATION_PASSES}. Fail: the mean is {CORRELATION_FAILS} or more. Warn: between."
)
DRAWS, SEED = 500, 20_243
TILE_PX, COLUMNS, CAPTION_PX = 256, 8, 30
OUTLINE_COLOUR = (255, 255, 0)
SECOND = {Finding.NORMAL: Finding.PNEUMONIA}
"""Evidence is against `normal`, so a normal image shows what speaks for pneumonia."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One image of the panel; a share is None without lungs, or without evidence."""

    file: str
    source: str
    finding: str
    shown: str
    """The finding whose evidence is drawn."""
    probability: float
    share_inside_lungs: float | None
    lungs_share_of_picture: float | None
    rank_correlation: dict[str, float]
    """With the map after the head, then each stage downwards, was drawn anew."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The panel and the sanity check, bound to the weights."""

    weights_digest: str
    split_digest: str
    rule: str
    criterion: str
    verdict: AuditVerdict
    correlation: dict[str, MetricInterval]
    """Mean absolute rank correlation after each step of the cascade."""
    panel: tuple[Explained, ...]


def choose_panel(studies: Sequence[Study], per_group: int = PER_GROUP) -> tuple[Study, ...]:
    """The fixed panel, by `PANEL_RULE`."""
    panel: list[Study] = []
    for source in sorted({study.source for study in studies}):
        for finding in FINDINGS:
            group = [s for s in studies if s.source == source and s.finding is finding]
            chosen = select(group, Split.TEST) or select(group, Split.VAL)
            panel += sorted(chosen, key=lot_of)[:per_group]
    return tuple(panel)


def explain(
    dataset: Dataset,
    fields: Sequence[LungField],
    seen: Seen,
    cascade: Mapping[str, Seen],
    *,
    weights_digest: str,
    split_digest: str,
    per_group: int = PER_GROUP,
) -> Explanation:
    """Measure the panel.

    Parameters
    ----------
    cascade
        Last stage that was drawn anew -> what that network makes of the panel, the head first.
    """
    panel = tuple(
        explain_one(study, lungs, seen, cascade, index)
        for index, (study, lungs) in enumerate(zip(dataset.studies, fields, strict=True))
    )
    draws = patient_draws(patients_of(dataset.studies), DRAWS, SEED)
    correlation = {
        stage: measure_mean(np.abs([one.rank_correlation[stage] for one in panel]), draws)
        for stage in cascade
    }
    return Explanation(
        weights_digest=weights_digest,
        split_digest=split_digest,
        rule=PANEL_RULE.format(count=per_group),
        criterion=SANITY,
        verdict=judge_correlation([*correlation.values()][-1]),
        correlation=correlation,
        panel=panel,
    )


def explain_one(
    study: Study, lungs: LungField, seen: Seen, cascade: Mapping[str, Seen], index: int
) -> Explained:
    """One image: where its evidence lies, and what is left of the map as weights are drawn anew."""
    shown = shown_for(study)
    evidence = evidence_of(seen, index, shown)
    share = share_inside(evidence, lungs.mask)
    is_known = lungs.is_plausible and bool(np.isfinite(share))
    return Explained(
        file=study.file,
        source=study.source,
        finding=study.finding,
        shown=shown,
        probability=float(seen.probabilities_nf[index, FINDINGS.index(shown)]),
        share_inside_lungs=share if is_known else None,
        lungs_share_of_picture=lungs.area_ratio if lungs.is_plausible else None,
        rank_correlation={
            stage: rank_correlation(evidence, evidence_of(other, index, shown))
            for stage, other in cascade.items()
        },
    )


def shown_for(study: Study) -> Finding:
    """The finding whose evidence is drawn: the label's own, or pneumonia's for a normal image."""
    return SECOND.get(study.finding, study.finding)


def judge_correlation(correlation: MetricInterval) -> AuditVerdict:
    """A map that looks the same with any weights shows the picture, not what was learned."""
    if correlation.value >= CORRELATION_FAILS:
        return AuditVerdict.FAIL
    is_low = correlation.high < CORRELATION_PASSES
    return AuditVerdict.PASS if is_low else AuditVerdict.WARN


def draw_sheet(
    dataset: Dataset, fields: Sequence[LungField], seen: Seen, explanation: Explanation
) -> bytes:
    """Contact sheet as PNG: the picture beside its overlay, lungs outlined, numbers below."""
    cells = [
        _cell(dataset.pixels[index, 0], lungs, evidence_of(seen, index, Finding(one.shown)), one)
        for index, (lungs, one) in enumerate(zip(fields, explanation.panel, strict=True))
    ]
    per_row = COLUMNS // 2
    blank = np.zeros_like(cells[0])
    cells += [blank] * (-len(cells) % per_row)
    rows = [np.hstack(cells[start : start + per_row]) for start in range(0, len(cells), per_row)]
    _, encoded = cv2.imencode(".png", np.vstack(rows))
    return encoded.tobytes()


def _cell(
    pixels: Pixels, lungs: LungField, evidence_hw: NDArray[np.float32], one: Explained
) -> Colour:
    whole = slice(0, TILE_PX)
    grey = cv2.resize(pixels, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
    backdrop = Backdrop((grey * 255).astype(np.uint8), (whole, whole))
    plain = cv2.cvtColor(backdrop.grey, cv2.COLOR_GRAY2BGR)
    overlay = np.ascontiguousarray(colour_evidence(backdrop, evidence_hw))
    if lungs.is_plausible:
        mask = cv2.resize(
            lungs.mask.astype(np.uint8), (TILE_PX, TILE_PX), interpolation=cv2.INTER_NEAREST
        )
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(overlay, contours, -1, OUTLINE_COLOUR, 1)
    caption = np.zeros((CAPTION_PX, 2 * TILE_PX, 3), np.uint8)
    share = "-" if one.share_inside_lungs is None else f"{one.share_inside_lungs:.2f}"
    text = f"{one.source}: {one.finding}; {one.shown} {one.probability:.2f}; in lungs {share}"
    cv2.putText(caption, text, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1)
    return np.asarray(np.vstack([np.hstack([plain, overlay]), caption]), np.uint8)
