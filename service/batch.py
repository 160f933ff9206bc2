"""Who is in a batch, what became of it, and since when it is being scored."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.core.inference import Scores
from service.core.radiograph import Pixels


@dataclass(frozen=True, slots=True)
class Scored:
    """One radiograph's scores, and what its way through the batcher took."""

    scores: Scores
    queue_seconds: float
    inference_seconds: float
    batch_images: int


@dataclass(eq=False, slots=True)
class Waiting:
    """One caller of the batcher; times are on its clock."""

    pixels: Pixels = field(repr=False)
    deadline: float | None
    since: float
    answer: asyncio.Future[Scored]

    def succeed(self, scored: Scored) -> None:
        """Answer, unless the caller is gone."""
        if not self.answer.done():
            self.answer.set_result(scored)

    def fail(self, error: Exception) -> None:
        """Refuse, unless the caller is gone."""
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(eq=False, frozen=True, slots=True)
class Batch:
    """Those who are scored together."""

    members: Sequence[Waiting]
    since: float

    def fail(self, error: Exception) -> None:
        """Refuse all who have no answer yet."""
        for waiting in self.members:
            waiting.fail(error)
