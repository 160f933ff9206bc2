"""Request id, the one log line per request, and the last resort for what nobody foresaw."""

import time
from collections.abc import Callable
from typing import Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.scopes import declared_path
from service.api.problems import answer_problem
from service.case import Facts
from service.codes import ACCESS
from service.logs import describe_error
from service.metrics import Ending, Metrics
from service.record import new_id

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PREDICT: Final = "/predict"
UPLOADS: Final = (PREDICT, "/review/try")
"""Doors through which a radiograph comes to be evaluated and recorded."""
EVENTS: Final = {PREDICT: "triage.completed", "/explain": "explain.completed"}
OTHER_EVENT: Final = "request.completed"
REFUSED_EVENT: Final = "access.refused"
SERVER_ERROR: Final = 500
UNAVAILABLE: Final = 503


class ClientGone(Exception):
    """The client closed the connection before its answer was ready."""


class RequestStory:
    """ASGI middleware: one id and one log line a request, and never a stack trace in an answer.

    Parameters
    ----------
    clock
        Seconds, monotonic.
    """

    def __init__(self, app: ASGIApp, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        started = self._clock()
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            try:
                await self._app(scope, receive, exchange.send)
            except (ClientGone, ClientDisconnect):
                exchange.story["outcome"] = Ending.CANCELLED.value
            except Exception as error:  # noqa: BLE001 - task boundary: one request fails, not all
                log.error("request.failed", **describe_error(error))
                await exchange.answer_error(error, receive)
            exchange.report(self._clock() - started)


class _Exchange:
    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._status = 0
        self.request_id = new_id()
        self.story: Facts = {}
        scope.setdefault("state", {})
        scope["state"] |= {"request_id": self.request_id, "story": self.story}

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every answer carries."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
        await self._send(message)

    async def answer_error(self, error: Exception, receive: Receive) -> None:
        """Answer 500, unless an answer was under way already."""
        if self._status == 0:
            response = answer_problem(Request(self._scope), error)
            await response(self._scope, receive, self.send)

    def report(self, seconds: float) -> None:
        """Write the log line and count."""
        path = self._route()
        facts: Facts = {
            "method": self._scope["method"],
            "route": path,
            "http_status": self._status,
            "request_seconds": round(seconds, 6),
        }
        if self._is_upload(path):
            self.story["outcome"] = self._ending().value
        self._write(path, facts)
        self._count(self._scope["app"].state.runtime.metrics, path, seconds)

    def _write(self, path: str, facts: Facts) -> None:
        """One line, whose event says what kind of request it was."""
        if self.story.get("code") in ACCESS:
            log.warning(REFUSED_EVENT, **facts, **self.story)
            return
        write = log.info if path in EVENTS else log.debug
        write(EVENTS.get(path, OTHER_EVENT), **facts, **self.story)

    def _route(self) -> str:
        """Path of the route as declared; what a stranger typed never becomes a label or a line."""
        declared = declared_path(self._scope["path"]) or "other"
        path = str(getattr(self._scope.get("route"), "path", declared))
        return path if path not in EVENTS or self._scope["method"] == "POST" else "other"

    def _is_upload(self, path: str) -> bool:
        return path in UPLOADS and self._scope["method"] == "POST"

    def _count(self, metrics: Metrics, path: str, seconds: float) -> None:
        code = self.story.get("code")
        if code is not None:
            metrics.count_problem(str(code))
        if self._is_upload(path):
            metrics.count_radiograph(self._ending())
            metrics.observe_seconds({"request": seconds})

    def _ending(self) -> Ending:
        told = self.story.get("outcome")
        if told is not None:
            return Ending(str(told))
        if self._status == UNAVAILABLE:
            return Ending.UNAVAILABLE
        return Ending.FAILED if self._status >= SERVER_ERROR else Ending.REFUSED
