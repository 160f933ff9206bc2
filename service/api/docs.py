"""GET /docs: the interactive page, from files of an installed package; no CDN is asked.

And what the document that it shows says of keys and of problems, which the framework cannot know:
the door asks for keys outside the routes, and a problem has a media type of its own.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from service.access.scopes import Need, need_of
from service.api.problems import MEDIA_TYPE

ASSETS = "/docs/assets"

OWN_HEAD = f"""<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="{ASSETS}/docs.css">
<script src="{ASSETS}/docs.js"></script>
"""
"""After the sheet of Swagger UI, whose colours fall short of WCAG's contrast in both themes."""

KEYS: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, as a bearer token."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
NONE_OR_ONE: Final[list[dict[str, list[str]]]] = [{}, {"bearer": []}, {"header": []}]
"""Without access control nobody is asked for one."""


def add_docs(app: FastAPI) -> None:
    """Serve Swagger UI (Apache-2.0) out of the package `fastapi-offline`, in colours of our own."""
    _describe_rest(app)
    folder = Path(str(files("fastapi_offline") / "static"))
    assets = StaticFiles(directory=folder, packages=[("service.api", "static")])
    app.mount(ASSETS, assets, name="docs-assets")

    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=app.title,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )
    text = bytes(page.body).decode().replace("<html>", '<html lang="en">', 1)
    text = text.replace("</head>", f"{OWN_HEAD}</head>", 1)
    page = HTMLResponse(text, headers={"Content-Security-Policy": _policy_of(text.encode())})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return page


def _describe_rest(app: FastAPI) -> None:
    """Tell clients that are made from the document where a key goes, and what a problem is."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        document["components"]["securitySchemes"] = KEYS
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["security"] = [] if need_of(path) is Need.OPEN else NONE_OR_ONE
                _move_problems(operation["responses"])
        return document

    app.openapi = openapi  # type: ignore[method-assign] # the framework's own way to add to it


def _move_problems(responses: Mapping[str, dict[str, Any]]) -> None:
    """Give the schema of a problem to the media type that is sent, where the framework has its own.

    A client made from the document takes what has no schema for an answer without a content.
    """
    for response in responses.values():
        content = response.get("content", {})
        if MEDIA_TYPE in content and "application/json" in content:
            content[MEDIA_TYPE] |= content.pop("application/json")


def _policy_of(page: bytes) -> str:
    """Its own files, and the one script that stands in the page, by its hash."""
    scripts = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
