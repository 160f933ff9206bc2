"""Patients of the drift benchmark: whose images make the reference, and whose the streams."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from service.core.drift_cusum import Numbers
from training.data.studies import Split, Study, select
from training.drift.reference import Chosen, Effort, draw_studies


class Half(StrEnum):
    """Which patients the streams are made of; the others make the reference."""

    TUNE = "tune"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Fresh:
    """Studies of patients whom the reference does not know."""

    held_out: tuple[Study, ...]
    trained: tuple[Study, ...]

    @property
    def studies(self) -> tuple[Study, ...]:
        """In the order of the rows of the pool."""
        return self.held_out + self.trained


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes
    ----------
    data
        Folder of the collections.
    images, shown
        Most held-out images that streams are drawn from, and most of them under every shift.
    half
        Whose patients make the streams: those to develop the detector on, or those to judge it by.
    """

    data: Path
    effort: Effort
    images: int
    shown: int
    half: Half = Half.JUDGE


def split_studies(studies: tuple[Study, ...], plan: Plan) -> tuple[Chosen, Fresh]:
    """Halve the patients twice, the held-out ones and those trained on: one pair is the reference.

    The other pair makes the streams. To judge, the pairs change places, so that the streams are of
    patients whom the development had in its reference only, if at all.
    """
    random = np.random.default_rng(plan.effort.seed)
    known, unseen = halve_patients(select(studies, Split.VAL, Split.TEST), random)
    taught, other = halve_patients(select(studies, Split.TRAIN), random)
    if plan.half is Half.JUDGE:
        known, unseen, taught, other = unseen, known, other, taught
    shown = random.permutation(len(known))[: plan.effort.signature_images]
    chosen = Chosen(
        tuple(known),
        draw_studies(taught, [True] * len(taught), plan.effort.training_per_group, random),
        tuple(known[i] for i in sorted(shown)),
    )
    shuffled = [unseen[i] for i in random.permutation(len(unseen))]
    return chosen, Fresh(tuple(shuffled[: plan.images]), tuple(other))


def halve_patients(
    studies: Sequence[Study], random: np.random.Generator
) -> tuple[list[Study], list[Study]]:
    """Every patient is in one half."""
    patients = sorted({(study.source, study.patient_id) for study in studies})
    first = {patients[i] for i in random.permutation(len(patients))[::2]}
    is_first = [(study.source, study.patient_id) in first for study in studies]
    pairs = list(zip(studies, is_first, strict=True))
    return [s for s, here in pairs if here], [s for s, here in pairs if not here]


def weigh(fresh: tuple[Study, ...], reference: tuple[Study, ...]) -> Numbers:
    """(N,) chance of each study, so that a stream has the mix of groups of the reference."""
    groups = [(study.source, study.finding) for study in fresh]
    here = Counter(groups)
    wanted = Counter((study.source, study.finding) for study in reference)
    weights = np.array([wanted[group] / here[group] for group in groups])
    return np.asarray(weights / weights.sum(), np.float64)
