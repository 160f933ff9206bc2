"""Routes of the pages. The address holds all that a page shows, so each can be sent on."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse

from service.api.dependencies import OpenRuntime
from service.codes import WARNINGS
from service.core.errors import InvalidRequest
from service.core.findings import ABNORMAL, Finding
from service.core.plain_text import is_plain
from service.record import Evidence, Kind, Label, VerdictStands
from service.review import charts, endpoints
from service.review.desk import ReviewDesk
from service.review.endpoints import (
    Abnormal,
    CapMinutes,
    Days,
    EntryId,
    OpenDesk,
    Readers,
    Reference,
    Threshold,
    Utilisation,
)
from service.review.gate import AsReviewer, let_in
from service.review.rendering import render
from service.review.worklist import DISPUTES_LISTED, Filters

router = APIRouter(include_in_schema=False, dependencies=[Depends(let_in)])

SLIDER_DIGITS = 3
"""Of the step of the threshold's slider."""

NOTE_CHARACTERS = 500
UNPLAIN_NOTE = (
    "nothing was recorded: the note holds a line end, or an unseen character that changes how the "
    "text is shown; type it anew"
)
Note = Annotated[str, Form(max_length=NOTE_CHARACTERS)]


@router.get("/")
def try_it(request: Request, runtime: OpenRuntime, desk: OpenDesk) -> Response:
    """Drop one radiograph and see what comes out."""
    return render(request, runtime, "try.html", desk=desk, tried=None)


@router.get("/review")
def worklist(
    request: Request, runtime: OpenRuntime, desk: OpenDesk, filters: Annotated[Filters, Query()]
) -> Response:
    """The last day's radiographs by priority."""
    page = desk.page(filters)
    query = filters.model_dump(exclude_defaults=True)
    return render(
        request, runtime, "worklist.html", desk=desk, page=page, filters=filters,
        choices=desk.choices(), query=query, warnings=sorted(WARNINGS),
    )  # fmt: skip


@router.get("/review/cases/{entry_id}")
def case(request: Request, runtime: OpenRuntime, desk: OpenDesk, entry_id: EntryId) -> Response:
    """All that is recorded of one radiograph."""
    found = desk.case(entry_id)
    if found is None:
        raise HTTPException(404)
    row, logged, evidence = found
    return render(
        request, runtime, "case.html", desk=desk, row=row, logged=logged, evidence=evidence
    )


@router.get("/review/disagreements")
def disagreements(request: Request, runtime: OpenRuntime, desk: OpenDesk) -> Response:
    """Cases for a blinded second reading, and those that have one."""
    readings = desk.readings()
    return render(
        request, runtime, "disagreements.html", desk=desk, readings=readings,
        newest=min(readings.open, DISPUTES_LISTED),
        cases=desk.to_adjudicate(runtime.ledger.draw),
        adjudicated=desk.adjudicated(),
    )  # fmt: skip


@router.get("/review/disagreements/{entry_id}")
def adjudicate(
    request: Request, runtime: OpenRuntime, desk: OpenDesk, entry_id: EntryId
) -> Response:
    """Ask for a verdict; the model's answer and the report are shown only once it is given."""
    return _show_verdicts(request, runtime, desk, entry_id)


@router.post("/review/disagreements/{entry_id}")
async def give_verdict(
    request: Request,
    runtime: OpenRuntime,
    desk: OpenDesk,
    reviewer: AsReviewer,
    entry_id: EntryId,
    pneumonia: Annotated[Label, Form()],
    tuberculosis: Annotated[Label, Form()],
    note: Note = "",
) -> Response:
    """Chain the verdict, then show what the model said; a second one would know the answers.

    Raises
    ------
    InvalidRequest
        The note cannot be kept, or shown as it was written.
    """
    if not is_plain(note):
        raise InvalidRequest(UNPLAIN_NOTE)
    verdicts = {"pneumonia": pneumonia.value, "tuberculosis": tuberculosis.value}
    if await asyncio.to_thread(desk.case, entry_id) is None:
        raise HTTPException(404)
    try:
        await endpoints.write_verdict(runtime.record, entry_id, verdicts, note, reviewer)
    except VerdictStands:
        return await asyncio.to_thread(
            _show_verdicts, request, runtime, desk, entry_id, is_too_late=True
        )
    return RedirectResponse(f"/review/disagreements/{entry_id}", 303)


def _show_verdicts(
    request: Request,
    runtime: OpenRuntime,
    desk: ReviewDesk,
    entry_id: str,
    *,
    is_too_late: bool = False,
) -> Response:
    found = desk.case(entry_id)
    if found is None:
        raise HTTPException(404)
    row, logged, evidence = found
    page = render(
        request, runtime, "adjudicate.html", desk=desk, row=row, logged=logged,
        verdicts=_verdicts_in(evidence), is_too_late=is_too_late, labels=list(Label),
        findings=ABNORMAL,
    )  # fmt: skip
    page.status_code = 409 if is_too_late else 200
    return page


def _verdicts_in(evidence: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Second readings of a radiograph, the first before the later ones."""
    return [told for told in evidence if told["kind"] == Kind.ADJUDICATION.value]


@router.get("/review/thresholds")
def thresholds(
    request: Request,
    runtime: OpenRuntime,
    desk: OpenDesk,
    finding: Abnormal = Finding.PNEUMONIA,
    threshold: Threshold = None,
    threshold_of: Abnormal | None = None,
    days: Days = endpoints.DEFAULT_DAYS,
    reference: Reference = "report",
) -> Response:
    """Move a threshold and see what it would do; that of another finding is none of this one."""
    use_verdicts = reference == "verdict"
    in_use = endpoints.threshold_in_use(desk, runtime, finding)
    is_own = threshold_of in (None, finding)
    chosen = endpoints.choose_threshold(threshold if is_own else None, in_use)
    if in_use is not None and chosen == round(in_use, SLIDER_DIGITS):
        chosen = in_use  # a browser sends the slider's step beside it, untouched as it is
    report = desk.thresholds(finding, chosen, days=days, use_verdicts=use_verdicts)
    before = None
    if in_use is not None:
        before = desk.thresholds(finding, in_use, days=days, use_verdicts=use_verdicts)
    drawn = desk.curves(finding, days=days, use_verdicts=use_verdicts)
    lines = [
        charts.Line(name, style, drawn["threshold"], drawn[name])
        for name, style in (("sensitivity", "series-1"), ("specificity", "series-2"))
        if name in drawn
    ]
    title = f"{' and '.join(line.name for line in lines).capitalize()} for {finding}"
    chart = charts.line_chart(title, lines, x_label="threshold", marker=chosen) if lines else None
    return render(
        request, runtime, "thresholds.html", desk=desk, report=report, before=before,
        finding=finding, days=days, reference=reference, chart=chart, findings=ABNORMAL,
    )  # fmt: skip


@router.post("/review/thresholds/proposal")
async def propose(
    runtime: OpenRuntime,
    reviewer: AsReviewer,
    desk: OpenDesk,
    finding: Annotated[Abnormal, Form()],
    threshold: Annotated[float, Form(ge=0, le=1)],
    days: Annotated[int, Form(ge=1, le=3650)] = endpoints.DEFAULT_DAYS,
    reference: Annotated[Literal["report", "verdict"], Form()] = "report",
) -> Response:
    """Write the proposal down and hand it out as a file; nothing here applies it.

    Asked again while nothing changed, it is the proposal that was written down.

    Raises
    ------
    InvalidRequest
        No study tells what the threshold would do to positives, or to negatives.
    """
    report = await asyncio.to_thread(
        desk.thresholds, finding, threshold, days=days, use_verdicts=reference == "verdict"
    )
    if not report.overall.is_judged:
        raise InvalidRequest("the window holds no reported positives, or no reported negatives")
    newest = await asyncio.to_thread(desk.newest_model)
    body: dict[str, Any] = {
        "finding": finding.value,
        "threshold": threshold,
        "reference": reference,
        "days": days,
        "since": report.since,
        "until": report.until,
        "model": report.model,
        "model_digest": newest[1] if newest else None,
        "threshold_digest": newest[2] if newest else None,
        "overall": report.as_json()["overall"],
    }
    async with desk.proposing:
        sequence = await asyncio.to_thread(desk.find_proposal, reviewer.name, body)
        if sequence is None:
            written = Evidence(kind=Kind.PROPOSAL, actor=reviewer.name, body=body)
            sequence = await runtime.record.note(written)
    name = f"threshold-{finding.value}-{threshold:.4f}.json"
    return JSONResponse(
        body | {"evidence": sequence, "applied": False},
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get("/review/comparison")
def comparison(
    request: Request, runtime: OpenRuntime, desk: OpenDesk, days: Days = endpoints.DEFAULT_DAYS
) -> Response:
    """Champion against candidate."""
    compared = desk.comparison(days=days)
    pictures = {
        told.finding: charts.histogram(
            f"Probabilities of {told.finding}",
            [
                ("champion", "series-1", told.champion_histogram),
                ("candidate", "series-2", told.candidate_histogram),
            ],
            x_label="probability; bars are square roots of numbers of radiographs",
        )
        for told in compared.findings
    }
    return render(
        request, runtime, "comparison.html", desk=desk, compared=compared, days=days,
        pictures=pictures,
    )  # fmt: skip


@router.get("/review/queue")
def queue(
    request: Request,
    runtime: OpenRuntime,
    desk: OpenDesk,
    days: Days = endpoints.DEFAULT_DAYS,
    readers: Readers = 1,
    utilisation: Utilisation = 0.6,
    cap_minutes: CapMinutes = 240,
) -> Response:
    """Replay the arrivals under other reading orders."""
    told = desk.queue(days=days, readers=readers, utilisation=utilisation, cap_minutes=cap_minutes)
    return render(request, runtime, "queue.html", desk=desk, told=told, days=days)


@router.get("/review/golive")
def golive(request: Request, runtime: OpenRuntime, desk: OpenDesk) -> Response:
    """May it go live? One page, made to be printed and signed."""
    decided = desk.go_live(runtime.model.stamp)
    bars = [
        charts.interval_bar(told.value, told.low, told.high, told.target)
        for told in (decided.criteria if decided else ())
    ]
    return render(request, runtime, "golive.html", desk=desk, decided=decided, bars=bars)
