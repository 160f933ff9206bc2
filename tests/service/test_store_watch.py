"""Whatever happens to the store, what serves goes on serving and later promotions are seen."""

from pathlib import Path

import pytest
import structlog

from service.core.artifact import CURRENT
from service.core.errors import ArtifactInvalid
from service.core.store import CANDIDATE
from service.serving import StoreWatch, read_pointers


class _Store:
    """Says what it is told to say, and opens it or fails."""

    def __init__(self) -> None:
        self.says: str | OSError = "first"
        self.failure: Exception | None = None
        self.opened: list[str] = []
        self.watch = StoreWatch(read=self._read, follow=self._follow, known="first")

    def _read(self) -> str:
        if isinstance(self.says, OSError):
            raise self.says
        return self.says

    async def _follow(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.opened.append(str(self.says))


async def test_a_promotion_is_opened_once() -> None:
    store = _Store()

    looks = [await store.watch.look()]
    store.says = "second"
    looks += [await store.watch.look(), await store.watch.look()]

    assert (looks, store.opened) == ([False, True, False], ["second"])


async def test_a_store_that_cannot_be_read_for_a_while_is_followed_again() -> None:
    store = _Store()
    store.says = OSError("stale handle")

    with structlog.testing.capture_logs() as logs:
        looks = [await store.watch.look() for _ in range(3)]
    store.says = "second"

    assert looks == [False] * 3
    assert [entry["event"] for entry in logs] == ["model.switch_failed"]
    assert await store.watch.look()


async def test_what_failed_is_tried_again_and_told_once() -> None:
    store = _Store()
    store.says, store.failure = "second", OSError("no space")

    with structlog.testing.capture_logs() as logs:
        looks = [await store.watch.look() for _ in range(3)]
    store.failure = None

    assert looks == [False] * 3
    assert len(logs) == 1
    assert await store.watch.look()


async def test_what_was_refused_is_not_tried_until_the_store_says_something_else() -> None:
    store = _Store()
    store.says, store.failure = "second", ArtifactInvalid("damaged")

    refused = await store.watch.look()
    store.failure = None

    assert [refused, await store.watch.look()] == [False, False]
    store.says = "third"
    assert await store.watch.look()


@pytest.mark.parametrize("missing", [CURRENT, CANDIDATE])
def test_a_pointer_that_is_not_there_names_nothing(tmp_path: Path, missing: str) -> None:
    for name in {CURRENT, CANDIDATE} - {missing}:
        (tmp_path / name).write_text("tiny/0.0.1", encoding="utf-8")

    assert sorted(read_pointers(tmp_path).split("\n")) == ["", "tiny/0.0.1"]
