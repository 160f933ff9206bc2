"""POST /predict and POST /explain: take the upload, hand it on, wrap the answer."""

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

from service.api.dependencies import OpenRuntime
from service.api.middleware import PREDICT, ClientGone
from service.api.problems import DOOR, ShadowMode, documented
from service.api.schemas import Answer, ShadowAnswer
from service.api.uploads import FIELD, read_upload
from service.case import Case
from service.core.errors import InvalidRequest
from service.core.findings import Finding
from service.record import Mode, new_id
from service.runtime import Runtime
from service.turns import Turn

router = APIRouter(tags=["radiographs"])

T = TypeVar("T")
MAX_DEADLINE_MS = 3_600_000
DEADLINE_HEADER: Final = "X-Deadline-Ms"
PRIORITY_HEADER: Final = "X-Priority"
DeadlineMs = Annotated[
    int | None,
    Header(
        alias=DEADLINE_HEADER, ge=1, le=MAX_DEADLINE_MS,
        description=(
            "Milliseconds after which the answer is of no use any more, from the head of the "
            "request on. Without it the service has a limit of its own, from the last byte on."
        ),
    ),
]  # fmt: skip
TELLING_SECONDS: Final = 0.05
TELLING_SHARE: Final = 0.05
"""Of a caller's own deadline, the lesser of both is kept for telling in time that there will be no
answer: at twice the capacity a refusal takes 15 ms (p99), and who waits until the deadline is gone
by then."""
URGENT: Final = "stat"
ROUTINE: Final = "routine"
UploadPriority = Annotated[
    Literal["stat", "routine"],
    Header(
        alias=PRIORITY_HEADER,
        description="`stat` goes before `routine` wherever several wait; it changes no result.",
    ),
]
Abnormal = Literal[Finding.PNEUMONIA, Finding.TUBERCULOSIS]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One radiograph. What the bytes are decides, not the header.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                    "additionalProperties": False,
                }
            },
            "application/dicom": _BINARY,
            "image/png": _BINARY,
            "image/jpeg": _BINARY,
            "application/octet-stream": _BINARY,
        },
    }
}
"""The framework's shape; declared by hand because it would read the body before the limit."""

UPLOAD_PROBLEMS = (
    "EMPTY_UPLOAD", "INVALID_REQUEST", "UNSAFE_PREAMBLE", "UPLOAD_TIMEOUT",
    "BODY_TOO_LARGE", "IMAGE_TOO_LARGE", "UNKNOWN_FORMAT", "UNSUPPORTED_TRANSFER_SYNTAX",
    "IMAGE_TOO_SMALL", "UNSUPPORTED_PIXEL_FORMAT", "DAMAGED_FILE", "PIXEL_DATA_DAMAGED",
    "NO_PIXEL_DATA", "INTERNAL", "QUEUE_FULL", "DEADLINE_EXCEEDED", "SHUTTING_DOWN",
    "ENGINE_FAILED", *DOOR,
)  # fmt: skip


@router.post(
    PREDICT,
    response_model=Answer,
    responses={
        202: {"model": ShadowAnswer, "description": "Shadow mode: recorded, and not told."},
        **documented(*UPLOAD_PROBLEMS, "SOP_INSTANCE_CONFLICT", "RECORD_UNAVAILABLE"),
    },
    openapi_extra=UPLOAD_BODY,
)
async def predict(
    request: Request,
    runtime: OpenRuntime,
    deadline_ms: DeadlineMs = None,
    upload_priority: UploadPriority = ROUTINE,
) -> Response:
    """Read one chest radiograph and say how soon to open it."""
    async with case_of(request, runtime, deadline_ms, upload_priority) as case:
        try:
            body = await finish_unless_gone(request, runtime.answer(case))
        finally:
            runtime.count_upload(case)
    return JSONResponse(
        body,
        202 if runtime.mode is Mode.SHADOW else 200,
        background=BackgroundTask(_follow_up, runtime, case),
    )


async def _follow_up(runtime: Runtime, case: Case) -> None:
    """Runs on the event loop, once the last byte of the answer is sent."""
    runtime.after_answer(case)


@router.post(
    "/explain",
    response_class=Response,
    responses={
        200: {
            "content": {"image/png": _BINARY},
            "headers": {"X-Finding": {"schema": {"enum": ["pneumonia", "tuberculosis"]}}},
            "description": "The radiograph, coloured where the evidence for the finding lies.",
        },
        **documented(*UPLOAD_PROBLEMS, "SHADOW_MODE", "NOT_EVALUATED"),
    },
    openapi_extra=UPLOAD_BODY,
)
async def explain(
    request: Request,
    runtime: OpenRuntime,
    finding: Annotated[
        Abnormal | None, Query(description="By default the more probable of the two.")
    ] = None,
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Draw where the evidence for a finding lies. It colours evidence, it outlines no lesion."""
    if runtime.mode is Mode.SHADOW:
        raise ShadowMode("in shadow mode no prediction is shown, and the map would show one")
    async with case_of(request, runtime, deadline_ms) as case:
        overlay, model = await finish_unless_gone(request, runtime.explain(case, finding))
    headers = {"X-Finding": overlay.finding.value, "X-Model": f"{model.name}/{model.version}"}
    return Response(overlay.png, headers=headers, media_type="image/png")


async def finish_unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Wait for the work, and cancel it when the client leaves.

    Raises
    ------
    ClientGone
        The connection was closed first.
    """
    job = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait((job, gone), return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            raise ClientGone
        return job.result()
    finally:
        job.cancel()
        gone.cancel()
        await asyncio.gather(job, gone, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def case_of(
    request: Request, runtime: Runtime, deadline_ms: int | None, upload_priority: str = ROUTINE
) -> AsyncIterator[Case]:
    """Hold a place for one upload, read it, and tell the log line how it went.

    A caller's own deadline begins with its request; the service's, which is about its work alone,
    once the upload is here. How slowly it comes is bounded by either's limit, and not our fault.
    """
    check_agreement(request)
    loop = asyncio.get_running_loop()
    own = None if deadline_ms is None else deadline_ms / 1000
    limit = runtime.deadline_seconds if deadline_ms is None else seconds_to_answer(deadline_ms)
    started, received_at = loop.time(), datetime.now(UTC)
    turn = Turn(caller_of(request), is_urgent=upload_priority == URGENT)
    with runtime.admission.enter(turn, seconds=limit) as place:
        body = await read_upload(
            request,
            place,
            max_bytes=runtime.limits.max_body_bytes,
            seconds=min(runtime.body_seconds, math.inf if own is None else own),
        )
        arrived = loop.time()
        case = Case(
            id=new_id(),
            body=body,
            received_at=received_at,
            deadline=(arrived if own is None else started) + limit,
            seconds={"body": arrived - started},
            turn=turn,
            hold=runtime.admission.holding,
        )
        place.begin_work(case.deadline - loop.time())
        try:
            yield case
        finally:
            told = case.facts(tells_results=runtime.mode is not Mode.SHADOW)
            request.state.story.update(told)


def seconds_to_answer(deadline_ms: int) -> float:
    """What there is of a caller's own deadline, from the head of its request on."""
    seconds = deadline_ms / 1000
    return seconds - min(TELLING_SECONDS, TELLING_SHARE * seconds)


def check_agreement(request: Request) -> None:
    """Refuse two headers that contradict each other: which of them was meant nobody knows.

    Raises
    ------
    InvalidRequest
    """
    for name in (PRIORITY_HEADER, DEADLINE_HEADER):
        if len(set(request.headers.getlist(name))) > 1:
            raise InvalidRequest(f"several {name} headers that contradict each other; expected one")


def caller_of(request: Request) -> str:
    """Whose uploads take turns with those of others: a key's, else an address's."""
    caller = request.state.caller
    if caller.key_id is not None:
        return str(caller.key_id)
    return request.client.host if request.client is not None else ""
