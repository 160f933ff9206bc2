"""create_app(settings): routes, middleware, error bodies, lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from service import __version__
from service.answers import NOTICE
from service.api import predict, status
from service.api.docs import add_docs
from service.api.middleware import RequestStory
from service.api.problems import answer_problem
from service.core.errors import CxrError
from service.review.site import add_review
from service.runtime import open_runtime
from service.settings import Settings

DESCRIPTION = f"""Reads frontal chest radiographs and says which to open first.

**{NOTICE}** Errors are `application/problem+json` (RFC 9457) with a stable `code`.
"""


def create_app(settings: Settings) -> FastAPI:
    """Assemble the application; the model and the shadow log open with its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with open_runtime(settings) as runtime:
                app.state.runtime = runtime
                yield
        except CxrError as refusal:
            app.state.refusal = refusal
            raise

    app = FastAPI(
        title="cxr-triage",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # A redirect would name the host that the caller claims; a wrong path is a coded 404.
        redirect_slashes=False,
    )
    app.include_router(predict.router)
    app.include_router(status.router)
    add_docs(app)
    add_review(app, settings.server.host)
    app.add_middleware(RequestStory)
    for error in (CxrError, HTTPException, RequestValidationError):
        app.add_exception_handler(error, answer_problem)
    return app
