"""The only table from error code to HTTP status, and the RFC 9457 body that carries it."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from service.core.errors import (
    CapacityError,
    CxrError,
    InvalidRequest,
    NotEvaluated,
    UnknownFormat,
)

MEDIA_TYPE: Final = "application/problem+json"
INTERNAL: Final = "INTERNAL"

STATUS: Final[Mapping[str, HTTPStatus]] = {
    "EMPTY_UPLOAD": HTTPStatus.BAD_REQUEST,
    "INVALID_REQUEST": HTTPStatus.BAD_REQUEST,
    "UNSAFE_PREAMBLE": HTTPStatus.BAD_REQUEST,
    "SHADOW_MODE": HTTPStatus.FORBIDDEN,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "METHOD_NOT_ALLOWED": HTTPStatus.METHOD_NOT_ALLOWED,
    "UPLOAD_TIMEOUT": HTTPStatus.REQUEST_TIMEOUT,
    "SOP_INSTANCE_CONFLICT": HTTPStatus.CONFLICT,
    "BODY_TOO_LARGE": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "IMAGE_TOO_LARGE": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "UNKNOWN_FORMAT": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "UNSUPPORTED_TRANSFER_SYNTAX": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "IMAGE_TOO_SMALL": HTTPStatus.UNPROCESSABLE_ENTITY,
    "UNSUPPORTED_PIXEL_FORMAT": HTTPStatus.UNPROCESSABLE_ENTITY,
    "DAMAGED_FILE": HTTPStatus.UNPROCESSABLE_ENTITY,
    "PIXEL_DATA_DAMAGED": HTTPStatus.UNPROCESSABLE_ENTITY,
    "NO_PIXEL_DATA": HTTPStatus.UNPROCESSABLE_ENTITY,
    "NOT_EVALUATED": HTTPStatus.UNPROCESSABLE_ENTITY,
    INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    "QUEUE_FULL": HTTPStatus.SERVICE_UNAVAILABLE,
    "DEADLINE_EXCEEDED": HTTPStatus.SERVICE_UNAVAILABLE,
    "SHUTTING_DOWN": HTTPStatus.SERVICE_UNAVAILABLE,
    "RECORD_UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "ENGINE_FAILED": HTTPStatus.SERVICE_UNAVAILABLE,
    "CAPACITY": HTTPStatus.SERVICE_UNAVAILABLE,
    "CREDENTIALS_MISSING": HTTPStatus.UNAUTHORIZED,
    "CREDENTIALS_INVALID": HTTPStatus.UNAUTHORIZED,
    "KEY_EXPIRED": HTTPStatus.UNAUTHORIZED,
    "KEY_REVOKED": HTTPStatus.UNAUTHORIZED,
    "SCOPE_MISSING": HTTPStatus.FORBIDDEN,
    "FORGED_REQUEST": HTTPStatus.FORBIDDEN,
    "ACCESS_OFF": HTTPStatus.FORBIDDEN,
    "RATE_LIMITED": HTTPStatus.TOO_MANY_REQUESTS,
    "KEYS_UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "SIGN_IN_FAILED": HTTPStatus.FORBIDDEN,
    "SIGN_IN_UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Every code that an answer may carry. An error that is missing here is a bug and answers 500."""

BODY_STATUS: Final[Mapping[int, str]] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "BODY_TOO_LARGE",
    HTTPStatus.REQUEST_TIMEOUT: "UPLOAD_TIMEOUT",
}
"""What the framework passes on of a body that is bounded outside it."""

DOOR: Final = (
    "CREDENTIALS_MISSING", "CREDENTIALS_INVALID", "KEY_EXPIRED", "KEY_REVOKED", "SCOPE_MISSING",
    "ACCESS_OFF", "RATE_LIMITED", "KEYS_UNAVAILABLE",
)  # fmt: skip
"""What every route but the open ones may answer, before it sees the request."""

RULES: Final = frozenset(("literal_error", "greater_than_equal", "less_than_equal"))
SHOULD_BE: Final = "Input should be "
"""Faults that the framework tells by the rule alone, and how it begins to."""
MEMBER: Final = re.compile(r"<[\w.]+: ('\w+')>")
"""Of an enumeration, as Python shows it; a caller knows the value."""

NOT_FOUND_DETAIL: Final = "nothing is at this path; paths are exact and end without a slash"
INTERNAL_DETAIL: Final = "the service failed; the request id finds the log line"


class ShadowMode(CxrError):
    """A prediction was asked for where none may be shown."""

    code = "SHADOW_MODE"


class UploadTimeout(CxrError):
    """The upload arrived too slowly."""

    code = "UPLOAD_TIMEOUT"


class CodedUpload(UnknownFormat):
    """The body comes in a content coding; only as it is would the limits on it hold."""


class Problem(BaseModel):
    """Problem details (RFC 9457) with a stable code."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="Names the code as a URN.")
    title: str = Field(description="The HTTP status in words.")
    status: int
    code: str = Field(description="Stable; act on this one.")
    detail: str = Field(description="What was seen and what was expected; never a patient value.")
    request_id: str
    reason: str | None = Field(None, description="Coded reason of NOT_EVALUATED.")


def problem_of(error: Exception) -> tuple[str, str, str | None]:
    """Code, detail and reason of any error, without a word that it may have quoted."""
    if isinstance(error, RequestValidationError):
        places = sorted({_place_of(item) for item in error.errors()})
        return InvalidRequest.code, f"missing or malformed: {', '.join(places)}", None
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        code = BODY_STATUS.get(status, status.name)
        code = code if code in STATUS else InvalidRequest.code
        return code, _detail_of(error, status), None
    if isinstance(error, CxrError) and error.code in STATUS:
        return error.code, str(error), error.reason if isinstance(error, NotEvaluated) else None
    return INTERNAL, INTERNAL_DETAIL, None


def _detail_of(error: HTTPException, status: HTTPStatus) -> str:
    """Of what is ours the very words; of the framework's only the status, for it may quote."""
    if status is HTTPStatus.NOT_FOUND:
        return NOT_FOUND_DETAIL
    return error.detail if status in BODY_STATUS else status.phrase


def _place_of(fault: Mapping[str, Any]) -> str:
    """Where it is, and what is expected there if its words repeat nothing of what was sent."""
    place = ".".join(map(str, fault["loc"]))
    words = str(fault["msg"])
    if fault["type"] not in RULES or not words.startswith(SHOULD_BE):
        return place
    expected = MEMBER.sub(r"\1", words.removeprefix(SHOULD_BE))
    return f"{place} (expected: {expected})"


def answer_problem(request: Request, error: Exception) -> Response:
    """The problem response of an error; tells the log line its code."""
    code, detail, reason = problem_of(error)
    status = STATUS[code]
    request.state.story["code"] = code
    body = Problem(
        type=f"urn:cxr-triage:problem:{code}",
        title=status.phrase,
        status=status,
        code=code,
        detail=detail,
        request_id=request.state.request_id,
        reason=reason,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True),
        status,
        headers=retry_after(error) | _allow(error) | _challenge(status) | _accept(error),
        media_type=MEDIA_TYPE,
    )


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` for these codes: one entry a status, one example a code.

    The value type is the framework's.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status = STATUS[code]
        entry = responses.setdefault(
            int(status),
            {"model": Problem, "description": "", "content": {MEDIA_TYPE: {"examples": {}}}},
        )
        entry["description"] = ", ".join(filter(None, [entry["description"], f"`{code}`"]))
        entry["content"][MEDIA_TYPE]["examples"][code] = {"value": _example(code, status)}
        if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return responses


def _example(code: str, status: HTTPStatus) -> dict[str, str | int]:
    return {
        "type": f"urn:cxr-triage:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "code": code,
        "detail": "what was seen and what was expected",
        "request_id": "01970000-0000-7000-8000-000000000000",
    }


def retry_after(error: Exception) -> dict[str, str]:
    """When to come again, where waiting helps."""
    if not isinstance(error, CapacityError):
        return {}
    return {"Retry-After": str(max(1, round(error.retry_after_seconds)))}


def _challenge(status: HTTPStatus) -> dict[str, str]:
    """401 must say how to authenticate (RFC 9110)."""
    is_asked = status is HTTPStatus.UNAUTHORIZED
    return {"WWW-Authenticate": 'Bearer realm="cxr-triage"'} if is_asked else {}


def _allow(error: Exception) -> dict[str, str]:
    """405 must name the methods that are there (RFC 9110)."""
    return dict(error.headers or {}) if isinstance(error, HTTPException) else {}


def _accept(error: Exception) -> dict[str, str]:
    """415 for a content coding names those that are read (RFC 9110, 12.5.3)."""
    return {"Accept-Encoding": "identity"} if isinstance(error, CodedUpload) else {}
