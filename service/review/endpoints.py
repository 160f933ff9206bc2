"""JSON behind each page: the same numbers, for a script or another chart."""

import re
from dataclasses import asdict
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.exceptions import HTTPException

from service.api.dependencies import OpenRuntime
from service.core.findings import Finding
from service.record import Evidence, Kind, Label
from service.record.record import Record
from service.review.desk import ReviewDesk
from service.review.gate import AsReviewer, let_in
from service.review.worklist import Filters

router = APIRouter(prefix="/review/api", include_in_schema=False, dependencies=[Depends(let_in)])

Abnormal = Literal[Finding.PNEUMONIA, Finding.TUBERCULOSIS]
Days = Annotated[int, Query(ge=1, le=3650)]
Threshold = Annotated[float | None, Query(ge=0, le=1)]
Readers = Annotated[int, Query(ge=1, le=50)]
Utilisation = Annotated[float, Query(ge=0.1, le=0.99)]
CapMinutes = Annotated[float, Query(ge=1, le=10_080)]
Reference = Annotated[Literal["report", "verdict"], Query()]
DEFAULT_DAYS = 30
ENTRY_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def get_desk(request: Request, runtime: OpenRuntime) -> ReviewDesk:
    """The desk of this application; made at the first question, then kept up with the log."""
    desk: ReviewDesk | None = getattr(request.app.state, "review_desk", None)
    if desk is None:
        desk = ReviewDesk(index=runtime.cases, reader=runtime.record.reader)
        request.app.state.review_desk = desk
    request.state.index_progress = desk.refresh()
    return desk


OpenDesk = Annotated[ReviewDesk, Depends(get_desk)]


def check_entry_id(entry_id: str) -> str:
    """An id as answers have them.

    Raises
    ------
    HTTPException
        404: no entry has such an id, and no database is asked for it.
    """
    if ENTRY_ID.fullmatch(entry_id) is None:
        raise HTTPException(404)
    return entry_id


EntryId = Annotated[str, Depends(check_entry_id)]


@router.get("/worklist")
def worklist(desk: OpenDesk, filters: Annotated[Filters, Query()]) -> dict[str, object]:
    """Radiographs by priority."""
    return desk.page(filters).as_json()


@router.get("/disagreements")
def disagreements(desk: OpenDesk) -> dict[str, int]:
    """How many cases model and report see unlike; which ones is told only after a verdict."""
    return asdict(desk.readings())


@router.get("/thresholds")
def thresholds(
    desk: OpenDesk,
    runtime: OpenRuntime,
    finding: Abnormal = Finding.PNEUMONIA,
    threshold: Threshold = None,
    days: Days = DEFAULT_DAYS,
    reference: Reference = "report",
) -> dict[str, object]:
    """What a threshold would do."""
    in_use = threshold_in_use(desk, runtime, finding)
    chosen = choose_threshold(threshold, in_use)
    report = desk.thresholds(finding, chosen, days=days, use_verdicts=reference == "verdict")
    return report.as_json() | {"in_use": in_use}


@router.get("/comparison")
def comparison(desk: OpenDesk, days: Days = DEFAULT_DAYS) -> dict[str, object]:
    """Champion against candidate."""
    return desk.comparison(days=days).as_json()


@router.get("/queue")
def queue(
    desk: OpenDesk,
    days: Days = DEFAULT_DAYS,
    readers: Readers = 1,
    utilisation: Utilisation = 0.6,
    cap_minutes: CapMinutes = 240,
) -> dict[str, object]:
    """Simulated waits."""
    return desk.queue(
        days=days, readers=readers, utilisation=utilisation, cap_minutes=cap_minutes
    ).as_json()


@router.get("/golive")
def golive(runtime: OpenRuntime, desk: OpenDesk) -> dict[str, object]:
    """GO, EXTEND or NO-GO.

    Raises
    ------
    HTTPException
        404 before criteria are registered.
    """
    decided = desk.go_live(runtime.model.stamp)
    if decided is None:
        raise HTTPException(404)
    return decided.as_json()


def threshold_in_use(desk: ReviewDesk, runtime: OpenRuntime, finding: Finding) -> float | None:
    """Where flags begin now; None where nothing raises any."""
    points = runtime.manifest.operating_points
    return desk.threshold_in_use(finding, runtime.model.stamp.digest, points)


def choose_threshold(asked: float | None, in_use: float | None) -> float:
    """What is asked for, else what is in use, else the middle of the slider."""
    if asked is not None:
        return asked
    return 0.5 if in_use is None else in_use


async def write_verdict(
    record: Record, entry_id: str, verdicts: dict[str, str], note: str, reviewer: AsReviewer
) -> None:
    """Chain a second reading."""
    known = {finding: Label(label).value for finding, label in verdicts.items()}
    await record.note(
        Evidence(
            kind=Kind.ADJUDICATION,
            entry=entry_id,
            actor=reviewer.name,
            body={"verdicts": known, "note": note},
        )
    )
