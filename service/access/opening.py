"""Options -> everything that access control is made of."""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin

from service.access.caller import Caller
from service.access.gatekeeper import Gatekeeper, OpenHouse, Rates
from service.access.keyring import KeyRing
from service.access.options import AccessSettings
from service.access.people import GroupRule
from service.access.refusals import SecretUnreadable
from service.access.sessions import Sessions, SignIn, SignIns, open_sessions

CALLBACK = "/sign-in/callback"


class SendsToProvider(Protocol):
    """What the pages ask of an identity provider; `service.access.provider` explains each."""

    async def begin(self, next_path: str) -> tuple[str, SignIn]:
        """Where to send somebody, and what must come back."""
        ...

    async def finish(self, sign_in: SignIn, answer: Mapping[str, str]) -> Caller:
        """Who came back."""
        ...

    async def end_address(self) -> str | None:
        """Where a session at the provider ends."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the application holds of it."""

    gatekeeper: Gatekeeper | OpenHouse
    sessions: Sessions
    sign_ins: SignIns
    provider: SendsToProvider | None
    public_url: str | None
    is_https: bool


def _now() -> datetime:
    return datetime.now(UTC)


def open_access(
    options: AccessSettings,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = _now,
) -> Access:
    """Build it; neither the keys file nor the provider is asked yet."""
    sessions, sign_ins = open_sessions(
        idle_seconds=options.session_idle_seconds, seconds=options.session_seconds, clock=clock
    )
    gatekeeper: Gatekeeper | OpenHouse = OpenHouse()
    if options.mode == "on":
        gatekeeper = Gatekeeper(
            ring=KeyRing(options.keys_file, clock=now),
            sessions=sessions,
            rates=Rates(options.requests_per_minute, options.failures_per_minute),
            clock=clock,
        )
    return Access(
        gatekeeper=gatekeeper, sessions=sessions, sign_ins=sign_ins,
        provider=_open_provider(options), public_url=options.public_url,
        is_https=options.is_https,
    )  # fmt: skip


def _open_provider(options: AccessSettings) -> SendsToProvider | None:
    if options.oidc_issuer is None:
        return None
    from service.access.provider import (  # noqa: PLC0415 - optional, half a second to import
        Provider,
        ProviderAddress,
    )

    _refuse_unreadable(options.oidc_ca_file)
    address = ProviderAddress(
        issuer=options.oidc_issuer,
        client_id=options.oidc_client_id or "",
        client_secret=_read_secret(options.oidc_client_secret_file),
        scope=options.oidc_scope,
        callback_url=urljoin(options.public_url or "", CALLBACK),
        ca_file=options.oidc_ca_file,
    )
    rule = GroupRule(options.oidc_groups_claim, options.oidc_name_claim, options.oidc_groups)
    return Provider(address, rule)


def _refuse_unreadable(ca_file: Path | None) -> None:
    if ca_file is None:
        return
    try:
        ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SecretUnreadable("oidc_ca_file cannot be read, or holds no certificate") from error


def _read_secret(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnreadable("oidc_client_secret_file cannot be read") from error
