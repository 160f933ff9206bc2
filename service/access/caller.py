"""Who asks, as the door found out."""

from dataclasses import dataclass
from typing import Final

from service.access.scopes import Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in."""

    name: str
    """Stands in the `actor` column of what they do."""
    scopes: frozenset[Scope] = frozenset()
    key_id: str | None = None
    max_body_bytes: int | None = None
    """Of an upload; None: as the service allows."""
    csrf_token: str | None = None
    """Of a person with a session: goes into each form of the pages."""


NOBODY: Final = Caller("nobody")
"""Asks for what is open."""

LOCAL: Final = Caller("local", frozenset(Scope))
"""Whoever sits at this machine, while access control is off."""
