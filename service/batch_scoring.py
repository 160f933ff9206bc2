"""One batch -> one outcome for each of its radiographs, whatever the engine does.

Axes: N images, C channels, S side.
"""

from collections.abc import Callable, Sequence

from service.core.errors import EngineFailed
from service.core.inference import Scores, stack_pixels
from service.core.radiograph import Pixels

ScoreBatch = Callable[[Pixels], Sequence[Scores]]
"""(N, 1, S, S) -> one `Scores` each, in order."""

Outcome = Scores | EngineFailed


def score_each(score: ScoreBatch, batch: Sequence[Pixels]) -> list[Outcome]:
    """One outcome a radiograph; after a failure each is scored alone, so that one alone fails."""
    try:
        return [_checked(scores) for scores in _score_all(score, batch)]
    except Exception as error:  # noqa: BLE001 - task boundary: an engine may raise anything
        if len(batch) == 1:
            return [_failed("the engine failed on this radiograph", error)]
    return [outcome for pixels in batch for outcome in score_each(score, [pixels])]


def score_timed(
    score: ScoreBatch, batch: Sequence[Pixels], clock: Callable[[], float]
) -> tuple[list[Outcome], float]:
    """The same, and the seconds that it took."""
    started = clock()
    outcomes = score_each(score, batch)
    return outcomes, clock() - started


def _score_all(score: ScoreBatch, batch: Sequence[Pixels]) -> Sequence[Scores]:
    scored = score(stack_pixels(batch))
    if len(scored) != len(batch):
        raise ValueError(f"the engine gave {len(scored)} scores for {len(batch)} radiographs")
    return scored


def _checked(scores: Scores) -> Outcome:
    """A comparison with NaN is false: such scores would raise no flag, so they are no scores."""
    if scores.is_finite:
        return scores
    return EngineFailed("the engine gave scores that are not numbers")


def _failed(message: str, cause: Exception) -> EngineFailed:
    failed = EngineFailed(message)
    failed.__cause__ = cause
    return failed
