"""What takes microseconds of the event loop: the door's decision, and an answer as JSON.

CPU time of the thread; each is called a thousand times a round, and the least of the rounds counts.
`python -m bench.micro` prints the table.
"""

import argparse
import math
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from pydantic_core import to_json
from starlette.responses import JSONResponse

from bench.tables import table
from service.admission import Admission
from service.core.errors import CapacityError
from service.turns import Turn

CALLS = 1000
ROUTINE = Turn()
ANSWER = {
    "id": "01a22b4e-a701-746a-a66f-b153ba46aba3",
    "mode": "live",
    "notice": "Research use only. Not a medical device.",
    "status": "evaluated",
    "reason": None,
    "detail": None,
    "model": {"name": "tiny", "version": "0.0.1", "digest": f"sha256:{'b2' * 32}"},
    "probabilities": {"normal": 0.27983763, "pneumonia": 0.22224980, "tuberculosis": 0.49791246},
    "uncertainty": {
        "tta_spread": {"normal": 0.01962149, "pneumonia": 0.01983999, "tuberculosis": 0.03946147},
        "out_of_distribution": None,
    },
    "triage": {"priority": "review", "flags": [], "review_reasons": ["REFER_ZONE"]},
    "warnings": [{"code": "NO_METADATA", "detail": "no DICOM tags: modality, view unchecked"}],
    "replay": False,
    "seconds": {"decode": 0.040403, "queue": 0.000118, "inference": 0.004467, "record": 0.026569},
}
"""As one of version 1 is."""


def microseconds_of(work: Callable[[], object], *, rounds: int) -> float:
    """CPU time of this thread for one call."""
    least = math.inf
    for _ in range(rounds):
        started = time.thread_time()
        for _ in range(CALLS):
            work()
        least = min(least, time.thread_time() - started)
    return least / CALLS * 1e6


def knock(door: Admission, seconds: float) -> str | None:
    """Code of the refusal; None if it lets in."""
    try:
        door.knock(ROUTINE, seconds=seconds)
    except CapacityError as refusal:
        return refusal.code
    return None


def busy_door(held: ExitStack, *, places: int) -> Admission:
    """A door with 64 uploads at work, whose answers take a tenth of a second each."""
    now = iter(np.arange(0.0, 1000.0, 0.1).tolist())
    door = Admission(
        max_requests=places, max_in_flight_bytes=1 << 30, is_queue_full=lambda: False,
        clock=lambda: next(now),
    )  # fmt: skip
    for _ in range(64):
        held.enter_context(door.enter(ROUTINE)).begin_work(math.inf)
    for _ in range(64):
        with door.enter(ROUTINE) as place:
            place.begin_work(math.inf)
    return door


def measure(*, rounds: int) -> dict[str, float]:
    """Microseconds of each."""
    plain = JSONResponse({})
    with ExitStack() as held:
        full, slow = busy_door(held, places=65), busy_door(held, places=256)
        held.enter_context(full.enter(ROUTINE))
        ways = {
            "door: there is room and time": lambda: knock(slow, math.inf),
            "door: refused for want of room": lambda: knock(full, math.inf),
            "door: refused for its deadline": lambda: knock(slow, 2.0),
            "answer to JSON, by the standard library": lambda: plain.render(ANSWER),
            "answer to JSON, by pydantic-core": lambda: to_json(ANSWER),
        }
        return {name: microseconds_of(work, rounds=rounds) for name, work in ways.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    found = measure(rounds=parser.parse_args().rounds)
    print(table(("what", "us of CPU"), [(name, f"{us:.1f}") for name, us in found.items()]))


if __name__ == "__main__":
    main()
