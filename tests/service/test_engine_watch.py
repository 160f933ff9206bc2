"""A broken engine is told from radiographs that no engine can score, and found again once well."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from service.core.errors import SelfTestFailed
from service.engine_watch import EngineWatch


class _Engine:
    """Counts its failures, and passes the self-test or not."""

    def __init__(self) -> None:
        self.failures = 0
        self.is_well = True
        self.proofs = 0

    def prove(self) -> None:
        self.proofs += 1
        if not self.is_well:
            raise SelfTestFailed("golden: the engine fails")


@asynccontextmanager
async def _watching(engine: _Engine) -> AsyncIterator[EngineWatch]:
    watch = EngineWatch(
        lambda: engine.failures, engine.prove, look_seconds=0.001, rest_seconds=0.001
    )
    try:
        yield watch
    finally:
        await watch.close()


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - a thread proves, and tells nobody here
            await asyncio.sleep(0.001)


async def test_engine_that_fails_its_self_test_is_broken_until_it_passes() -> None:
    engine = _Engine()
    with structlog.testing.capture_logs() as logs:
        async with _watching(engine) as watch:
            was_broken = watch.is_broken
            engine.is_well, engine.failures = False, 1
            await _until(lambda: watch.is_broken)
            await _until(lambda: engine.proofs > 3)
            engine.is_well = True
            await _until(lambda: not watch.is_broken)

    assert not was_broken
    assert [entry["event"] for entry in logs] == ["engine.broken", "engine.recovered"]


async def test_radiographs_that_no_engine_can_score_do_not_make_it_broken() -> None:
    engine = _Engine()
    async with _watching(engine) as watch:
        engine.failures = 1
        await _until(lambda: engine.proofs == 1)
        engine.failures = 2
        await _until(lambda: engine.proofs == 2)

        assert not watch.is_broken


async def test_engine_that_never_failed_is_asked_nothing() -> None:
    engine = _Engine()
    engine.failures = 5
    async with _watching(engine):
        await asyncio.sleep(0.02)

    assert engine.proofs == 0


async def test_judgement_that_is_waited_for_speaks_of_the_failure_before_it() -> None:
    engine = _Engine()
    async with _watching(engine) as watch:
        await watch.wait_judged()
        asked_before_a_failure = engine.proofs
        engine.is_well, engine.failures = False, 1
        await watch.wait_judged()

        assert (asked_before_a_failure, watch.is_broken) == (0, True)


async def test_nobody_waits_for_the_judgement_of_an_engine_that_is_closed() -> None:
    engine = _Engine()
    watch = EngineWatch(lambda: engine.failures, engine.prove, look_seconds=3600)
    engine.failures = 1
    waiting = asyncio.create_task(watch.wait_judged())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await watch.close()
        await waiting

    assert engine.proofs == 0


async def test_closing_waits_for_no_rest() -> None:
    engine = _Engine()
    watch = EngineWatch(lambda: 0, engine.prove, look_seconds=3600, rest_seconds=3600)

    async with asyncio.timeout(30):
        await watch.close()
