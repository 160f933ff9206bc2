"""The Candidate page against counts by hand, scipy, scikit-learn, statsmodels and a definition."""

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from tests.review.conftest import Ask
from tests.support.counted import Seen
from tests.support.page_text import fact_of, row_of, shown_rate

FINDINGS = ("pneumonia", "tuberculosis")
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Both:
    """Champion and candidate on one finding, as arrays over the studies that both evaluated."""

    def __init__(self, radiographs: list[Seen], finding: str) -> None:
        self.studies = [one for one in radiographs if one.is_first and one.candidate]
        told = [(one, one.candidate or {}) for one in self.studies]
        self.first = np.array([one.scores[finding] for one, _ in told])
        self.second = np.array([other["probabilities"][finding] for _, other in told])
        self.flag = np.array([finding in one.flags for one, _ in told])
        self.other = np.array([finding in other["flags"] for _, other in told])
        labels = [one.report[finding] if one.report else "none" for one, _ in told]
        self.positive = np.array([label == "positive" for label in labels])
        self.negative = np.array([label == "negative" for label in labels])
        self.clear = self.positive | self.negative

    def delong(self) -> tuple[float, float, float, float]:
        """Difference, interval and p of the two AUCs, by comparing each pair (DeLong 1988)."""
        truth = self.positive[self.clear]
        kernels = []
        for scores in (self.first[self.clear], self.second[self.clear]):
            above = np.subtract.outer(scores[truth], scores[~truth])
            kernels.append((above > 0) + 0.5 * (above == 0))
        covariance = (
            np.cov([kernel.mean(axis=1) for kernel in kernels]) / truth.sum()
            + np.cov([kernel.mean(axis=0) for kernel in kernels]) / (~truth).sum()
        )
        error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
        difference = float(kernels[1].mean() - kernels[0].mean())
        low, high = stats.norm.interval(0.95, difference, error)
        return difference, low, high, float(2 * stats.norm.sf(abs(difference) / error))


def _wilson(right: Bools) -> tuple[int, int, float, float]:
    return (
        int(right.sum()),
        len(right),
        *proportion_confint(right.sum(), len(right), method="wilson"),
    )


def _rate(told: dict[str, Any]) -> tuple[int, int, float, float]:
    return told["successes"], told["total"], told["low"], told["high"]


@pytest.mark.parametrize("place", range(len(FINDINGS)), ids=FINDINGS)
async def test_rates_and_paired_tests_are_those_of_the_rows(
    ask: Ask, radiographs: list[Seen], place: int
) -> None:
    (answer,) = await ask("/review/api/comparison?days=3650")
    told, both = answer.json()["findings"][place], Both(radiographs, FINDINGS[place])

    assert answer.json()["cases"] == len(both.studies)
    for side, kind, right, other in (
        ("sensitivity", both.positive, both.flag, both.other),
        ("specificity", both.negative, ~both.flag, ~both.other),
    ):
        paired = told["among_positives" if side == "sensitivity" else "among_negatives"]
        assert _rate(told[f"champion_{side}"]) == pytest.approx(_wilson(right[kind]))
        assert _rate(told[f"candidate_{side}"]) == pytest.approx(_wilson(other[kind]))
        table = [
            [int((right & other & kind).sum()), int((right & ~other & kind).sum())],
            [int((~right & other & kind).sum()), int((~right & ~other & kind).sum())],
        ]
        assert [paired["both"], paired["only_first"]] == table[0]
        assert [paired["only_second"], paired["neither"]] == table[1]
        assert paired["p_value"] == pytest.approx(mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("place", range(len(FINDINGS)), ids=FINDINGS)
async def test_areas_shift_flips_and_bars_are_those_of_the_rows(
    ask: Ask, radiographs: list[Seen], place: int
) -> None:
    (answer,) = await ask("/review/api/comparison?days=3650")
    told, both = answer.json()["findings"][place], Both(radiographs, FINDINGS[place])

    auc, truth = told["auc"], both.positive[both.clear]
    assert auc["first"] == pytest.approx(roc_auc_score(truth, both.first[both.clear]))
    assert auc["second"] == pytest.approx(roc_auc_score(truth, both.second[both.clear]))
    found = auc["difference"], auc["low"], auc["high"], auc["p_value"]
    assert found == pytest.approx(both.delong())
    shift = stats.ks_2samp(both.first, both.second)
    assert told["shift_statistic"] == pytest.approx(shift.statistic)
    assert told["shift_p_value"] == pytest.approx(shift.pvalue)
    assert told["flips"] == int((both.flag != both.other).sum())
    for name, scores in (("champion", both.first), ("candidate", both.second)):
        bars = [int(((scores * 20).astype(int).clip(0, 19) == bar).sum()) for bar in range(20)]
        assert told[f"{name}_histogram"] == bars


async def test_no_model_stands_out_by_its_type_alone(ask: Ask) -> None:
    (page,) = await ask("/review/comparison?days=3650")

    areas = re.findall(r"<dt>AUC</dt><dd>(.*?)</dd>", page.text)
    assert len(areas) == len(FINDINGS)
    assert "<b>" not in "".join(areas)


async def test_the_flips_are_the_newest_of_the_rows(ask: Ask, radiographs: list[Seen]) -> None:
    (answer,) = await ask("/review/api/comparison?days=3650")
    told = answer.json()["flips"]

    flips = [
        (one.id, finding, one.scores[finding], (one.candidate or {})["probabilities"][finding])
        for one in sorted(radiographs, key=lambda one: one.received, reverse=True)
        if one.is_first and one.candidate
        for finding in FINDINGS
        if (finding in one.flags) != (finding in one.candidate["flags"])
    ]
    found = [(row["id"], row["finding"], row["champion"], row["candidate"]) for row in told]
    assert sorted(found) == sorted(flips[: len(found)])
    assert len(found) == min(50, len(flips))


async def test_the_page_shows_these_numbers(ask: Ask, radiographs: list[Seen]) -> None:
    (page,) = await ask("/review/comparison?days=3650")

    for place, finding in enumerate(FINDINGS):
        both = Both(radiographs, finding)
        row = row_of(page.text, "Sensitivity", place)
        right, total, low, high = _wilson(both.flag[both.positive])
        assert row[0] == f"Sensitivity {total:,} positives"
        assert row[1] == shown_rate(right / total, low, high)
        difference, low, high, p_value = both.delong()
        shown = fact_of(page.text, "AUC", place).replace("\N{MINUS SIGN}", "-")
        assert f"difference {difference:+.4f} ({low:+.4f} to {high:+.4f})" in shown
        truth, sides = both.positive[both.clear], (both.first[both.clear], both.second[both.clear])
        areas = [f"{roc_auc_score(truth, scores):.4f}" for scores in sides]
        assert shown.startswith(f"champion {areas[0]}, candidate {areas[1]};")
        assert shown.endswith("< 0.001" if p_value < 0.001 else f"{p_value:.3f}")
        flips = int((both.flag != both.other).sum())
        assert fact_of(page.text, "Flips", place) == f"{flips:,} of {len(both.studies):,}"
