"""Claims of an identity provider -> a person, and what their groups allow."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.access.caller import Caller
from service.access.refusals import ScopeMissing, SignInFailed
from service.access.scopes import Scope
from service.core.plain_text import is_plain

SUBJECT: Final = "sub"
MOST_CHARACTERS: Final = 128
TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class GroupRule:
    """How claims are read.

    Parameters
    ----------
    groups_claim
        Names the claim that lists a person's groups; dots lead into objects, as in
        `realm_access.roles`.
    name_claim
        Names the claim that people know each other by.
    scopes
        What membership of a group allows; other groups allow nothing.
    """

    groups_claim: str
    name_claim: str
    scopes: Mapping[str, Scope]

    def admit(self, claims: Mapping[str, Any]) -> Caller:
        """The person that the claims name, for a new session.

        Raises
        ------
        SignInFailed
            They name nobody.
        ScopeMissing
            Nothing is allowed to any of their groups.
        """
        name = self._name(claims)
        allowed = frozenset(
            self.scopes[group] for group in self._groups(claims) if group in self.scopes
        )
        if not allowed:
            raise ScopeMissing("none of your groups may use this service")
        return Caller(name, allowed, csrf_token=secrets.token_urlsafe(TOKEN_BYTES))

    def has_groups(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claims say anything of groups; if not, the provider may be asked for more."""
        return any(True for _ in self._groups(claims))

    def _name(self, claims: Mapping[str, Any]) -> str:
        """The name with the subject, which alone is unique and never given to another person."""
        subject = _plain(claims.get(SUBJECT))
        if subject is None:
            raise SignInFailed("the identity provider named nobody")
        name = _plain(claims.get(self.name_claim))
        return subject if name in (None, subject) else f"{name} ({subject})"

    def _groups(self, claims: Mapping[str, Any]) -> Iterator[str]:
        told: object = claims
        for part in self.groups_claim.split("."):
            told = told.get(part) if isinstance(told, Mapping) else None
        listed = [told] if isinstance(told, str) else told
        if isinstance(listed, list):
            yield from (group for group in listed if isinstance(group, str))


def _plain(value: object) -> str | None:
    """A short plain text, or nothing: it goes into the record and onto pages."""
    is_name = isinstance(value, str) and 0 < len(value) <= MOST_CHARACTERS and is_plain(value)
    return str(value) if is_name else None
