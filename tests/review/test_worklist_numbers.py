"""Worklist and Disagreements against the rows, radiograph by radiograph."""

import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from tests.review.conftest import Ask
from tests.support.counted import Seen
from tests.support.page_text import row_of
from tests.support.simulated import copy_log, open_pages

RANKS = {"urgent": 0, "review": 1, "routine": 2}
FINDINGS = ("pneumonia", "tuberculosis")


def _candidate_differs(one: Seen) -> bool:
    return one.candidate is not None and frozenset(one.candidate["flags"]) != one.flags


def _fits(one: Seen, query: str) -> bool:
    """What each filter promises, told by the row alone."""
    return {
        "": True,
        "scanner=er-1": one.scanner == "er-1",
        "priority=urgent": one.priority == "urgent",
        "priority=review": one.priority in ("review", None),
        "flag=tuberculosis": "tuberculosis" in one.flags,
        "warning=VIEW_AP": "VIEW_AP" in one.warnings,
        "only=disagreement": one.disagrees(),
        "only=candidate_differs": _candidate_differs(one),
        "only=not_evaluated": one.outcome == "not_evaluated",
    }[query]


@pytest.mark.parametrize(
    "query",
    [
        "", "scanner=er-1", "priority=urgent", "priority=review", "flag=tuberculosis",
        "warning=VIEW_AP", "only=disagreement", "only=candidate_differs", "only=not_evaluated",
    ],
)  # fmt: skip
@pytest.mark.parametrize("days", [9, 3650])
async def test_totals_and_rows_are_those_of_the_log(
    ask: Ask, radiographs: list[Seen], query: str, days: int
) -> None:
    (answer,) = await ask(f"/review/api/worklist?days={days}&{query}")
    told = answer.json()

    since = max(one.received for one in radiographs) - timedelta(days=days)
    fitting = [one for one in radiographs if one.received >= since and _fits(one, query)]
    ranked = Counter(one.priority or "review" for one in fitting)
    assert told["totals"] == {name: ranked[name] for name in RANKS}
    ordered = sorted(fitting, key=lambda one: one.received, reverse=True)
    ordered.sort(key=lambda one: RANKS[one.priority or "review"])
    assert told["first"] == 1
    assert [
        (row["priority"], row["received_at"], set(row["flags"]), row["scores"], row["disagrees"])
        for row in told["rows"]
    ] == [
        (
            one.priority,
            one.received.isoformat(timespec="seconds"),
            set(one.flags),
            {finding: one.scores.get(finding) for finding in FINDINGS},
            one.disagrees(),
        )
        for one in ordered[:50]
    ]


async def test_disagreements_are_counted_as_in_the_log(ask: Ask, radiographs: list[Seen]) -> None:
    answer, page = await ask("/review/api/disagreements", "/review/disagreements")

    disputed = [one for one in radiographs if one.disagrees()]
    waiting = [one for one in disputed if one.verdict is None]
    read = [one for one in radiographs if one.verdict is not None]
    assert answer.json() == {
        "open": len(waiting), "adjudicated": len(disputed) - len(waiting), "verdicts": len(read),
    }  # fmt: skip
    assert f"<b>{len(waiting):,}</b> disagreements open" in page.text
    assert f"<b>{len(disputed) - len(waiting):,}</b> adjudicated" in page.text
    assert f"<b>{len(read):,}</b> verdicts" in page.text
    assert f"newest {min(25, len(waiting))} of {len(waiting)} disagreements" in page.text


async def test_a_verdict_on_an_agreement_is_counted_and_listed(
    tiny_store: Path, simulated_log: Path, tmp_path: Path, radiographs: list[Seen]
) -> None:
    copy_log(simulated_log, tmp_path / "log")
    newest = sorted(radiographs, key=lambda one: one.received, reverse=True)
    agreed = next(one for one in newest if _agrees_all_through(one))
    path = f"/review/disagreements/{agreed.id}"
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        before = (await client.get("/review/api/disagreements")).json()
        await client.post(path, data=agreed.report)
        after = (await client.get("/review/api/disagreements")).json()
        page = (await client.get("/review/disagreements")).text

    assert after == before | {"verdicts": before["verdicts"] + 1}
    given = page.split("<h2>Second readings given</h2>")[1]
    assert given.count(path) == len(FINDINGS)


def _agrees_all_through(one: Seen) -> bool:
    clear = {name: "positive" if name in one.flags else "negative" for name in FINDINGS}
    return one.outcome == "evaluated" and one.report == clear and one.verdict is None


async def test_the_list_to_read_holds_the_newest_disputes_and_as_many_agreements(
    ask: Ask, radiographs: list[Seen]
) -> None:
    (page,) = await ask("/review/disagreements")
    waiting = page.text.split("<h2>Second readings given</h2>")[0]
    listed = set(re.findall(r"/review/disagreements/([0-9a-f-]{36})", waiting))

    newest = sorted(radiographs, key=lambda one: one.received, reverse=True)
    disputed = [one.id for one in newest if one.disagrees() and one.verdict is None][:25]
    agreed = {
        one.id for one in radiographs
        if one.outcome == "evaluated" and one.report and not one.disagrees()
    }  # fmt: skip
    assert listed >= set(disputed)
    assert len(listed & agreed) == len(listed) - len(disputed)
    assert len(listed & agreed) == len(disputed)


async def test_nothing_about_an_id_tells_a_dispute_from_an_agreement(
    ask: Ask, radiographs: list[Seen]
) -> None:
    (page,) = await ask("/review/disagreements")
    waiting = page.text.split("<h2>Second readings given</h2>")[0]
    listed = re.findall(r"/review/disagreements/([0-9a-f-]{36})", waiting)
    is_disputed = {one.id: one.disagrees() for one in radiographs}

    agreeing_digits = {entry_id[-1] for entry_id in listed if not is_disputed[entry_id]}
    places = [place for place, entry_id in enumerate(listed) if is_disputed[entry_id]]

    assert len(agreeing_digits) > 4  # of 25: with equal chances 12.8, at least 7 in all but 1e-6
    assert places[-1] - places[0] >= len(places)  # mixed, not one kind after the other


async def test_the_page_of_one_radiograph_shows_its_row(ask: Ask, radiographs: list[Seen]) -> None:
    one = next(one for one in radiographs if one.flags and _candidate_differs(one))
    (page,) = await ask(f"/review/cases/{one.id}")

    for finding, probability in one.scores.items():
        assert row_of(page.text, finding)[1] == f"{probability:.4f}"
    assert one.candidate is not None
    for finding in FINDINGS:
        assert f"{finding} {one.candidate['probabilities'][finding]:.4f}" in page.text


async def test_the_page_says_where_its_window_ends(ask: Ask, radiographs: list[Seen]) -> None:
    page, answer = await ask("/review?days=1", "/review/api/worklist?days=1")

    newest = max(one.received for one in radiographs)
    assert answer.json()["until"] == newest.isoformat(timespec="seconds")
    assert f"until the newest radiograph, {newest:%Y-%m-%d %H:%M}" in page.text
