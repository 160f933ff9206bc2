"""Adds the pages to the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from service.review import account, endpoints, pages, tryout
from service.review.rendering import compile_templates

ASSETS = "/review/static"


def add_review(app: FastAPI, *, has_sign_in: bool) -> None:
    """Serve the pages; without access control the service listens on this machine alone."""
    routers = [pages.router, tryout.router, endpoints.router]
    for router in [*routers, account.router] if has_sign_in else routers:
        app.include_router(router)
    folder = Path(str(files("service.review") / "static"))
    app.mount(ASSETS, StaticFiles(directory=folder), name="review-assets")


@asynccontextmanager
async def warm_pages() -> AsyncIterator[None]:
    """Compile the templates beside whatever else opens meanwhile."""
    compiling = asyncio.create_task(asyncio.to_thread(compile_templates))
    try:
        yield
    finally:
        await compiling
