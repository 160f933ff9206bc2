"""A real OpenID Connect provider as a process, and a person who types into its forms."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx

FOLDER = Path(__file__).parents[1] / "access/oidc"
NODE = shutil.which("node")
CLIENT_SECRET = "a-secret-of-this-test"
ACTION = re.compile(r'<form[^>]*action="([^"]+)"')
PROMPT = re.compile(r'name="prompt" value="(\w+)"')
ABORT = re.compile(r'href="([^"]+/abort)"')


def missing_provider() -> str | None:
    """What keeps the provider from running here; None if nothing does."""
    if NODE is None:
        return "node (Debian's nodejs)"
    if not (FOLDER / "node_modules").is_dir():
        return "packages of `npm ci` in tests/access/oidc"
    return None


@contextmanager
def running_provider(callback: str) -> Iterator[str]:
    """Start it for a client with this callback; gives its address."""
    process = subprocess.Popen(
        [NODE or "node", str(FOLDER / "provider.mjs"), callback],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


class Person:
    """Somebody with a browser of their own, at the provider's pages."""

    def __init__(self, login: str) -> None:
        self._login = login
        self._client = httpx.AsyncClient(timeout=60)

    async def agree(self, address: str) -> str:
        """Sign in and consent; returns where the provider sends them in the end."""
        page = await self._follow(address)
        while isinstance(page, httpx.Response):
            action, prompt = ACTION.search(page.text), PROMPT.search(page.text)
            assert action is not None, page.text
            assert prompt is not None
            form = {"prompt": prompt[1], "login": self._login, "password": "any"}
            sent = await self._client.post(urljoin(str(page.url), action[1]), data=form)
            page = await self._follow(urljoin(str(page.url), sent.headers["location"]))
        return page

    async def decline(self, address: str) -> str:
        """Leave by the provider's own way out."""
        page = await self._follow(address)
        assert isinstance(page, httpx.Response)
        abort = ABORT.search(page.text)
        assert abort is not None, page.text
        back = await self._follow(urljoin(str(page.url), abort[1]))
        assert isinstance(back, str)
        return back

    async def close(self) -> None:
        """Close the browser."""
        await self._client.aclose()

    async def _follow(self, address: str) -> httpx.Response | str:
        """Go where redirects lead: to a page of the provider, or away from it."""
        home = httpx.URL(address).netloc
        while httpx.URL(address).netloc == home:
            page = await self._client.get(address)
            if not page.is_redirect:
                return page
            address = urljoin(address, page.headers["location"])
        return address
