"""Who asks, and may they? Decided from the head of a request, before a byte of its body is read."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.types import Scope as Request

from service.access.addresses import peer_of
from service.access.caller import LOCAL, NOBODY, Caller
from service.access.keyfile import MOST_KEYS
from service.access.keyring import KeyRing
from service.access.limits import Buckets
from service.access.refusals import (
    AccessRefused,
    CredentialsInvalid,
    CredentialsMissing,
    ProxyRefused,
    RateLimited,
    ScopeMissing,
)
from service.access.scopes import Need, may
from service.access.sessions import Sessions

SESSION_COOKIE: Final = "__Host-cxr_session"
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")
BEARER: Final = "bearer"
MOST_PEERS: Final = 4096
MOST_SIGN_INS_PER_MINUTE: Final = 30


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a minute of a key without its own limit; failures a minute of an address."""

    requests: int
    failures: int


class Gatekeeper:
    """Access control that is on.

    Failures are limited by address and never keep a good key out: behind one proxy all callers may
    share an address, and nobody should be able to lock the others out. A secret of 256 bits needs
    no such help; the limit spares the log and the processor.
    """

    def __init__(
        self, *, ring: KeyRing, sessions: Sessions, rates: Rates, clock: Callable[[], float]
    ) -> None:
        self._ring = ring
        self._sessions = sessions
        self._rates = rates
        self._requests = Buckets(most=MOST_KEYS, clock=clock)
        self._failures = Buckets(most=MOST_PEERS, clock=clock)
        self._sign_ins = Buckets(most=MOST_PEERS, clock=clock)

    @property
    def is_on(self) -> bool:
        """Whether callers are asked who they are."""
        return True

    def unready_reasons(self) -> list[str]:
        """Codes of what keeps every key out."""
        return [] if self._ring.is_available else ["KEYS_UNAVAILABLE"]

    def next_expiry(self) -> float:
        """Unix time at which the first key without a successor ends."""
        return self._ring.next_expiry

    def last_expiry(self) -> float:
        """Unix time at which the last expired key without a successor ended."""
        return self._ring.last_expiry

    def admit(self, request: Request, headers: Headers, need: Need | None) -> Caller:
        """Find out who asks, and whether they may.

        Parameters
        ----------
        need
            None: the path is not declared, so only `admin` may learn what is there.

        Raises
        ------
        AccessRefused, RateLimited, KeysUnavailable, HTTPException
            They may not, or not now, or are not told that there is anything.
        """
        if need is Need.OPEN:
            return NOBODY
        try:
            caller = self._identify(headers)
        except AccessRefused as refusal:
            self._count_failure(request, refusal)
            raise
        if need is None and not may(caller.scopes, Need.ADMIN):
            raise HTTPException(404)
        if need is not None and not may(caller.scopes, need):
            raise ScopeMissing(f"the scope {need} is needed here", key_id=caller.key_id)
        return caller

    def count_sign_in(self, request: Request) -> None:
        """Count one begun sign-in of an address.

        Raises
        ------
        RateLimited
            Too many.
        """
        wait = self._sign_ins.take(peer_of(request), MOST_SIGN_INS_PER_MINUTE)
        if wait:
            raise RateLimited("too many sign-ins from one address", retry_after_seconds=ceil(wait))

    def _identify(self, headers: Headers) -> Caller:
        text = key_in(headers)
        if text is not None:
            return self._holder(text)
        name = cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE)
        session = None if name is None else self._sessions.get(name)
        if session is None:
            raise CredentialsMissing("an API key, or a session of the pages, is needed here")
        return session

    def _holder(self, text: str) -> Caller:
        key = self._ring.find(text)
        wait = self._requests.take(key.id, key.requests_per_minute or self._rates.requests)
        if wait:
            raise RateLimited(
                f"more requests than key {key.id} may send", retry_after_seconds=ceil(wait),
                key_id=key.id,
            )  # fmt: skip
        return Caller(
            name=f"{key.name} (key {key.id})", scopes=key.scopes, key_id=key.id,
            max_body_bytes=key.max_body_bytes,
        )  # fmt: skip

    def _count_failure(self, request: Request, refusal: AccessRefused) -> None:
        wait = self._failures.take(peer_of(request), self._rates.failures)
        if wait:
            raise RateLimited(
                "too many refusals of one address", retry_after_seconds=ceil(wait),
                key_id=refusal.key_id,
            )  # fmt: skip


class OpenHouse:
    """Access control that is off: whoever sits at this machine may do all, through no proxy."""

    @property
    def is_on(self) -> bool:
        """Whether callers are asked who they are."""
        return False

    def unready_reasons(self) -> list[str]:
        """Nothing can be missing."""
        return []

    def next_expiry(self) -> float:
        """No key ends."""
        return float("inf")

    def last_expiry(self) -> float:
        """No key has ended."""
        return float("inf")

    def admit(self, request: Request, headers: Headers, need: Need | None) -> Caller:
        """Let in whoever comes directly.

        Raises
        ------
        ProxyRefused
            A proxy brings callers from elsewhere to a service that asks them nothing.
        """
        if need is not Need.OPEN and any(name in headers for name in FORWARDED):
            raise ProxyRefused("access control is off, and a proxy stands between")
        return LOCAL


def key_in(headers: Headers) -> str | None:
    """The key that a caller shows in `Authorization: Bearer` or `X-API-Key`.

    Raises
    ------
    CredentialsInvalid
        Several, or another way to authenticate.
    """
    shown = [_bearer(value) for value in headers.getlist("authorization")]
    shown += headers.getlist("x-api-key")
    if len(shown) > 1:
        raise CredentialsInvalid("more than one credential is shown")
    return shown[0] if shown else None


def _bearer(value: str) -> str:
    scheme, _, key = value.partition(" ")
    if scheme.lower() != BEARER:
        raise CredentialsInvalid("the only scheme of Authorization here is Bearer")
    return key.strip(" ")
