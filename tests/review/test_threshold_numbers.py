"""The Thresholds page against counts by hand, scikit-learn and statsmodels."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix
from statsmodels.stats.proportion import proportion_confint

from tests.review.conftest import Ask
from tests.support.counted import Seen
from tests.support.page_text import percent, row_of, shown_rate, tiles_of

FINDINGS = ("pneumonia", "tuberculosis")
CLEAR = ("positive", "negative")


def _label(seen: Seen, finding: str, reference: str) -> str | None:
    told = seen.verdict if reference == "verdict" and seen.verdict else seen.report
    return told[finding] if told else None


def _rates(
    studies: Iterable[Seen], finding: str, threshold: float, reference: str = "report"
) -> dict[str, tuple[int, int, float, float]]:
    """Successes, total and Wilson's interval of each rate."""
    clear = [one for one in studies if _label(one, finding, reference) in CLEAR]
    truth = [_label(one, finding, reference) == "positive" for one in clear]
    flagged = [one.scores[finding] >= threshold for one in clear]
    (tn, fp), (fn, tp) = confusion_matrix(truth, flagged, labels=[False, True]).tolist()
    counts = {
        "sensitivity": (tp, tp + fn), "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp), "npv": (tn, tn + fn),
    }  # fmt: skip
    return {
        name: (right, total, *proportion_confint(right, total, method="wilson"))
        for name, (right, total) in counts.items()
        if total
    }


def _told(group: dict[str, Any]) -> dict[str, tuple[int, int, float, float]]:
    names = ("sensitivity", "specificity", "ppv", "npv")
    return {
        name: tuple(group[name][part] for part in ("successes", "total", "low", "high"))
        for name in names
        if group[name]["total"]
    }


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("threshold", [0.05, 0.31, 0.9])
@pytest.mark.parametrize("reference", ["report", "verdict"])
async def test_every_rate_and_interval_is_that_of_the_rows(
    ask: Ask, radiographs: list[Seen], finding: str, threshold: float, reference: str
) -> None:
    query = f"finding={finding}&threshold={threshold}&days=3650&reference={reference}"
    (answer,) = await ask(f"/review/api/thresholds?{query}")
    told = answer.json()

    studies = [one for one in radiographs if one.is_first]
    groups = {"scanner": told["by_scanner"], "age_band": told["by_age_band"]}
    assert _told(told["overall"]) == _approx(_rates(studies, finding, threshold, reference))
    for column, rows in groups.items():
        names = {getattr(one, column) for one in radiographs if one.outcome == "evaluated"}
        assert [row["group"] for row in rows] == sorted(names)
        for row in rows:
            own = [one for one in studies if getattr(one, column) == row["group"]]
            assert _told(row) == _approx(_rates(own, finding, threshold, reference))


def _approx(rates: dict[str, tuple[int, int, float, float]]) -> dict[str, object]:
    return {name: pytest.approx(rate, abs=1e-12) for name, rate in rates.items()}


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("days", [9, 365, 3650])
async def test_who_is_missed_left_out_and_flagged_a_day_is_counted_in_the_rows(
    ask: Ask, radiographs: list[Seen], finding: str, days: int
) -> None:
    (answer,) = await ask(f"/review/api/thresholds?finding={finding}&threshold=0.4&days={days}")
    told = answer.json()

    evaluated = [one for one in radiographs if one.outcome == "evaluated"]
    since = max(one.received for one in evaluated) - timedelta(days=days)
    inside = [one for one in evaluated if one.received >= since]
    studies = [one for one in inside if one.is_first]
    missed = [
        one for one in studies
        if _label(one, finding, "report") == "positive" and one.scores[finding] < 0.4
    ]  # fmt: skip
    newest = sorted(missed, key=lambda one: one.received, reverse=True)[:25]
    assert told["missed_total"] == len(missed)
    assert [(row["id"], row["probability"]) for row in told["missed"]] == [
        (one.id, one.scores[finding]) for one in newest
    ]
    assert told["overall"]["unreported"] == sum(one.report is None for one in studies)
    assert told["overall"]["unclear"] == sum(
        _label(one, finding, "report") == "unclear" for one in studies
    )
    flagged = sum(one.scores[finding] >= 0.4 for one in inside)
    logged = min(float(days), _logged_days(radiographs))
    assert told["days"] == pytest.approx(logged, abs=0.01)
    assert told["overall"]["flags_per_day"] == pytest.approx(flagged / logged, rel=0.001)


def _logged_days(radiographs: list[Seen]) -> float:
    times = [one.received for one in radiographs]
    return (max(times) - min(times)) / timedelta(days=1)


async def test_the_page_shows_these_numbers(ask: Ask, radiographs: list[Seen]) -> None:
    (page,) = await ask("/review/thresholds?threshold=0.31&days=3650")

    studies = [one for one in radiographs if one.is_first]
    rates = _rates(studies, "pneumonia", 0.31)
    for name, told in tiles_of(page.text).items():
        if name.lower() in rates:
            right, total, low, high = rates[name.lower()]
            assert shown_rate(right / total, low, high) in told
            assert f"{right:,} of {total:,}" in told
    assert f"over {_logged_days(radiographs):.1f} days" in tiles_of(page.text)["Flags a day"]
    caught, positives, *_ = rates["sensitivity"]
    missed = tiles_of(page.text)["Missed"].split()
    assert missed[:4] == [f"{positives - caught:,}", "of", f"{positives:,}", "positives"]
    own = [one for one in studies if one.scanner == "er-1"]
    right, total, low, high = _rates(own, "pneumonia", 0.31)["sensitivity"]
    assert row_of(page.text, "er-1")[1] == shown_rate(right / total, low, high)


async def test_the_curves_run_through_the_shares_of_the_rows(
    ask: Ask, radiographs: list[Seen]
) -> None:
    (page,) = await ask("/review/thresholds?days=3650")
    shown = page.text.split('class="curve series-1" points="')[1].split('"')[0]

    scores = np.array([
        one.scores["pneumonia"] for one in radiographs
        if one.is_first and _label(one, "pneumonia", "report") == "positive"
    ])  # fmt: skip
    shares = [(scores >= threshold).mean() for threshold in np.linspace(0, 1, 101)]
    heights = [float(point.split(",")[1]) for point in shown.split()]
    floor, top = max(heights), min(heights)
    assert [(floor - height) / (floor - top) for height in heights] == pytest.approx(
        shares, abs=0.001
    )
    assert percent(shares[0]) == "100.0 %"
