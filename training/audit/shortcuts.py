"""Tests 1 and 6: what the frame of a picture tells alone, and who the patients are.

Axes: N images, F findings.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from training.audit.results import AuditTest, Terms, Trial
from training.audit.scores import (
    column_of,
    kept_share,
    measure_area,
    questions_within,
    say_share,
)
from training.data.studies import Study
from training.measures.discrimination import AGE_BANDS, Question
from training.measures.results import Discrimination
from training.measures.statistics import Indices, Mask, Numbers, auc, bootstrap

BASELINE_FAILS, BASELINE_WARNS = 0.9, 0.6
"""Share of the network's AUC above 0.5 that the trivial baseline may reach."""

STRATUM_LOSS = 0.10
ADJUSTED_FAILS, ADJUSTED_WARNS = 0.10, 0.03
"""Loss of AUC when only patients of the same age band, view or sex are compared."""

BASELINE = Terms(
    "1 trivial baseline",
    "Do size, shape, borders and grey levels alone come near the network?",
    f"Within each source. Fail: the baseline reaches {BASELINE_FAILS:.0%} or more of the network's "
    f"AUC above 0.5. Warn: it reaches {BASELINE_WARNS:.0%}, or the interval of the difference "
    "includes 0.",
)
STRATA = Terms(
    "6 age, view, sex",
    "Does the score hold within an age band, AP or PA, and either sex?",
    "Within each source that tells them. Adjusted AUC: pairs of the same stratum only. Fail: "
    f"adjusting takes {ADJUSTED_FAILS} or more, or the whole interval of a stratum lies more than "
    f"{STRATUM_LOSS} below the AUC of the source. Warn: adjusting takes {ADJUSTED_WARNS}, or a "
    f"stratum lies {STRATUM_LOSS} below.",
)


def judge_baseline(discrimination: Mapping[str, Discrimination]) -> AuditTest:
    """Read what `evaluate` measured: each finding against normal within each source."""
    trial = Trial(BASELINE)
    for name, measured in discrimination.items():
        if "vs normal" not in name:
            continue
        images = measured.positives + measured.negatives
        trial.note(name, "AUC, network", measured.network, images)
        trial.note(name, "AUC, trivial baseline", measured.baseline, images)
        trial.note(name, "difference", measured.difference, images)
        reached = kept_share(measured.network.value, measured.baseline.value)
        told = say_share(reached, "the baseline reaches {share} of the network's AUC above 0.5")
        trial.object(
            f"{name}: {told}",
            fails=not reached < BASELINE_FAILS,
            warns=reached >= BASELINE_WARNS or measured.difference.low <= 0,
        )
    return trial.conclude()


def judge_strata(
    studies: Sequence[Study], whole_nf: Numbers, draws: Sequence[Indices]
) -> AuditTest:
    """Measure within strata, and across them with like compared to like."""
    trial = Trial(STRATA)
    for name, question in questions_within(studies).items():
        scores = column_of(question, whole_nf)
        source = measure_area(question, scores, draws).value
        for what, tell in ATTRIBUTES.items():
            told = [tell(study) for study in studies]
            known = replace(question, images=question.images & np.array([t != "" for t in told]))
            if known.can_be_answered:
                _judge_attribute(trial, f"{name}, {what}", known, scores, told, draws)
            for value, stratum in _strata(question, told):
                area = measure_area(stratum, scores, draws)
                trial.note(f"{name}, {what} {value}", "AUC", area, int(stratum.images.sum()))
                trial.object(
                    f"{name}, {what} {value}: AUC {area.value:.2f}, in the source {source:.2f}",
                    fails=area.high < source - STRATUM_LOSS,
                    warns=area.value <= source - STRATUM_LOSS,
                )
    return trial.conclude()


def adjusted_area(scores: Numbers, positive: Mask, strata: Sequence[str]) -> float:
    """Share of right-ordered pairs among those of one stratum; NaN where no stratum has a pair."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, stratum in enumerate(strata):
        members[stratum].append(index)
    wins, pairs = 0.0, 0
    for indices in members.values():
        inside = positive[indices]
        count = int(inside.sum()) * int((~inside).sum())
        if count:
            wins += auc(scores[indices], inside) * count
            pairs += count
    return wins / pairs if pairs else float("nan")


def _judge_attribute(
    trial: Trial,
    where: str,
    question: Question,
    scores: Numbers,
    told: Sequence[str],
    draws: Sequence[Indices],
) -> None:
    """What is lost when only patients who are alike are compared."""
    values = np.array(told)

    def loss(draw: Indices) -> float:
        kept = draw[question.images[draw]]
        plain = auc(scores[kept], question.positive[kept])
        return plain - adjusted_area(scores[kept], question.positive[kept], list(values[kept]))

    lost = bootstrap(loss, len(scores), draws)
    trial.note(where, "AUC lost by adjusting", lost, int(question.images.sum()))
    trial.object(
        f"{where}: adjusting takes {lost.value:.3f} of the AUC",
        fails=lost.value >= ADJUSTED_FAILS,
        warns=lost.value >= ADJUSTED_WARNS,
    )


def _strata(question: Question, told: Sequence[str]) -> Iterator[tuple[str, Question]]:
    for value in sorted(set(told) - {""}):
        inside = question.images & np.array([other == value for other in told], bool)
        stratum = replace(question, images=inside)
        if stratum.can_be_answered:
            yield value, stratum


def _age_band(study: Study) -> str:
    if study.age_years is None:
        return ""
    bands = [f"{low}-{high - 1}" for low, high in AGE_BANDS if low <= study.age_years < high]
    return bands[0] if bands else ""


ATTRIBUTES: dict[str, Callable[[Study], str]] = {
    "age": _age_band,
    "view": lambda study: study.view,
    "sex": lambda study: study.sex,
}
