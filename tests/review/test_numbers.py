"""What the pages say equals what anyone can count in the chained rows, without our code."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix, roc_auc_score

from tests.support.simulated import open_pages, read_log

FINDINGS = ("pneumonia", "tuberculosis")


@pytest.fixture(scope="module")
def counted(simulated_log: Path) -> list[dict[str, Any]]:
    """The first evaluation of each study, its report and its candidate, joined by hand."""
    url = f"sqlite:///{simulated_log}/shadow.db"
    reports = {
        study: json.loads(str(body))["outcomes"]
        for study, body in read_log(
            url, "SELECT study_instance, body FROM evidence_log WHERE kind='report'"
        )
    }
    candidates = {
        entry: json.loads(str(body))
        for entry, body in read_log(
            url, "SELECT entry, body FROM evidence_log WHERE kind='candidate'"
        )
    }
    seen: dict[str, dict[str, Any]] = {}
    for entry, study, received, scanner, scores, flags in read_log(
        url,
        "SELECT id, study_instance, received_at, scanner_alias, probabilities, flags "
        "FROM shadow_log WHERE outcome='evaluated' ORDER BY sequence",
    ):
        seen.setdefault(
            str(study),
            {
                "received": datetime.fromisoformat(str(received)),
                "scanner": scanner,
                "scores": json.loads(str(scores)),
                "flags": {flag["finding"] for flag in json.loads(str(flags))},
                "report": reports.get(study),
                "candidate": candidates.get(entry),
            },
        )
    return list(seen.values())


async def _ask(tiny_store: Path, folder: Path, path: str) -> Any:
    async with open_pages(tiny_store, folder) as (_, client):
        response = await client.get(path)
        assert response.status_code == 200, response.text
        return response.json()


def _clear(counted: list[dict[str, Any]], finding: str) -> list[dict[str, Any]]:
    return [c for c in counted if c["report"] and c["report"][finding] in ("positive", "negative")]


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("threshold", [0.05, 0.31, 0.9])
async def test_threshold_page_counts_what_is_in_the_rows(
    tiny_store: Path,
    simulated_log: Path,
    counted: list[dict[str, Any]],
    finding: str,
    threshold: float,
) -> None:
    told = await _ask(
        tiny_store,
        simulated_log,
        f"/review/api/thresholds?finding={finding}&threshold={threshold}&days=3650",
    )

    clear = _clear(counted, finding)
    truth = [case["report"][finding] == "positive" for case in clear]
    flagged = [case["scores"][finding] >= threshold for case in clear]
    (tn, fp), (fn, tp) = confusion_matrix(truth, flagged, labels=[False, True])
    overall = told["overall"]
    assert (overall["sensitivity"]["successes"], overall["sensitivity"]["total"]) == (tp, tp + fn)
    assert (overall["specificity"]["successes"], overall["specificity"]["total"]) == (tn, tn + fp)
    assert (overall["ppv"]["successes"], overall["ppv"]["total"]) == (tp, tp + fp)
    assert (overall["npv"]["successes"], overall["npv"]["total"]) == (tn, tn + fn)
    assert told["missed_total"] == fn
    by_scanner = sum(group["sensitivity"]["total"] for group in told["by_scanner"])
    assert by_scanner == tp + fn


async def test_comparison_page_tests_what_is_in_the_rows(
    tiny_store: Path, simulated_log: Path, counted: list[dict[str, Any]]
) -> None:
    told = await _ask(tiny_store, simulated_log, "/review/api/comparison?days=3650")

    of_pneumonia = told["findings"][0]
    both = [case for case in _clear(counted, "pneumonia") if case["candidate"]]
    truth = np.array([case["report"]["pneumonia"] == "positive" for case in both])
    first = np.array([case["scores"]["pneumonia"] for case in both])
    second = np.array([case["candidate"]["probabilities"]["pneumonia"] for case in both])
    assert of_pneumonia["auc"]["first"] == pytest.approx(roc_auc_score(truth, first))
    assert of_pneumonia["auc"]["second"] == pytest.approx(roc_auc_score(truth, second))
    right = np.array([("pneumonia" in case["flags"]) == case_truth
                      for case, case_truth in zip(both, truth, strict=True)])  # fmt: skip
    other = np.array([("pneumonia" in case["candidate"]["flags"]) == case_truth
                      for case, case_truth in zip(both, truth, strict=True)])  # fmt: skip
    negatives = of_pneumonia["among_negatives"]
    discordant = (right & ~other & ~truth).sum(), (~right & other & ~truth).sum()
    assert (negatives["only_first"], negatives["only_second"]) == discordant
    expected = stats.binomtest(int(discordant[0]), int(sum(discordant)), 0.5).pvalue
    assert negatives["p_value"] == pytest.approx(expected)


async def test_go_live_page_counts_what_came_after_the_registration(
    tiny_store: Path, simulated_log: Path, counted: list[dict[str, Any]]
) -> None:
    told = await _ask(tiny_store, simulated_log, "/review/api/golive")

    criterion = told["criteria"][0]
    positives = [
        case for case in _clear(counted, "pneumonia") if case["report"]["pneumonia"] == "positive"
    ]
    caught = [case for case in positives if "pneumonia" in case["flags"]]
    assert (criterion["name"], criterion["finding"]) == ("sensitivity", "pneumonia")
    assert (criterion["successes"], criterion["total"]) == (len(caught), len(positives))
    decisions = {one["decision"] for one in told["criteria"]}
    assert told["decision"] == (
        "NO-GO" if "NO-GO" in decisions else max(decisions - {"GO"} or {"GO"})
    )


async def test_queue_page_replays_every_evaluated_arrival(
    tiny_store: Path, simulated_log: Path
) -> None:
    told = await _ask(tiny_store, simulated_log, "/review/api/queue?days=3650&readers=2")

    rows = read_log(
        f"sqlite:///{simulated_log}/shadow.db",
        "SELECT COUNT(*) FROM shadow_log WHERE outcome='evaluated'",
    )
    assert told["cases"] == rows[0][0]
    first_come, priority, capped = (result["everyone"] for result in told["results"])
    assert first_come["cases"] == priority["cases"] == capped["cases"] == told["cases"]
    assert priority["longest"] >= first_come["longest"]
    assert told["results"][1]["positive"]["mean"] < told["results"][0]["positive"]["mean"]
