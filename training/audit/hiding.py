"""Tests 4 and 5: the network with parts of the picture taken away.

Axes: N images, F findings, S side of the network's input.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.audit.results import AuditTest, Terms, Trial
from training.audit.scores import (
    column_of,
    kept_share,
    measure_area,
    measure_fall,
    measure_mean,
    questions_within,
    say_share,
)
from training.data.patients import patients_of
from training.data.studies import Study
from training.lungs.fields import LungField
from training.measures.discrimination import Question
from training.measures.statistics import Indices, Numbers

HIDDEN_FAILS, HIDDEN_WARNS = 0.8, 0.4
"""Share of the AUC above chance that may be left when the lungs are hidden."""

ONLY_WARNS = 0.5
"""Share of it that lungs alone must keep."""

FALL_FAILS, FALL_WARNS = 0.05, 0.02
CHANGE_FAILS, CHANGE_WARNS = 0.20, 0.05
"""Fall of the AUC, and mean change of the probability, when corners or marks are covered."""

SHAPE_FOLDS = 5
WHOLE, HIDDEN, ONLY = "whole picture", "lungs hidden", "lungs only"
OUTLINE = "outline of the lungs alone"

HIDING = Terms(
    "4 lungs hidden, lungs only",
    "Is it the lungs that are read, or what lies around them?",
    f"Within each source. Fail: with the lungs hidden {HIDDEN_FAILS:.0%} or more of the AUC above "
    f"0.5 is left. Warn: {HIDDEN_WARNS:.0%} or more is left, or lungs alone keep less than "
    f"{ONLY_WARNS:.0%} of it.",
)
COVERING = Terms(
    "5 corners and marks",
    "Do corners or burned-in letters move the score?",
    f"Within each source, corners and marks each covered. Fail: the AUC falls by {FALL_FAILS} or "
    f"more and the interval excludes {FALL_WARNS}, or the probability of the finding moves by "
    f"{CHANGE_FAILS} on average. Warn: the AUC falls by {FALL_WARNS}, or the probability moves by "
    f"{CHANGE_WARNS}.",
)


def judge_hiding(
    studies: Sequence[Study],
    fields: Sequence[LungField],
    seen: Mapping[str, Numbers],
    draws: Sequence[Indices],
) -> AuditTest:
    """Compare on the images whose lungs were found; all arrays have a row for each of these.

    Parameters
    ----------
    seen
        (N, F) probabilities of the `WHOLE` picture, with lungs `HIDDEN`, and of lungs `ONLY`.
    """
    trial = Trial(HIDING)
    for name, question in questions_within(studies).items():
        scores = {what: column_of(question, seen[what]) for what in (WHOLE, HIDDEN, ONLY)}
        scores[OUTLINE] = outline_scores(studies, fields, question)
        areas = {what: measure_area(question, scores[what], draws) for what in scores}
        for what, area in areas.items():
            trial.note(name, f"AUC, {what}", area, int(question.images.sum()))
        hidden = kept_share(areas[WHOLE].value, areas[HIDDEN].value)
        only = kept_share(areas[WHOLE].value, areas[ONLY].value)
        left = say_share(hidden, "{share} of the AUC above 0.5 is left with the lungs hidden")
        # Comparisons with NaN, where the whole picture tells nothing, are to warn.
        trial.object(
            f"{name}: {left}",
            fails=hidden >= HIDDEN_FAILS,
            warns=not hidden < HIDDEN_WARNS,
        )
        trial.object(
            f"{name}: {say_share(only, 'lungs alone keep {share} of the AUC above 0.5')}",
            fails=False,
            warns=not only >= ONLY_WARNS,
        )
    return trial.conclude()


def outline_scores(
    studies: Sequence[Study], fields: Sequence[LungField], question: Question
) -> Numbers:
    """What size and place of the lungs alone tell, cross-validated by patient; a control.

    Hiding leaves the outline to be guessed: an AUC with the lungs hidden that is no higher than
    this one may be the outline's.
    """
    inside = np.flatnonzero(question.images)
    patients = np.array(patients_of([studies[index] for index in inside.tolist()]))
    truth = question.positive[inside]
    folds = min(SHAPE_FOLDS, len(set(patients[truth])), len(set(patients[~truth])))
    scores = np.zeros(len(studies))
    if folds > 1:
        scores[inside] = cross_val_predict(
            make_pipeline(StandardScaler(), LogisticRegression()),
            np.stack([describe_outline(fields[index]) for index in inside.tolist()]),
            truth,
            groups=patients,
            cv=StratifiedGroupKFold(folds),
            method="decision_function",
        )
    return scores


def describe_outline(lungs: LungField) -> Numbers:
    """Area, and first and last row and column, of the lung in each half; in sides."""
    side = lungs.mask.shape[0]
    numbers: list[float] = []
    for half in (lungs.mask[:, : side // 2], lungs.mask[:, side // 2 :]):
        numbers.append(float(half.mean()))
        for axis in (0, 1):
            places = np.flatnonzero(half.any(axis=axis))
            first, last = (places[0], places[-1]) if places.size else (0, 0)
            numbers += [first / side, last / side]
    return np.array(numbers)


def judge_covering(
    studies: Sequence[Study],
    whole_nf: Numbers,
    covered: Mapping[str, Numbers],
    draws: Sequence[Indices],
) -> AuditTest:
    """Compare each way of covering with the whole picture, on the same images.

    Parameters
    ----------
    covered
        What was covered -> (N, F) probabilities.
    """
    trial = Trial(COVERING)
    for what, covered_nf in covered.items():
        for name, question in questions_within(studies).items():
            _compare_covered(trial, name, question, what, (whole_nf, covered_nf), draws)
    return trial.conclude()


def _compare_covered(
    trial: Trial,
    name: str,
    question: Question,
    what: str,
    scores: tuple[Numbers, Numbers],
    draws: Sequence[Indices],
) -> None:
    before, after = (column_of(question, scores_nf) for scores_nf in scores)
    fall = measure_fall(question, before, after, draws)
    change = measure_mean(np.where(question.images, np.abs(after - before), np.nan), draws)
    images = int(question.images.sum())
    trial.note(name, f"fall of the AUC, {what} covered", fall, images)
    trial.note(name, f"mean change of the probability, {what} covered", change, images)
    steep = fall.value >= FALL_FAILS and fall.low > FALL_WARNS
    trial.object(
        f"{name}, {what} covered: the AUC falls by {fall.value:.3f}, "
        f"the probability moves by {change.value:.3f}",
        fails=steep or change.value >= CHANGE_FAILS,
        warns=fall.value >= FALL_WARNS or change.value >= CHANGE_WARNS,
    )
