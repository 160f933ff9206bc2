"""Act 4: is it the lungs or the source? Seven confounding tests with a verdict.

Axes: N images, F findings, S side of the network's input.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.core.radiograph import Pixels
from training.audit.attention_share import judge_attention
from training.audit.hiding import HIDDEN, ONLY, WHOLE, judge_covering, judge_hiding
from training.audit.lung_quality import ALTERED_IMAGES, measure_lungs
from training.audit.occlusion import cover_corners, cover_marks, hide_lungs, show_lungs_only
from training.audit.probe import FEATURES, GREYS, SCORES, describe_greys, judge_probe
from training.audit.results import Audit, AuditTest, overall
from training.audit.scores import Seen, log_odds
from training.audit.shortcuts import judge_baseline, judge_strata
from training.data.dataset import Dataset
from training.data.lots import few_of_each
from training.data.patients import patients_of
from training.data.studies import Split, Study, select
from training.lungs.fields import LungField
from training.measures.operating import count_images
from training.measures.results import Discrimination
from training.measures.statistics import Numbers, patient_draws

SEED = 20_242
DRAWS = 500
IMAGES_PER_GROUP = 250
"""Of each finding of a source; more would narrow only the intervals that are narrow already."""

SPLITS = (Split.VAL, Split.TEST)
RANDOM_NETWORKS = 3
CORNERS, MARKS = "corners", "marks"
NOTES = (
    "Val and test images of the network's own sources; val chose the epoch and the temperature.",
    (
        "A masked picture is unlike any that was learned from: a fall of the AUC is partly "
        "surprise, an AUC that stays is not."
    ),
    (
        "What is hidden is replaced by a smooth continuation of what surrounds it, lungs with a "
        "rim of 4 % of the side; the AUC of the outline of the lungs alone is given as a control."
    ),
    (
        "The lungs are found by a template without learning; images in which they were not "
        "plausible are left out of tests 4 and 7."
    ),
)

Look = Callable[[Pixels, str], Seen]
"""Pixels, and what to call them on a progress bar -> what the network makes of them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Digests of what is audited."""

    weights_digest: str
    config_digest: str
    split_digest: str
    tuning_digest: str


@dataclass(frozen=True, slots=True)
class Exhibits:
    """The images of an audit, and what the network makes of each version of them.

    `masked` and `drawn_anew` have a row for each image whose lungs were found (`with_lungs`),
    `covered` one for every image.
    """

    dataset: Dataset
    fields: tuple[LungField, ...]
    whole: Seen
    covered: Mapping[str, Seen]
    masked: Mapping[str, Seen]
    drawn_anew: tuple[Seen, ...]


def choose_images(studies: Sequence[Study], per_group: int = IMAGES_PER_GROUP) -> tuple[Study, ...]:
    """At most so many val and test images of each finding of each source, the same each time."""
    return few_of_each(select(studies, *SPLITS), per_group)


def gather(
    dataset: Dataset, fields: Sequence[LungField], look: Look, random_looks: Sequence[Look]
) -> Exhibits:
    """Make every version of the pictures, and let the network see them."""
    pixels, kept = dataset.pixels, with_lungs(fields)
    covered = {
        CORNERS: _alter(pixels, fields, lambda picture, _: cover_corners(picture)),
        MARKS: _alter(pixels, fields, lambda picture, lungs: cover_marks(picture, lungs.mask)),
    }
    inside = [fields[index] for index in kept]
    masked = {
        HIDDEN: _alter(pixels[kept], inside, lambda p, lungs: hide_lungs(p, lungs.mask)),
        ONLY: _alter(pixels[kept], inside, lambda p, lungs: show_lungs_only(p, lungs.mask)),
    }
    return Exhibits(
        dataset=dataset,
        fields=tuple(fields),
        whole=look(pixels, WHOLE),
        covered={name: look(altered, f"{name} covered") for name, altered in covered.items()},
        masked={name: look(altered, name) for name, altered in masked.items()},
        drawn_anew=tuple(one(pixels[kept], "weights drawn anew") for one in random_looks),
    )


def with_lungs(fields: Sequence[LungField]) -> list[int]:
    """Places of the images whose lungs were found."""
    return [index for index, lungs in enumerate(fields) if lungs.is_plausible]


def audit(
    exhibits: Exhibits,
    discrimination: Mapping[str, Discrimination],
    transfer: AuditTest,
    identity: Identity,
    draws: int = DRAWS,
    altered_images: int = ALTERED_IMAGES,
) -> Audit:
    """Run the tests and give the verdict.

    Parameters
    ----------
    discrimination
        Of the evaluation: the network beside the trivial baseline.
    transfer
        Test 3, for which networks had to be trained.
    altered_images
        See `measure_lungs`.
    """
    studies = exhibits.dataset.studies
    tests = judge(exhibits, discrimination, transfer, draws)
    return Audit(
        weights_digest=identity.weights_digest,
        config_digest=identity.config_digest,
        split_digest=identity.split_digest,
        tuning_digest=identity.tuning_digest,
        splits=tuple(split.value for split in SPLITS),
        images=count_images(studies),
        draws=draws,
        seed=SEED,
        lungs=measure_lungs(studies, exhibits.dataset.pixels, exhibits.fields, altered_images),
        tests=tests,
        verdict=overall(tests),
        notes=NOTES,
    )


def judge(
    exhibits: Exhibits,
    discrimination: Mapping[str, Discrimination],
    transfer: AuditTest,
    draws: int,
) -> tuple[AuditTest, ...]:
    """The seven tests, in the order of their numbers."""
    studies, whole = exhibits.dataset.studies, exhibits.whole
    kept = with_lungs(exhibits.fields)
    inside = [studies[index] for index in kept]
    fields = [exhibits.fields[index] for index in kept]
    everyone = patient_draws(patients_of(studies), draws, SEED)
    seen = {name: one.probabilities_nf for name, one in exhibits.masked.items()}
    seen[WHOLE] = whole.probabilities_nf[kept]
    covered = {name: one.probabilities_nf for name, one in exhibits.covered.items()}
    few = patient_draws(patients_of(inside), draws, SEED) if inside else ()
    told_by: dict[str, Numbers] = {
        FEATURES: whole.features_nd,
        SCORES: log_odds(whole.probabilities_nf),
        GREYS: describe_greys(exhibits.dataset.pixels),
    }
    return (
        judge_baseline(discrimination),
        judge_probe(studies, told_by, draws=draws, seed=SEED),
        transfer,
        judge_hiding(inside, fields, seen, few),
        judge_covering(studies, whole.probabilities_nf, covered, everyone),
        judge_strata(studies, whole.probabilities_nf, everyone),
        judge_attention(inside, fields, _rows(whole, kept), exhibits.drawn_anew, few),
    )


def _alter(
    pixels: Pixels, fields: Sequence[LungField], change: Callable[[Pixels, LungField], Pixels]
) -> Pixels:
    altered = np.empty_like(pixels)
    for index, lungs in enumerate(fields):
        altered[index, 0] = change(pixels[index, 0], lungs)
    return altered


def _rows(seen: Seen, kept: Sequence[int]) -> Seen:
    rows = list(kept)
    return Seen(seen.probabilities_nf[rows], seen.attention_nfhw[rows], seen.features_nd[rows])
