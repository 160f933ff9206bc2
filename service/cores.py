"""How many cores this process may use; the machine may have more."""

import math
import os
from contextlib import suppress
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def count_cores(groups: Path = CONTROL_GROUPS, own_group: Path = OWN_GROUP) -> int:
    """Cores of the affinity mask, or fewer by the quota of the control group (cgroup v2).

    A container sees every core of its machine and may use as many as its quota pays for: more
    threads would be stopped in turns.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, math.ceil(min(allowed, _read_quota(groups, own_group))))


def _read_quota(groups: Path, own_group: Path) -> float:
    """Cores; infinite where nothing is set, or told."""
    with suppress(OSError, ValueError):
        _, _, path = own_group.read_text("utf-8").strip().partition("::/")
        microseconds, period = (groups / path / "cpu.max").read_text("utf-8").split()
        return int(microseconds) / int(period)  # "max" is no number
    return math.inf
