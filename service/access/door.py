"""The door: every request passes it before a route sees it; it decides by the head alone."""

from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.addresses import peer_of
from service.access.body_limit import MOST_FORM_BYTES, BoundedBody
from service.access.caller import Caller
from service.access.forgery import (
    SAFE_METHODS,
    TOKEN_HEADER,
    check_sender,
    check_token,
    is_form,
    origin_of,
    token_in,
)
from service.access.refusals import CredentialsMissing
from service.access.scopes import UPLOADS, Need, need_of
from service.core.errors import CxrError

SIGN_IN: Final = "/sign-in"
SIGN_OUT: Final = "/sign-out"
SIGNED_OUT: Final = "/signed-out"
GRACE_SECONDS: Final = 1.0
"""A route that bounds its own body speaks first, in its own words."""
NOT_FOUND: Final = 404
SEE_OTHER: Final = 303

Refuse = Callable[[Request, Exception], Response]


class Admits(Protocol):
    """Decides from the head of a request who asks, and whether they may."""

    def admit(self, request: Scope, headers: Headers, need: Need | None) -> Caller:
        """Raise an error with a code, or tell who it is."""
        ...


class Door:
    """ASGI middleware, inside the one that tells the story of a request.

    Parameters
    ----------
    refuse
        Makes the answer of an error.
    public_url
        Address of the service as people type it; None: as each request names it.
    has_sign_in
        Whether a person without a session is sent to sign in.
    body_seconds
        Longest time that a body may take to arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        gatekeeper: Admits,
        refuse: Refuse,
        public_url: str | None,
        has_sign_in: bool,
        body_seconds: float,
    ) -> None:
        self._app = app
        self._gatekeeper = gatekeeper
        self._refuse = refuse
        self._origin = None if public_url is None else origin_of(public_url)
        self._has_sign_in = has_sign_in
        self._body_seconds = body_seconds + GRACE_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            caller = self._gatekeeper.admit(scope, headers, need_of(scope["path"]))
            body = self._bound(scope, headers, caller, receive)
            if caller.csrf_token is not None and scope["method"] not in SAFE_METHODS:
                await self._check_intent(scope, headers, caller, body)
        except (CxrError, HTTPException) as refusal:
            await self._answer(scope, headers, refusal)(scope, receive, send)
            return
        scope["state"]["caller"] = caller
        await self._app(scope, body.receive, send)

    def _bound(
        self, scope: Scope, headers: Headers, caller: Caller, receive: Receive
    ) -> BoundedBody:
        is_upload = scope["path"] in UPLOADS
        most_bytes = caller.max_body_bytes if is_upload else MOST_FORM_BYTES
        return BoundedBody(receive, headers, most_bytes=most_bytes, seconds=self._body_seconds)

    async def _check_intent(
        self, scope: Scope, headers: Headers, caller: Caller, body: BoundedBody
    ) -> None:
        named = f"{scope['scheme']}://{headers.get('host', '')}".lower()
        check_sender(headers, origin=self._origin or named)
        token = headers.get(TOKEN_HEADER)
        if token is None and is_form(headers) and scope["path"] not in UPLOADS:
            token = token_in(await body.read())
        check_token(token, caller.csrf_token)

    def _answer(self, scope: Scope, headers: Headers, refusal: Exception) -> Response:
        request = Request(scope)
        request.state.story |= _facts_of(scope, refusal)
        is_person = "text/html" in headers.get("accept", "")
        if self._has_sign_in and is_person and isinstance(refusal, CredentialsMissing):
            if scope["method"] == "GET":
                return RedirectResponse(f"{SIGN_IN}?next={quote(_address(scope))}", SEE_OTHER)
            if scope["path"] == SIGN_OUT:  # the session had ended before: that is what was asked
                return RedirectResponse(SIGNED_OUT, SEE_OTHER)
        return self._refuse(request, refusal)


def _facts_of(scope: Scope, refusal: Exception) -> dict[str, str]:
    """For the log: the public half of a key, and where it came from."""
    facts = {"peer": peer_of(scope)}
    key_id = getattr(refusal, "key_id", None)
    return facts if key_id is None else facts | {"key_id": key_id}


def _address(scope: Scope) -> str:
    query = scope["query_string"].decode("ascii", "ignore")
    return f"{scope['path']}?{query}" if query else str(scope["path"])
