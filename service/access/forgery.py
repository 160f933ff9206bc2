"""Whether another site's page acts in the name of a person who is signed in.

A cookie goes along with whatever a browser sends, so an action by session must prove that one of
our own pages sent it: by what the browser says of the sender, which no page can change, and by a
token that only our pages hold. A key needs neither: a browser never adds it by itself.
"""

import hmac
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers

from service.access.refusals import ForgedRequest

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_HEADER: Final = "x-csrf-token"
TOKEN_FIELD: Final = "csrf_token"
FORM: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 100


def origin_of(url: str) -> str:
    """Scheme and host of an address, as a browser names an origin."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def check_sender(headers: Headers, *, origin: str) -> None:
    """Refuse what the browser says that another page sent, or does not vouch for.

    Raises
    ------
    ForgedRequest
        The sender is not a page of `origin`.
    """
    site, sender = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and sender is None:
        raise ForgedRequest("an action by session must name the page that sent it")
    if site not in (None, "same-origin") or sender not in (None, origin):
        raise ForgedRequest("the action was sent by a page of another site")


def is_form(headers: Headers) -> bool:
    """Whether the token may stand in the body."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


def token_in(body: bytes) -> str | None:
    """The token of a form, if it holds exactly one."""
    try:
        found = parse_qs(body.decode("ascii"), max_num_fields=MOST_FIELDS).get(TOKEN_FIELD, [])
    except ValueError:
        return None
    return found[0] if len(found) == 1 else None


def check_token(shown: str | None, expected: str | None) -> None:
    """Refuse an action without the token of its session.

    Raises
    ------
    ForgedRequest
        Missing, or another one.
    """
    told, known = (shown or "").encode(), (expected or "").encode()
    if not known or not hmac.compare_digest(told, known):
        raise ForgedRequest("the action does not hold the token of the session; load the page anew")
