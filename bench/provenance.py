"""What a page of results is of: which commit, machine and effort, and who was not there."""

import platform
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ENGINES = ("openvino", "torch")
PAGE = Path("docs/benchmarks.md")


class DirtyTree(Exception):
    """What would be written could not be told from the commit that it names."""


@dataclass(frozen=True, slots=True)
class Ran:
    """The effort of one run.

    Attributes
    ----------
    rounds, seconds
        How often each was measured, and for how long at least.
    parts, skipped
        Names of what was run so far, and of what was not.
    peers, missing
        Servers that ours was compared with, and why each other one was not.
    """

    rounds: int
    seconds: float
    parts: Sequence[str]
    skipped: Sequence[str]
    peers: Sequence[str]
    missing: dict[str, str]


def missing_peers(
    known: Sequence[str],
    chosen: Collection[str],
    is_installed: Callable[[str], bool],
    *,
    measured: Collection[str],
    engines: Sequence[str] = ENGINES,
) -> dict[str, str]:
    """Each peer that was not measured, and why."""
    missing: dict[str, str] = {}
    for name in known:
        if name not in chosen:
            why = "not chosen"
        elif not is_installed(name):
            why = "not installed"
        else:
            why = "did not start"
        labels = (f"{name} ({engine})" for engine in engines)
        missing |= {label: why for label in labels if label not in measured}
    return missing


def refuse_dirt(root: Path) -> None:
    """Refuse to write the page beside changes that are in no commit.

    Raises
    ------
    DirtyTree
        Something else than the page differs from the commit, or there is no commit.
    """
    status = _git(root, "status", "--porcelain", "--", ".", f":!{PAGE.as_posix()}")
    if status.returncode:
        raise DirtyTree(f"{PAGE} names a commit, and git knows none here: {status.stderr.strip()}")
    if status.stdout:
        raise DirtyTree(
            f"{PAGE} names a commit, and this tree differs from it; commit or stash these, or run "
            f"without --write:\n{status.stdout.rstrip()}"
        )


def describe(ran: Ran | None) -> str:
    """Machine, commit and effort, for the head of the page."""
    if ran is None:
        return _machine()
    missing = [f"{name}, {why}" for name, why in ran.missing.items()]
    return (
        f"{_machine()}\n\n"
        f"{ran.rounds} round{'s' * (ran.rounds != 1)} of {ran.seconds:g} s at least for each "
        f"number. Parts: {_list(ran.parts)}. Not run: {_list(ran.skipped)}.\n\n"
        f"Peers: {_list(ran.peers)}. Missing: {_list(missing, '; ')}."
    )


def _list(words: Sequence[str], between: str = ", ") -> str:
    return between.join(words) or "none"


def _machine() -> str:
    words = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in words if line.startswith("model name")]
    commit = _git(Path.cwd(), "describe", "--always").stdout.strip()
    try:
        refuse_dirt(Path.cwd())
    except DirtyTree:
        commit = f"{commit}-dirty"
    now = datetime.now(UTC).date().isoformat()
    machine = f"{len(names)} cores of {names[0]}, Python {platform.python_version()}"
    return f"{now}, {machine}, commit {commit}."


def _git(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
