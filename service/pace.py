"""How fast recent batches were: what a refused caller is told, and which deadlines are hopeless."""

import math
from collections import deque

REMEMBERED_BATCHES = 32
"""Recent batches that the pace is read from; few enough to forget a slow minute quickly."""


class Pace:
    """How fast recent batches were, as a lower bound of what more would take.

    It must not overestimate: a caller refused on it would never have been late.
    """

    def __init__(self, max_images: int) -> None:
        self._max_images = max_images
        self._batches: deque[tuple[int, float]] = deque(maxlen=REMEMBERED_BATCHES)

    def note(self, images: int, seconds: float) -> None:
        """Remember one batch that went well."""
        self._batches.append((images, seconds))

    def seconds_for(self, images: int) -> float:
        """By the best pace per image, or per batch where only small batches were seen."""
        if not self._batches:
            return 0.0
        by_image = images * min(seconds / count for count, seconds in self._batches)
        batches = math.ceil(images / self._max_images)
        return min(by_image, batches * max(seconds for _, seconds in self._batches))
