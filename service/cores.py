"""How many cores this process may use; the machine may have more."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def count_cores(groups: Path = CONTROL_GROUPS, own_group: Path = OWN_GROUP) -> int:
    """Cores of the affinity mask, or fewer by the quota of a control group.

    A container sees every core of its machine and may use as many as its quota pays for: more
    threads would be stopped in turns.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, math.ceil(min(allowed, *_quotas(groups, own_group))))


def choose_threads(asked: int) -> int:
    """Threads for a library that takes each core it sees, and sees no quota.

    Returns
    -------
    What was asked for, or as many as the quota pays for; 0 where it may take them all.
    """
    cores = count_cores()
    return asked or (cores if cores < len(os.sched_getaffinity(0)) else 0)


def _quotas(groups: Path, own_group: Path) -> Iterator[float]:
    """Cores, by each group that this process is in; infinite where nothing is set, or told."""
    yield math.inf
    with suppress(OSError, ValueError):
        _, _, path = own_group.read_text("utf-8").strip().partition("::/")
        for folder in (groups / path, *(groups / path).parents):
            yield from _quota(folder / "cpu.max")
            if folder == groups:
                break
    # Version 1, where a container sees its own group as the first.
    with suppress(OSError, ValueError):
        microseconds, period = (
            int((groups / "cpu" / name).read_text("utf-8"))
            for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        )
        yield microseconds / period if microseconds > 0 else math.inf


def _quota(file: Path) -> Iterator[float]:
    with suppress(OSError, ValueError):
        microseconds, period = file.read_text("utf-8").split()
        yield int(microseconds) / int(period)  # "max" is no number
