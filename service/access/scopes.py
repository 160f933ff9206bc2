"""What a caller may be allowed, and what each path asks for.

A path that is in neither table is closed to everybody but `admin`: a route that somebody forgets
to declare here is a route that nobody reaches by accident. A test compares tables and routes.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a key or a person may do."""

    PREDICT = "predict"
    """Send radiographs."""
    REVIEW = "review"
    """See the pages and their JSON, give verdicts, try a radiograph."""
    ADMIN = "admin"
    """All of it, and what only operators do."""
    METRICS = "metrics"
    """Scrape the metrics."""


class Need(StrEnum):
    """What a path asks of its caller."""

    OPEN = "open"
    """Nothing: a probe has no key, and a sign-in has none yet."""
    KNOWN = "known"
    """Any key or session that holds."""
    PREDICT = Scope.PREDICT.value
    REVIEW = Scope.REVIEW.value
    ADMIN = Scope.ADMIN.value
    METRICS = Scope.METRICS.value


PATHS: Final[Mapping[str, Need]] = {
    "/healthz": Need.OPEN,
    "/readyz": Need.OPEN,
    "/model": Need.KNOWN,
    "/docs": Need.KNOWN,
    "/openapi.json": Need.KNOWN,
    "/metrics": Need.METRICS,
    "/predict": Need.PREDICT,
    "/explain": Need.PREDICT,
    "/notify": Need.PREDICT,
    "/": Need.REVIEW,
    "/review": Need.REVIEW,
    "/review/comparison": Need.REVIEW,
    "/review/disagreements": Need.REVIEW,
    "/review/golive": Need.REVIEW,
    "/review/queue": Need.REVIEW,
    "/review/thresholds": Need.REVIEW,
    "/review/thresholds/proposal": Need.REVIEW,
    "/review/try": Need.REVIEW,
    "/sign-in": Need.OPEN,
    "/sign-in/callback": Need.OPEN,
    "/sign-out": Need.KNOWN,
    "/signed-out": Need.OPEN,
}
"""Paths without a parameter. Whatever is open tells nothing about a radiograph or the site."""

BELOW: Final[Mapping[str, Need]] = {
    "/docs/assets/": Need.OPEN,
    "/review/static/": Need.OPEN,
    "/review/api/": Need.REVIEW,
    "/review/cases/": Need.REVIEW,
    "/review/disagreements/": Need.REVIEW,
}
"""Everything that begins with it. The open ones are files of installed packages."""

UPLOADS: Final = frozenset({"/predict", "/explain", "/review/try"})
"""These read a radiograph, and bound it themselves; any other body is a small form."""


def need_of(path: str) -> Need | None:
    """What a path asks for, by the very characters that the router compares; None if undeclared."""
    need = PATHS.get(path)
    if need is not None:
        return need
    start = declared_path(path)
    return None if start is None else BELOW[start]


def declared_path(path: str) -> str | None:
    """The entry of the tables that a path falls under: safe to log, whatever a stranger typed."""
    if path in PATHS:
        return path
    return next((start for start in BELOW if path.startswith(start)), None)


def may(scopes: frozenset[Scope], need: Need) -> bool:
    """Whether the holder of these scopes may have what a path asks for."""
    if need in (Need.OPEN, Need.KNOWN):
        return True
    return Scope.ADMIN in scopes or Scope(need.value) in scopes
