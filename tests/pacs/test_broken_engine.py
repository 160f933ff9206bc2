"""An engine that is broken is told from an instance that no engine can score."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.core.inference import Outputs
from service.core.radiograph import Pixels
from service.engine.openvino import OpenVinoEngine
from tests.support.engines import NamelessEngine
from tests.support.fake_pacs import FakePacs, name_of, open_fake_pacs
from tests.support.inlet import open_way
from tests.support.orthanc import phantom

ONE, TWO = name_of(1), name_of(2)


@pytest.fixture
async def pacs(tmp_path: Path) -> AsyncIterator[FakePacs]:
    async with open_fake_pacs(tmp_path) as opened:
        yield opened


async def test_broken_engine_is_held_against_no_instance(
    pacs: FakePacs, tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_well, forward = threading.Event(), OpenVinoEngine.forward

    def fail_until_well(engine: OpenVinoEngine, batch_nchw: Pixels) -> Outputs:
        if not is_well.is_set():
            raise RuntimeError("the device is lost")
        return forward(engine, batch_nchw)

    is_well.set()
    monkeypatch.setattr(OpenVinoEngine, "forward", fail_until_well)
    async with open_way(pacs, tiny_store, max_tries=2) as way:
        await way.contact()
        is_well.clear()
        pacs.store(ONE, phantom(1))
        pacs.store(TWO, phantom(2))
        await way.until(lambda: way.events().count("batch.failed") > 4, "more than two tries each")
        is_well.set()
        await way.settled(answered=2)

    assert "engine.broken" in way.events()


async def test_radiograph_that_no_engine_can_score_is_a_dead_letter_of_a_sound_service(
    pacs: FakePacs, tiny_store: Path
) -> None:
    async with open_way(pacs, tiny_store, max_tries=2) as way:
        await way.contact()
        way.runtime.engine.forward = NamelessEngine().forward  # type: ignore[method-assign]  # its self-test has its own
        pacs.store(ONE, phantom(1))
        await way.settled(dead=1)

    (letter,) = way.queue.dead_letters()
    assert (letter.code, letter.tries) == ("ENGINE_FAILED", 2)
    assert "engine.broken" not in way.events()
