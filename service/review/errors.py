"""What a person sees in place of a page; programs get the problem itself."""

from typing import Final
from urllib.parse import quote

from fastapi import Request, Response
from starlette.responses import HTMLResponse

from service.access.refusals import CredentialsMissing
from service.answers import NOTICE
from service.api.problems import STATUS, answer_problem, problem_of
from service.review.account import local_path
from service.review.rendering import ENVIRONMENT, HEADERS

UNAUTHORIZED: Final = 401
SLASHES_BEFORE_PATH: Final = 3
"""`https://host/path`."""
KEPT_HEADERS: Final = ("allow", "retry-after", "www-authenticate")


def answer_error(request: Request, error: Exception) -> Response:
    """The problem of an error; as a page for a browser that opens one."""
    answer = answer_problem(request, error)
    if not is_visit(request):
        return answer
    code, detail, _ = problem_of(error)
    body = ENVIRONMENT.get_template("error.html").render(
        title=STATUS[code].phrase, code=code, detail=detail, notice=NOTICE,
        request_id=request.state.request_id, is_unknown=answer.status_code == UNAUTHORIZED,
        sign_in=_sign_in_again(request, error),
    )  # fmt: skip
    kept = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    return HTMLResponse(body, answer.status_code, headers=HEADERS | kept)


async def handle_error(request: Request, error: Exception) -> Response:
    """The same for the framework, which would send a plain function to a thread."""
    return answer_error(request, error)


def is_visit(request: Request) -> bool:
    """Whether a browser asks for a page to show, and not a script of one for a part of it."""
    is_part = "hx-request" in request.headers
    return "text/html" in request.headers.get("accept", "") and not is_part


def _sign_in_again(request: Request, error: Exception) -> str | None:
    """Where a person whose session ended before an action goes on: to the page that sent it."""
    if not isinstance(error, CredentialsMissing) or request.app.state.access.provider is None:
        return None
    parts = request.headers.get("referer", "").split("/", SLASHES_BEFORE_PATH)
    path = f"/{parts[-1]}" if len(parts) > SLASHES_BEFORE_PATH else ""
    return f"/sign-in?next={quote(local_path(path))}"
