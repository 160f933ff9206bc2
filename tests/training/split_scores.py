"""Scores of a drawn split whose truth is known: no network, no picture."""

import numpy as np

from service.core.artifact import OperatingPoint, Purpose
from service.core.findings import FINDINGS, Finding
from training.data.studies import Split, Study
from training.evaluate import evaluate
from training.measures.comparison import Contender
from training.measures.results import Evaluation, Tuning
from training.scoring import SplitScores
from training.tune import tune

WEIGHTS_DIGEST = "sha256:" + "1" * 64
SPLIT_DIGEST = "sha256:" + "3" * 64
TUNING_DIGEST = "sha256:" + "4" * 64
DRAWS = 60

SOURCES = {
    "kermany": (Finding.NORMAL, Finding.PNEUMONIA),
    "nih": (Finding.NORMAL, Finding.PNEUMONIA),
    "shenzhen128": (Finding.NORMAL, Finding.TUBERCULOSIS),
}
"""The sources that something is asked of, with the findings that they hold."""


def make_studies(split: Split, per_group: int) -> tuple[Study, ...]:
    """Two images a patient; `nih` with two tiers, ages, sexes and views."""
    return tuple(
        Study(
            f"{split}-{source}-{finding}-{number}.png",
            finding,
            split,
            source,
            f"{source}:{split}-{finding}-{number // 2}",
            age_years=20.0 + number % 60 if source == "nih" else None,
            sex="MF"[number % 2] if source == "nih" else "",
            view=("PA", "AP")[number // 2 % 2] if source == "nih" else "",
            tier="AB"[number % 2] if source == "nih" else "A",
        )
        for source, findings in SOURCES.items()
        for finding in findings
        for number in range(per_group)
    )


def make_scores(studies: tuple[Study, ...], seed: int, shift: float = 2.0) -> SplitScores:
    """Logits that are calibrated for equal shares; a smaller shift is a worse network."""
    generator = np.random.default_rng(seed)
    targets = np.array([FINDINGS.index(study.finding) for study in studies], np.int64)
    views_vnf = generator.normal(size=(2, len(studies), len(FINDINGS)))
    views_vnf[:, np.arange(len(studies)), targets] += shift
    logits_vnf = (views_vnf * shift).astype(np.float32)
    return SplitScores(studies, targets, logits_vnf, logits_vnf.mean(axis=0, dtype=np.float32))


def make_tuning(per_group: int = 320) -> Tuning:
    """Enough positives for every threshold."""
    studies = make_studies(Split.VAL, per_group)
    return tune(
        make_scores(studies, seed=8),
        training=studies,
        weights_digest=WEIGHTS_DIGEST,
        config_digest="sha256:" + "2" * 64,
        split_digest=SPLIT_DIGEST,
    )


def make_contender(scores: SplitScores, tuning: Tuning, name: str = "cxr-tiny/0.0.1") -> Contender:
    """An earlier release with the same thresholds."""
    return Contender(
        name=name,
        digest="sha256:" + "5" * 64,
        split_digest=tuning.split_digest,
        probabilities_nf=scores.probabilities(tuning.calibration.temperature),
        points=tuple(rates.point for rates in tuning.points),
    )


def make_evaluation(tuning: Tuning, per_group: int = 40) -> Evaluation:
    """Beside a worse earlier release, whose scores are drawn anew."""
    studies = make_studies(Split.TEST, per_group)
    scores = make_scores(studies, seed=9)
    baseline_nf = make_scores(studies, seed=10, shift=0.5).probabilities(1.0)
    previous = make_contender(make_scores(studies, seed=11, shift=1.2), tuning)
    return evaluate(
        scores,
        tuning,
        baseline_nf,
        {"openvino f32": scores},
        split=Split.TEST.value,
        tuning_digest=TUNING_DIGEST,
        draws=DRAWS,
        previous=previous,
    )


def make_point(finding: Finding, purpose: Purpose, threshold: float | None) -> OperatingPoint:
    """An operating point that nothing was tuned for."""
    return OperatingPoint(
        finding=finding,
        purpose=purpose,
        target_sensitivity=0.9,
        confidence=0.95,
        positives=100,
        misses_allowed=5,
        threshold=threshold,
        weights_digest=WEIGHTS_DIGEST,
    )
