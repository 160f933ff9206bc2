"""The pages as a browser asks them, with a provider that answers what a test wants."""

from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from service.access.caller import Caller
from service.access.scopes import Scope
from service.core.errors import CxrError
from tests.support.access import TOKEN, OneProvider
from tests.support.apps import OpenApp

ANNA = Caller("anna (42)", frozenset({Scope.REVIEW}), csrf_token=TOKEN)


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages, asked as a browser would."""

    app: OpenApp
    client: httpx.AsyncClient
    url: str
    keys_file: Path

    def answer(self, told: Caller | CxrError) -> OneProvider:
        """Put a provider in place that answers so."""
        provider = OneProvider(told)
        state = self.app.app.state
        state.access = replace(state.access, provider=provider)
        return provider

    async def sign_in(self, asked: str = "/review") -> httpx.Response:
        """Go to the provider and back."""
        await self.client.get("/sign-in", params={"next": asked})
        return await self.client.get("/sign-in/callback?code=c&state=state")
