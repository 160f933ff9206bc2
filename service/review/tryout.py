"""POST /review/try: one radiograph from the page, through the same door as any other upload."""

import asyncio
import base64
import math
from contextlib import suppress
from typing import cast

import cv2
from fastapi import APIRouter, Depends, Request, Response

from service.answers import NOTICE, Body
from service.api.dependencies import OpenRuntime
from service.api.predict import case_of, finish_unless_gone
from service.api.problems import STATUS, problem_of
from service.case import Case
from service.core.attention import FULL_COLOUR_LOG_ODDS, draw_backdrop
from service.core.errors import CxrError, IntakeError, NotEvaluated
from service.core.findings import ABNORMAL
from service.core.intake import IntakeLimits, read_radiograph
from service.core.preprocess import PreprocessSpec
from service.record import Mode
from service.review.endpoints import OpenDesk
from service.review.gate import let_in
from service.review.rendering import ENVIRONMENT, HEADERS, render
from service.runtime import Runtime
from service.serving import Serving

router = APIRouter(include_in_schema=False, dependencies=[Depends(let_in)])


@router.post("/review/try")
async def try_one(request: Request, runtime: OpenRuntime, desk: OpenDesk) -> Response:
    """Evaluate and record one radiograph, and show all that its answer holds.

    A browser without scripts gets the whole page, with the result in its place.
    """
    template, status, values = await _try(request, runtime)
    if "hx-request" in request.headers:
        return _fragment(template, status, mode=runtime.mode.value, **values)
    page = await asyncio.to_thread(
        render, request, runtime, "try.html", desk=desk, tried=template, **values
    )
    page.status_code = status
    return page


async def _try(request: Request, runtime: Runtime) -> tuple[str, int, dict[str, object]]:
    """Template, status and values of the result, or of the reason why there is none."""
    try:
        async with case_of(request, runtime, None) as case:
            answer, pictures = await _answer_and_draw(request, runtime, case)
    except CxrError as error:
        code, detail, _ = problem_of(error)
        request.state.story["code"] = code
        return "problem.html", int(STATUS[code]), {"code": code, "detail": detail}
    return "result.html", 200, _result(runtime, answer, pictures)


async def _answer_and_draw(
    request: Request, runtime: Runtime, case: Case
) -> tuple[Body, dict[str, str]]:
    """Both with one model: one that is promoted meanwhile explains no scores of this one."""
    with runtime.slot.hold() as serving:
        try:
            answer = await finish_unless_gone(request, serving.pipeline.answer(case))
        finally:
            runtime.count_upload(case)
        return answer, await _draw(case, runtime, serving, answer)


def draw_plain(body: bytes, limits: IntakeLimits, spec: PreprocessSpec) -> bytes:
    """The radiograph as the overlay shows it, without the overlay; a PNG."""
    backdrop = draw_backdrop(read_radiograph(body, limits), spec)
    return cv2.imencode(".png", backdrop.grey)[1].tobytes()


async def _draw(case: Case, runtime: Runtime, serving: Serving, answer: Body) -> dict[str, str]:
    """The picture, and its overlay of each finding; no overlay where there is no prediction.

    What its tags put outside the intended use has an answer, whether there is a picture or not.
    """
    spec, pictures = serving.model.recipe.preprocess, dict[str, str]()
    with suppress(IntakeError, NotEvaluated):
        plain = await asyncio.to_thread(draw_plain, case.body, runtime.limits, spec)
        pictures["plain"] = _data_address(plain)
    if runtime.mode is Mode.LIVE and answer.get("status") == "evaluated":
        for finding in ABNORMAL:
            with suppress(NotEvaluated):  # the answer says why
                overlay = await serving.pipeline.explain(case, finding)
                pictures[finding.value] = _data_address(overlay.png)
    return pictures


def _result(runtime: Runtime, answer: Body, pictures: dict[str, str]) -> dict[str, object]:
    """What the template shows; the map of the more probable finding first, as `/explain` does."""
    told = cast(dict[str, float], answer.get("probabilities") or {})
    return {
        "answer": answer,
        "pictures": pictures,
        "abnormal": ABNORMAL,
        "first": max(ABNORMAL, key=lambda finding: told.get(finding.value, 0.0)),
        "full_colour": FULL_COLOUR_LOG_ODDS,
        "full_odds": math.exp(FULL_COLOUR_LOG_ODDS),
    }


def _data_address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _fragment(template: str, status: int, **values: object) -> Response:
    body = ENVIRONMENT.get_template(template).render(notice=NOTICE, **values)
    return Response(body, status, headers=HEADERS, media_type="text/html")
