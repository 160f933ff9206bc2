"""As whom the actions on the pages are recorded; who may come in at all, the door has decided.

While access control is off, the pages are served only where nobody but this machine can ask: the
service listens on a loopback address, the caller names a loopback host (a page elsewhere that
points its own name at 127.0.0.1 does not), and no proxy stands between.
"""

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from service.access.addresses import is_loopback
from service.access.caller import LOCAL, Caller

SAFE_METHODS: Final = ("GET", "HEAD")
CROSS_SITE: Final = ("cross-site", "same-site")


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody who may see the pages."""

    name: str
    """Stands in the `actor` column of what they do."""


def let_in(request: Request) -> Reviewer:
    """The person or program that the door let in.

    Raises
    ------
    HTTPException
        404, while access control is off: whoever may not see the pages is not told that there are
        any.
    """
    caller: Caller = request.state.caller
    is_stranger = caller == LOCAL and not _names_this_machine(request)
    if is_stranger or (caller.csrf_token is None and _is_forged(request)):
        raise HTTPException(404)
    return Reviewer(caller.name)


def _names_this_machine(request: Request) -> bool:
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    return is_loopback(host)


def _is_forged(request: Request) -> bool:
    """Whether another site's page sends this action; of a session the door asks for more."""
    if request.method in SAFE_METHODS:
        return False
    origin = request.headers.get("origin")
    is_foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    return is_foreign or request.headers.get("sec-fetch-site") in CROSS_SITE


AsReviewer = Annotated[Reviewer, Depends(let_in)]
