"""create_app(settings): routes, middleware, error bodies, lifespan."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from service import __version__
from service.access.door import Door
from service.access.gatekeeper import Gatekeeper, OpenHouse
from service.access.headers import SecureHeaders
from service.access.opening import open_access
from service.access.options import refuse_open_to_others
from service.answers import NOTICE
from service.api import notify, predict, status
from service.api.docs import add_docs
from service.api.knock import Knock
from service.api.middleware import RequestStory
from service.core.errors import CxrError
from service.pacs import PacsOptions, Start, open_inlet
from service.review.errors import answer_error, handle_error
from service.review.site import add_review, warm_pages
from service.runtime import open_runtime
from service.settings import PacsSettings, Settings
from service.verified_engine import HeadStart

DESCRIPTION = f"""Reads frontal chest radiographs and says which to open first.

**{NOTICE}** Errors are `application/problem+json` (RFC 9457) with a stable `code`.
"""

UNTOLD: Final[TelemetryConfig] = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False,
    "auto_configure": False,
}  # fmt: skip
"""FastAPI tells nobody of requests and errors, whatever the environment asks of it: what may be
told of an upload is in `spans.py`, and goes where the settings say."""


def create_app(settings: Settings, head_start: HeadStart | None = None) -> FastAPI:
    """Assemble the application; the model and the shadow log open with its lifespan.

    Raises
    ------
    OpenToOthers
        Others than this machine could reach it, and nobody would ask who they are.
    """
    refuse_open_to_others(settings.access, settings.server.host)
    access = open_access(settings.access)
    app = FastAPI(
        title="cxr-triage",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan_of(settings, access.gatekeeper, head_start),
        docs_url=None,
        redoc_url=None,
        # A redirect would name the host that the caller claims; a wrong path is a coded 404.
        redirect_slashes=False,
        telemetry=UNTOLD,
    )
    app.include_router(predict.router)
    app.include_router(notify.router)
    app.include_router(status.router)
    add_docs(app)
    add_review(app, has_sign_in=access.provider is not None)
    app.state.access = access
    app.add_middleware(Knock)
    app.add_middleware(
        Door, gatekeeper=access.gatekeeper, refuse=answer_error, public_url=access.public_url,
        has_sign_in=access.provider is not None, body_seconds=settings.intake.body_seconds,
    )  # fmt: skip
    app.add_middleware(RequestStory)
    app.add_middleware(SecureHeaders, is_https=access.is_https)
    for error in (CxrError, HTTPException, RequestValidationError):
        app.add_exception_handler(error, handle_error)
    return app


def pacs_options(pacs: PacsSettings) -> PacsOptions | None:
    """How Orthanc is asked, in plain values; None where no address is set."""
    if pacs.url is None:
        return None
    plain = pacs.model_dump(exclude={"url", "start"})
    return PacsOptions(url=pacs.url, start=Start(pacs.start), **plain)


def _lifespan_of(
    settings: Settings, gatekeeper: Gatekeeper | OpenHouse, head_start: HeadStart | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What is open while the application serves; why it did not open is kept for its starter."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with (
                open_runtime(settings, gatekeeper, head_start) as runtime,
                open_inlet(pacs_options(settings.pacs), runtime, runtime.pacs_metrics) as inlet,
                warm_pages(),
            ):
                app.state.runtime, app.state.inlet = runtime, inlet
                yield
        except Exception as refusal:
            app.state.refusal = refusal
            raise

    return lifespan
