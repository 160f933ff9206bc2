"""Adds the pages to the application, or leaves them out."""

from importlib.resources import files
from pathlib import Path

import structlog
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from service.review import endpoints, pages, tryout
from service.review.gate import is_loopback

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ASSETS = "/review/static"


def add_review(app: FastAPI, host: str) -> None:
    """Serve the pages where only this machine can ask for them.

    On any other address they would show every prediction to whoever finds the port, also in
    shadow mode, so without authentication they are not there at all.
    """
    if not is_loopback(host):
        log.warning("review.not_served", host=host)
        return
    for router in (pages.router, tryout.router, endpoints.router):
        app.include_router(router)
    folder = Path(str(files("service.review") / "static"))
    app.mount(ASSETS, StaticFiles(directory=folder), name="review-assets")
