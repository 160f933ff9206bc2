"""Keys, sessions and settings of access control for tests."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from service.access.caller import Caller
from service.access.gatekeeper import SESSION_COOKIE
from service.access.keyfile import StoredKey, edit_keys
from service.access.keys import draw_key
from service.access.opening import Access
from service.access.options import AccessSettings
from service.access.scopes import Scope
from service.access.sessions import SignIn
from service.core.errors import CxrError

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
SITE = "https://triage.example"
TOKEN = "the-token-of-this-session"


def access_on(folder: Path, **changes: Any) -> AccessSettings:
    """Access control with a keys file in `folder`; `changes` are fields."""
    plain: dict[str, Any] = {"mode": "on", "keys_file": folder / "keys.json", "public_url": SITE}
    return AccessSettings(**(plain | changes))


def sign_in_on(folder: Path, **changes: Any) -> AccessSettings:
    """As `access_on`, with a provider that nobody asks."""
    return access_on(
        folder,
        oidc_issuer="https://login.example",
        oidc_client_id="cxr-triage",
        oidc_groups={"radiology": "review"},
        **changes,
    )


def add_key(path: Path, *scopes: Scope, now: datetime | None = None, **changes: Any) -> str:
    """Write one more key; returns its text."""
    text, shown = draw_key()
    at = datetime.now(UTC) if now is None else now
    key = StoredKey(
        id=shown.id, name="a program", digest=shown.digest.hex(), scopes=list(scopes),
        created=at - timedelta(days=1), **changes,
    )  # fmt: skip
    edit_keys(path, lambda file: file.with_key(key), now=at)
    return text


def id_of(text: str) -> str:
    """The public half of a key."""
    return text.split("_")[1]


def bearer(text: str) -> dict[str, str]:
    """Headers that show a key."""
    return {"Authorization": f"Bearer {text}"}


def open_session(app: FastAPI, *scopes: Scope, name: str = "anna (42)") -> dict[str, str]:
    """Headers of a person who signed in."""
    access: Access = app.state.access
    cookie = access.sessions.put(Caller(name, frozenset(scopes), csrf_token=TOKEN))
    return {"Cookie": f"{SESSION_COOKIE}={cookie}"}


class OneProvider:
    """An identity provider that answers what a test wants."""

    def __init__(self, answer: Caller | CxrError) -> None:
        self.answer = answer
        self.asked: list[Mapping[str, str]] = []

    async def begin(self, next_path: str) -> tuple[str, SignIn]:
        """Send everybody to one place."""
        if isinstance(self.answer, CxrError):
            raise self.answer
        return "https://login.example/auth", SignIn("state", "nonce", "verifier", next_path)

    async def finish(self, sign_in: SignIn, answer: Mapping[str, str]) -> Caller:
        """Say who it was."""
        self.asked.append({"state": sign_in.state, **answer})
        if isinstance(self.answer, CxrError):
            raise self.answer
        return self.answer

    async def end_address(self) -> str | None:
        """Where the provider's own session ends."""
        return "https://login.example/end"
