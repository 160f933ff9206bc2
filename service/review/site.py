"""Adds the pages to the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from pathlib import Path

import structlog
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from service.logs import describe_error
from service.review import account, endpoints, pages, tryout
from service.review.rendering import compile_templates

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ASSETS = "/review/static"

WARM_SECONDS = 3.0
"""After which templates are compiled; the engine has opened all that it has by then."""


def add_review(app: FastAPI, *, has_sign_in: bool) -> None:
    """Serve the pages; without access control the service listens on this machine alone."""
    routers = [pages.router, tryout.router, endpoints.router]
    for router in [*routers, account.router] if has_sign_in else routers:
        app.include_router(router)
    folder = Path(str(files("service.review") / "static"))
    app.mount(ASSETS, StaticFiles(directory=folder), name="review-assets")


@asynccontextmanager
async def warm_pages(*, after_seconds: float = WARM_SECONDS) -> AsyncIterator[None]:
    """Compile the templates a while after the service is up: the first answers need the cores."""

    async def warm() -> None:
        await asyncio.sleep(after_seconds)
        try:
            await compile_templates()
        except Exception as error:  # noqa: BLE001 - task boundary: who opens a page meets it again
            log.error("pages.not_compiled", **describe_error(error))

    warming = asyncio.create_task(warm(), name="warm-pages")
    try:
        yield
    finally:
        warming.cancel()
        with suppress(asyncio.CancelledError):
            await warming
