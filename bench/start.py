"""How long from the first instruction to the first answer, cold and with a warm cache."""

from dataclasses import dataclass
from pathlib import Path

from bench.contenders import ours, running
from bench.serving import drop_folder, fresh_folder


@dataclass(frozen=True, slots=True)
class Started:
    """One start; ready is when the first upload has its answer."""

    is_warm: bool
    ready_seconds: float


def time_starts(store: Path, bodies: Path, *, rounds: int) -> list[Started]:
    """Each round starts cold, with an empty cache and no record, and then once more."""
    probe = next(iter(sorted(bodies.iterdir()))).read_bytes()
    found = []
    for _ in range(rounds):
        scratch = fresh_folder()
        try:
            for is_warm in (False, True):
                with running(ours(store, scratch), probe) as server:
                    found.append(Started(is_warm, server.ready_seconds))
        finally:
            drop_folder(scratch)
    return found
