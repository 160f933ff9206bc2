"""The model that serves, as one bundle that can be exchanged while requests are under way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from service.batcher import Batcher
from service.case import ServedModel
from service.core.artifact import CURRENT, Artifact, Manifest, load_current
from service.core.errors import CxrError
from service.core.store import CANDIDATE
from service.drift_sighting import Comparison
from service.engine.base import Engine
from service.engine_watch import EngineWatch
from service.ledger import Ledger
from service.logs import describe_error
from service.pipeline import Pipeline

log: structlog.stdlib.BoundLogger = structlog.get_logger()

WATCH_SECONDS = 2.0
"""How often the store is asked whether another version was promoted."""


FINISH_SECONDS = 1.0
"""After which an engine opens what the first answers can do without."""


@dataclass(slots=True, kw_only=True)
class Serving:
    """One model with all that is made for it; counts who uses it."""

    manifest: Manifest
    model: ServedModel
    engine: Engine
    batcher: Batcher
    ledger: Ledger
    pipeline: Pipeline
    comparison: Comparison
    finishing: "Finishing"
    engine_watch: EngineWatch
    _users: int = 0
    _unused: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep it open for the length of one request."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self._unused.set()

    async def retire(self) -> None:
        """Close it once the last request that took it has its answer."""
        while self._users:
            self._unused.clear()
            await self._unused.wait()
        await self.close()

    async def close(self) -> None:
        """Score what is queued, then let the device go."""
        try:
            await self.batcher.close()
            await self.finishing.close()
            await self.engine_watch.close()
        finally:
            self.engine.close()


class Finishing:
    """Has an engine finished a moment after it serves; the first answers need the cores.

    Parameters
    ----------
    finish
        Blocks; called on a thread, or never if all is closed before.
    """

    def __init__(
        self, finish: Callable[[], None], *, after_seconds: float = FINISH_SECONDS
    ) -> None:
        self._finish = finish
        self._after_seconds = after_seconds
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="finishing")

    async def close(self) -> None:
        """Return once nothing is under way, and nothing will be."""
        self._closing.set()
        await self._task

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._after_seconds):
                await self._closing.wait()
        except TimeoutError:
            await asyncio.to_thread(self._finish)


class Slot:
    """Holds the bundle that new requests take.

    Parameters
    ----------
    on_switch
        Told of the new bundle, on the event loop.
    """

    def __init__(self, serving: Serving, on_switch: Callable[[Serving], None]) -> None:
        self.current = serving
        self._on_switch = on_switch
        self._retiring: set[asyncio.Task[None]] = set()

    @contextmanager
    def hold(self) -> Iterator[Serving]:
        """The bundle of this moment, kept open until the request that asked is done."""
        serving = self.current
        with serving.used():
            yield serving

    def switch(self, serving: Serving) -> None:
        """Let new requests take another bundle; those under way finish with theirs."""
        before, self.current = self.current, serving
        self._on_switch(serving)
        stamp = serving.model.stamp
        log.info("model.switched", model_name=stamp.name, model_version=stamp.version)
        task = asyncio.create_task(before.retire(), name="retire")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Score what is queued, then close every bundle."""
        await asyncio.gather(*self._retiring)
        await self.current.close()


def read_pointers(store: Path) -> str:
    """Which version serves and which is tried beside it, as the store says now."""
    return "\n".join(_read_pointer(store / name) for name in (CURRENT, CANDIDATE))


def _read_pointer(pointer: Path) -> str:
    """What it names; nothing where there is none."""
    try:
        return pointer.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def watch_store(
    store: Path,
    *,
    known: str,
    slot: Slot,
    open_serving: Callable[[Artifact], Awaitable[Serving]],
    open_candidate: Callable[[], Awaitable[None]],
    after_switch: Callable[[Serving], Awaitable[None]],
) -> "StoreWatch":
    """Follow `CURRENT` and `CANDIDATE` while the service runs.

    Parameters
    ----------
    known
        What they said before the bundle that serves was loaded.
    after_switch
        Told of a bundle once new requests take it, and not before.
    """

    async def follow() -> None:
        artifact = await asyncio.to_thread(load_current, store)
        if artifact.digest != slot.current.model.stamp.digest:
            serving = await open_serving(artifact)
            slot.switch(serving)
            await after_switch(serving)
        await open_candidate()

    return StoreWatch(read=partial(read_pointers, store), follow=follow, known=known)


class StoreWatch:
    """Looks whether the store's pointers changed, and has what they name opened.

    Whatever happens, what serves goes on serving. A version that is refused is not looked at again
    until the pointers change; what failed otherwise, a disk that is away, is tried at each look.

    Parameters
    ----------
    read
        What the pointers say now.
    follow
        Opens what they name.
    known
        What they said when it was last opened.
    """

    def __init__(
        self,
        *,
        read: Callable[[], str],
        follow: Callable[[], Awaitable[None]],
        known: str,
        seconds: float = WATCH_SECONDS,
    ) -> None:
        self._read = read
        self._follow = follow
        self._seconds = seconds
        self._known = known
        self._said: Mapping[str, object] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="store-watch")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> bool:
        """Look once; returns whether something new was opened."""
        try:
            named = await asyncio.to_thread(self._read)
            return named != self._known and await self._open(named)
        except Exception as error:  # noqa: BLE001 - task boundary: what serves goes on serving
            said = describe_error(error)
            if said != self._said:
                log.error("model.switch_failed", **said)
            self._said = said
            return False

    async def _open(self, named: str) -> bool:
        """Have it opened; tells whether it was, or was refused."""
        try:
            await self._follow()
        except CxrError as error:
            log.error("model.switch_refused", code=error.code)
            is_open = False
        else:
            is_open = True
        self._known, self._said = named, None
        return is_open

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self.look()
