"""Test 2: the source of an image, told by a straight line from what the network made of it.

Features that tell the source are not yet a fault: children and adults do look different. Scores
that tell the source of images with the same label are.
Axes: N images, F findings, D features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from service.core.artifact import MetricInterval
from service.core.findings import FINDINGS
from service.core.radiograph import Pixels
from training.audit.results import AuditTest, Terms, Trial
from training.data.patients import patients_of
from training.data.studies import Study
from training.measures.discrimination import SMALLEST_SIDE
from training.measures.operating import is_finding
from training.measures.statistics import Mask, Numbers, bootstrap, patient_draws

FEATURES, SCORES, GREYS = "features", "scores", "grey levels"
FEATURES_WARN, SCORES_FAIL = 0.25, 0.75
"""Share of the way from chance to certainty."""

REGULARISATION = 0.01
"""Inverse strength: there are more features than images."""

GREY_BINS = 16
ALL_LABELS = "all labels"

PROBE = Terms(
    "2 source probe",
    "Does the network know, and do its scores tell, which collection an image is from?",
    "A linear model is fitted on one half of the patients and measured on the other; its gain is "
    "the share of the way from chance to certainty of its balanced accuracy. Fail: within a label, "
    f"the scores alone gain {SCORES_FAIL:.0%} or more. Warn: within a label, the features of the "
    f"last stage gain more than {FEATURES_WARN:.0%}. Gains over all labels, and of grey levels "
    "alone, are shown for comparison.",
)


@dataclass(frozen=True, slots=True)
class Probe:
    """How well the source is told from one kind of numbers.

    `accuracy` is the mean over the sources of the share of their images that are recognised, and
    `chance` what guessing gives; `gain` is the share of the way from there to 1.
    """

    sources: tuple[str, ...]
    accuracy: MetricInterval
    chance: float
    images: int

    @property
    def gain(self) -> float:
        """0 for guessing, 1 for certainty."""
        return (self.accuracy.value - self.chance) / (1 - self.chance)


def judge_probe(
    studies: Sequence[Study], told_by: Mapping[str, Numbers], *, draws: int, seed: int
) -> AuditTest:
    """Probe over all labels and within each.

    Parameters
    ----------
    told_by
        `FEATURES`, `SCORES` and `GREYS` -> (N, any) numbers of each image.
    """
    trial = Trial(PROBE)
    if len({study.source for study in studies}) < 2:
        return trial.skip("all images are of one source: there is no other to tell it from")
    groups = {ALL_LABELS: np.ones(len(studies), bool)}
    groups |= {f"within {finding}": is_finding(studies, finding) for finding in FINDINGS}
    for where, inside in groups.items():
        for what, numbers in told_by.items():
            probe = probe_source(studies, numbers, inside, draws=draws, seed=seed)
            if probe is None:
                continue
            place = f"{where}: {', '.join(probe.sources)} (chance {probe.chance:.2f})"
            trial.note(place, f"balanced accuracy from {what}", probe.accuracy, probe.images)
            trial.object(
                f"{where}: {what} gain {probe.gain:.0%} of the way from chance to certainty",
                fails=where != ALL_LABELS and what == SCORES and probe.gain >= SCORES_FAIL,
                warns=where != ALL_LABELS and what == FEATURES and probe.gain > FEATURES_WARN,
            )
    return trial.conclude()


def probe_source(
    studies: Sequence[Study], numbers: Numbers, inside: Mask, *, draws: int, seed: int
) -> Probe | None:
    """Fit on half of the patients of each source, measure on the others; None without two sources.

    A source with fewer than `SMALLEST_SIDE` images in either half is left out.
    """
    fitting = halve_patients(studies, seed)
    sources = tuple(
        source
        for source in sorted({study.source for study in studies})
        if _enough(studies, inside, fitting, source)
    )
    if len(sources) < 2:
        return None
    place = np.array([sources.index(s.source) if s.source in sources else -1 for s in studies])
    learned, tested = (inside & (place >= 0) & half for half in (fitting, ~fitting))
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=2000),
    )
    model.fit(numbers[learned], place[learned])
    right = model.predict(numbers[tested]) == place[tested]
    truth = place[tested]
    patients = patients_of([studies[index] for index in np.flatnonzero(tested).tolist()])
    accuracy = bootstrap(
        lambda draw: _balanced_accuracy(right[draw], truth[draw], len(sources)),
        len(truth),
        patient_draws(patients, draws, seed),
    )
    return Probe(sources, accuracy, 1 / len(sources), len(truth))


def halve_patients(studies: Sequence[Study], seed: int) -> Mask:
    """(N,) true for every other patient of each source, in a drawn order."""
    generator = np.random.default_rng(seed)
    chosen: set[str] = set()
    everyone = patients_of(studies)
    for source in sorted({study.source for study in studies}):
        here = zip(studies, everyone, strict=True)
        patients = sorted({patient for study, patient in here if study.source == source})
        chosen.update(generator.permutation(patients)[::2])
    return np.array([patient in chosen for patient in everyone], bool)


def describe_greys(pixels: Pixels) -> NDArray[np.float64]:
    """(N, bins) histogram of preprocessed pixels: what the source leaves without any network."""
    return np.stack(
        [np.histogram(one, bins=GREY_BINS, range=(0, 1))[0] / one.size for one in pixels]
    )


def _enough(studies: Sequence[Study], inside: Mask, fitting: Mask, source: str) -> bool:
    members = inside & np.array([study.source == source for study in studies], bool)
    return min(int((members & fitting).sum()), int((members & ~fitting).sum())) >= SMALLEST_SIDE


def _balanced_accuracy(right: Mask, truth: NDArray[np.int64], sources: int) -> float:
    counts = np.bincount(truth, minlength=sources)
    found = np.bincount(truth, weights=right, minlength=sources)
    drawn = counts > 0
    return float((found[drawn] / counts[drawn]).mean())
