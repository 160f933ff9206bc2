"""GET /sign-in and back, POST /sign-out: how a person comes to a session of the pages."""

from typing import Final, cast

import structlog
from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse, RedirectResponse

from service.access.gatekeeper import SESSION_COOKIE, Gatekeeper
from service.access.opening import CALLBACK, Access, SendsToProvider
from service.access.refusals import SignInFailed, SignInUnavailable
from service.access.sessions import SIGN_IN_SECONDS
from service.answers import NOTICE
from service.api.problems import STATUS, problem_of, retry_after
from service.core.errors import CxrError
from service.review.rendering import ENVIRONMENT, HEADERS

log: structlog.stdlib.BoundLogger = structlog.get_logger()

SIGN_IN_COOKIE: Final = "__Host-cxr_sign_in"
HOME: Final = "/review"
MOST_CHARACTERS: Final = 2000
SEE_OTHER: Final = 303

router = APIRouter(include_in_schema=False)


def local_path(asked: str) -> str:
    """A path of this service to go to; what could lead elsewhere is replaced by the worklist."""
    is_here = (
        asked.startswith("/")
        and not asked.startswith("//")
        and "\\" not in asked
        and asked.isascii()
        and asked.isprintable()
        and len(asked) <= MOST_CHARACTERS
    )
    return asked if is_here else HOME


@router.get("/sign-in")
async def sign_in(request: Request, next: str = HOME) -> Response:  # noqa: A002 - name in the URL
    """Send somebody to the identity provider; what must come back is kept here."""
    access, provider = _access(request), _provider(request)
    try:
        cast(Gatekeeper, access.gatekeeper).count_sign_in(request.scope)
        address, begun = await provider.begin(local_path(next))
    except CxrError as error:
        return _refused(request, error)
    response = RedirectResponse(address, SEE_OTHER, headers=HEADERS)
    _set_cookie(response, SIGN_IN_COOKIE, access.sign_ins.put(begun), round(SIGN_IN_SECONDS))
    return response


@router.get(CALLBACK)
async def come_back(request: Request) -> Response:
    """Open a session for whom the identity provider sent back."""
    access, provider = _access(request), _provider(request)
    begun = access.sign_ins.take(request.cookies.get(SIGN_IN_COOKIE, ""))
    try:
        if begun is None:
            raise SignInFailed("no sign-in is under way in this browser; begin again")
        person = await provider.finish(begun, dict(request.query_params))
    except CxrError as error:
        return _refused(request, error)
    response = RedirectResponse(begun.next_path, SEE_OTHER, headers=HEADERS)
    _drop_cookie(response, SIGN_IN_COOKIE)
    _set_cookie(response, SESSION_COOKIE, access.sessions.put(person), None)
    log.info("access.signed_in", person=person.name)
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session, for every copy of its cookie."""
    person = _access(request).sessions.take(request.cookies.get(SESSION_COOKIE, ""))
    response = RedirectResponse("/signed-out", SEE_OTHER, headers=HEADERS)
    _drop_cookie(response, SESSION_COOKIE)
    if person is not None:
        log.info("access.signed_out", person=person.name)
    return response


@router.get("/signed-out")
async def signed_out(request: Request) -> Response:
    """Say so, and where the session at the provider ends."""
    try:
        elsewhere = await _provider(request).end_address()
    except (SignInUnavailable, SignInFailed):
        elsewhere = None
    return _page(200, title="Signed out", elsewhere=elsewhere, code=None, detail=None)


def _access(request: Request) -> Access:
    return cast(Access, request.app.state.access)


def _provider(request: Request) -> SendsToProvider:
    return cast(SendsToProvider, _access(request).provider)


def _refused(request: Request, error: CxrError) -> Response:
    code, detail, _ = problem_of(error)
    request.state.story["code"] = code
    response = _page(
        int(STATUS[code]), title="Not signed in", code=code, detail=detail, elsewhere=None
    )
    response.headers.update(retry_after(error))
    _drop_cookie(response, SIGN_IN_COOKIE)
    return response


def _page(status: int, **values: object) -> HTMLResponse:
    body = ENVIRONMENT.get_template("account.html").render(notice=NOTICE, **values)
    return HTMLResponse(body, status, headers=HEADERS)


def _set_cookie(response: Response, name: str, value: str, seconds: int | None) -> None:
    """`__Host-`: by https alone, for this host alone, and no other host can have set it.

    Lax, because the browser comes back from the provider's site.
    """
    response.set_cookie(
        name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax"
    )


def _drop_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
