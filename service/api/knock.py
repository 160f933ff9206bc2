"""The shortest way to a refusal: an upload that finds no room is told before a route is looked up.

A service that has more than it can do spends its cores on refusals too; the framework's way to a
route and back is a third of what one costs. The route asks the same again, and has the last word.
"""

from typing import Final, cast

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.middleware import PREDICT
from service.api.predict import MAX_DEADLINE_MS, ROUTINE, URGENT, caller_of, seconds_to_answer
from service.api.problems import answer_problem
from service.core.errors import CapacityError
from service.runtime import Runtime
from service.turns import Turn

MOST_DIGITS: Final = len(str(MAX_DEADLINE_MS))


class Knock:
    """ASGI middleware, inside the door of access: nobody learns of the load without a key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it for want of room."""
        is_upload = scope["type"] == "http" and scope["path"] == PREDICT
        refusal = _refusal_of(scope) if is_upload and scope["method"] == "POST" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await answer_problem(Request(scope), refusal)(scope, receive, send)


def _refusal_of(scope: Scope) -> CapacityError | None:
    """What the route would say to it, if that needs no more than the head of the request."""
    headers = Headers(scope=scope)
    runtime = cast(Runtime, scope["app"].state.runtime)
    limit = _deadline_of(headers, runtime.deadline_seconds)
    priority = headers.get("x-priority", ROUTINE)
    if limit is None or priority not in (ROUTINE, URGENT):
        return None
    try:
        turn = Turn(caller_of(Request(scope)), is_urgent=priority == URGENT)
        runtime.admission.knock(turn, seconds=limit)
    except CapacityError as refusal:
        return refusal
    return None


def _deadline_of(headers: Headers, default_seconds: float) -> float | None:
    """Seconds; None for what only the route may judge."""
    stated = headers.get("x-deadline-ms")
    if stated is None:
        return default_seconds
    if not (stated.isascii() and stated.isdigit() and len(stated) <= MOST_DIGITS):
        return None
    milliseconds = int(stated)
    return seconds_to_answer(milliseconds) if 1 <= milliseconds <= MAX_DEADLINE_MS else None
