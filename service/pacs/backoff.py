"""How long to wait before the next try."""

from random import Random
from typing import Final

LONGEST_SECONDS: Final = 600.0
MOST_DOUBLINGS: Final = 30


def backoff_seconds(
    tries: int, *, first_seconds: float, random: Random, longest_seconds: float = LONGEST_SECONDS
) -> float:
    """Double with each try, up to a limit; half of it is chance, so that a burst spreads out.

    Parameters
    ----------
    tries
        That failed so far, at least 1.
    """
    doubled = first_seconds * 2.0 ** min(tries - 1, MOST_DOUBLINGS)
    whole = min(doubled, longest_seconds)
    return whole * (0.5 + 0.5 * random.random())
