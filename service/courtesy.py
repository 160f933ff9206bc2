"""Threads that compute for milliseconds give way to those that answer in microseconds.

Linux lets a thread of its batch class run on when others wake up, and lets the event loop, which
is not in it, run at once. On two cores with 32 callers threads changed places half as often.

References
----------
sched(7), SCHED_BATCH.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

CAN_CHOOSE: Final = hasattr(os, "SCHED_BATCH")
"""Linux; elsewhere every thread stays as it is."""


def give_way() -> None:
    """The calling thread, and those that it starts from now on, compute without haste."""
    if CAN_CHOOSE:
        _choose(os.SCHED_BATCH)


@contextmanager
def giving_way() -> Iterator[None]:
    """The same for a while, for threads that a library starts; who has another class keeps it."""
    if not (CAN_CHOOSE and os.sched_getscheduler(0) == os.SCHED_OTHER):
        yield
        return
    give_way()
    try:
        yield
    finally:
        _choose(os.SCHED_OTHER)


def _choose(policy: int) -> None:
    """A sandbox may forbid it, and nothing is lost."""
    with suppress(OSError):
        os.sched_setscheduler(0, policy, os.sched_param(0))
