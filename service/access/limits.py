"""Token buckets: a minute's worth at once, then as many as drip in; bounded in number."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MINUTE_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Buckets:
    """One bucket a name; the one that was longest not asked for is forgotten, and so full again.

    Parameters
    ----------
    most
        Buckets that are kept.
    clock
        Seconds, monotonic.
    """

    def __init__(self, *, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str, per_minute: int) -> float:
        """Take one token.

        Returns
        -------
        0 where there was one, else the seconds until there is.
        """
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._open(name, per_minute, now)
        self._buckets.move_to_end(name)
        dripped = (now - bucket.filled_at) * per_minute / MINUTE_SECONDS
        bucket.tokens = min(float(per_minute), bucket.tokens + dripped)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) * MINUTE_SECONDS / per_minute
        bucket.tokens -= 1
        return 0.0

    def _open(self, name: str, per_minute: int, now: float) -> _Bucket:
        bucket = self._buckets[name] = _Bucket(float(per_minute), now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket
