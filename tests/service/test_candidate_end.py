"""What the end of a candidate leaves of the uploads that it was offered."""

import asyncio
from pathlib import Path

from service.candidate import CandidateScorer
from service.case import serve_model
from service.core.artifact import load_current
from service.core.intake import IntakeLimits
from service.engine.loading import open_engine
from service.metrics import CandidateEnding
from service.record import Evidence
from tests.support.radiographs import png_bytes


async def test_an_upload_that_is_being_scored_at_the_end_is_counted_as_dropped(
    tiny_store: Path,
) -> None:
    ended: list[CandidateEnding] = []
    noting = asyncio.Event()

    async def note(_evidence: Evidence) -> int:
        noting.set()
        never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await never

    async def wait_quiet(_seconds: float) -> None:
        """Nobody else is there."""

    artifact = load_current(tiny_store)
    scorer = CandidateScorer(
        model=serve_model(artifact), open_engine=lambda: open_engine(artifact),
        limits=IntakeLimits(), wait_quiet=wait_quiet, note=note, count=ended.append,
    )  # fmt: skip
    await scorer.start()
    scorer.offer("entry", png_bytes())
    scorer.offer("another", png_bytes())
    await noting.wait()
    await scorer.close()

    assert ended == [CandidateEnding.DROPPED] * 2
