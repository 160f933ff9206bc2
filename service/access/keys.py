"""An API key: how it is drawn, read, kept and compared.

A key is `cxr_<id>_<secret>`: the id is public and stands in logs, the secret has 256 random bits.
Only a SHA-256 is kept. A slow hash protects words that people choose, because those can be guessed;
2^256 secrets cannot, whatever a guess costs, and a slow hash in front of every request would let
anybody without a key keep the processor busy.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.access.refusals import CredentialsInvalid, KeyExpired, KeyRevoked
from service.access.scopes import Scope

ID_BYTES: Final = 6
SECRET_BYTES: Final = 32
FORM: Final = re.compile(r"cxr_(?P<id>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")
LENGTH: Final = len("cxr__") + 2 * ID_BYTES + 43
NOBODY: Final = bytes(32)
"""Compared with where the id is unknown, so that known and unknown ids cost the same."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the service knows it: all but the secret."""

    id: str
    name: str
    digest: bytes
    scopes: frozenset[Scope]
    expires: datetime | None
    revoked: datetime | None
    requests_per_minute: int | None
    max_body_bytes: int | None

    def check_alive(self, now: datetime) -> None:
        """Refuse a key that was good once.

        Raises
        ------
        KeyRevoked, KeyExpired
            Asked only once the secret was right, so that nobody else learns it.
        """
        if self.revoked is not None and self.revoked <= now:
            raise KeyRevoked(f"key {self.id} was revoked", key_id=self.id)
        if self.expires is not None and self.expires <= now:
            raise KeyExpired(f"key {self.id} has expired", key_id=self.id)


@dataclass(frozen=True, slots=True)
class Shown:
    """A key as a caller shows it."""

    id: str
    digest: bytes


def draw_key() -> tuple[str, Shown]:
    """A new key: its text, to be shown once, and what is kept of it."""
    text = f"cxr_{secrets.token_hex(ID_BYTES)}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return text, read_key(text)


def read_key(text: str) -> Shown:
    """Take a key apart.

    Raises
    ------
    CredentialsInvalid
        It has not the form of a key; nothing of it is repeated.
    """
    form = FORM.fullmatch(text) if len(text) == LENGTH else None
    if form is None:
        raise CredentialsInvalid("what was shown has not the form of a key")
    told = f"cxr-triage key {form['id']} {form['secret']}".encode("ascii")
    return Shown(form["id"], hashlib.sha256(told).digest())


def is_same(shown: Shown, known: ApiKey | None) -> bool:
    """Whether the secret is right, in a time that does not depend on where it differs."""
    return hmac.compare_digest(shown.digest, NOBODY if known is None else known.digest)
