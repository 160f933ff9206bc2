"""Clocks that stand still until a test moves them."""

from datetime import datetime


class ManualClock:
    """Seconds, monotonic; call it to read it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Calendar:
    """A date and time, with a zone; call it to read it, set `now` to move it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time."""
        return self.now
