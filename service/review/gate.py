"""The one door to the pages: who may come in, and as whom their actions are recorded.

Until authentication is configured, the pages are served only where nobody but this machine can
ask: the service listens on a loopback address, the caller names a loopback host (a page elsewhere
that points its own name at 127.0.0.1 does not), and no proxy stands between.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

LOCAL: Final = "local"
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")
SAFE_METHODS: Final = ("GET", "HEAD")
CROSS_SITE: Final = ("cross-site", "same-site")


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody who may see the pages."""

    name: str
    """Stands in the `actor` column of what they do."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def let_in(request: Request) -> Reviewer:
    """Admit a caller on this machine; the application may put another rule in its place.

    Raises
    ------
    HTTPException
        404: whoever may not see the pages is not told that there are any.
    """
    rule: Callable[[Request], Reviewer | None] = getattr(
        request.app.state, "review_gate", local_reviewer
    )
    reviewer = rule(request)
    if reviewer is None or _is_forged(request):
        raise HTTPException(404)
    return reviewer


def local_reviewer(request: Request) -> Reviewer | None:
    """The rule without authentication."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    is_direct = not any(name in request.headers for name in FORWARDED)
    return Reviewer(LOCAL) if is_loopback(host) and is_direct else None


def _is_forged(request: Request) -> bool:
    """Whether another site's page sends this action in the reviewer's name."""
    if request.method in SAFE_METHODS:
        return False
    origin = request.headers.get("origin")
    is_foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    return is_foreign or request.headers.get("sec-fetch-site") in CROSS_SITE


AsReviewer = Annotated[Reviewer, Depends(let_in)]
