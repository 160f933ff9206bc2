"""On whom a certified threshold rests: its positives within the intended use, and the others.

A pooled certificate holds for the mix that it was made on. Where most of that mix is outside the
intended use, it says nothing of those inside. Axes: N images, F findings.
"""

from collections.abc import Sequence

import numpy as np

from service.core.artifact import OperatingPoint
from service.core.findings import FINDINGS
from service.core.scope import IntendedUse
from training.data.lots import one_per_patient
from training.data.studies import Study
from training.measures.results import PositivesInScope
from training.measures.statistics import Numbers, misses_allowed, positives_needed


def count_positives_in_scope(
    point: OperatingPoint, probabilities_nf: Numbers, studies: Sequence[Study]
) -> PositivesInScope:
    """Of the very images that the point was certified on, one of each patient.

    Of the scope only the age is asked: the tags of a DICOM file outside it keep the file out of
    every split, and a picture has none. An age that nobody tells is in no scope.
    """
    chosen = one_per_patient(studies, point.finding)
    scores = probabilities_nf[chosen, FINDINGS.index(point.finding)]
    ages = np.array([_age_of(studies[index]) for index in chosen.tolist()], float)
    known = np.isfinite(ages)
    low, high = _bounds(IntendedUse())
    inside = known & (ages >= low) & (ages <= high)
    missed = int((scores[inside] < point.threshold).sum()) if point.threshold is not None else 0
    return PositivesInScope(
        finding=point.finding,
        purpose=point.purpose,
        target_sensitivity=point.target_sensitivity,
        in_scope=int(inside.sum()),
        outside=int((known & ~inside).sum()),
        age_unknown=int((~known).sum()),
        missed=missed,
        misses_allowed=misses_allowed(int(inside.sum()), point.target_sensitivity),
        needed=positives_needed(point.target_sensitivity, 0),
        is_given=point.threshold is not None,
    )


def scope_notes(counted: Sequence[PositivesInScope]) -> tuple[str, ...]:
    """A line for each threshold that is given, and is not certified for the intended use."""
    return tuple(_note(one) for one in counted if one.is_given and not one.is_certified)


def _note(one: PositivesInScope) -> str:
    of_all = one.in_scope + one.outside + one.age_unknown
    why = (
        f"{one.needed} would be needed, if none were missed"
        if one.misses_allowed is None
        else f"the threshold misses {one.missed} of them, and {one.misses_allowed} may be"
    )
    return (
        f"The {one.finding} {one.purpose} threshold is not certified for the intended use "
        f"({_ages(IntendedUse())}): of the {of_all} patients that certify it {one.in_scope} are "
        f"known to be of that age, {one.outside} are not, and of {one.age_unknown} nothing tells "
        f"the age; {why}."
    )


def _ages(use: IntendedUse) -> str:
    low, high = use.min_age_years, use.max_age_years
    parts = [f"from {low:g}" if low is not None else "", f"to {high:g}" if high is not None else ""]
    return " ".join(["ages", *(part for part in parts if part)]) if any(parts) else "all ages"


def _bounds(use: IntendedUse) -> tuple[float, float]:
    low, high = use.min_age_years, use.max_age_years
    return -np.inf if low is None else low, np.inf if high is None else high


def _age_of(study: Study) -> float:
    return np.nan if study.age_years is None else study.age_years
