"""`cxr-triage`, whose threads wait at gates: named pipes, which a test opens by writing to them.

The gates are files in the folder that `GATES` names; where a file is missing, nobody waits.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from service.__main__ import main
from service.engine.openvino import OpenVinoEngine
from service.pipeline import Pipeline
from service.record.writer import Recorder

Result = TypeVar("Result")
Words = TypeVarTuple("Words")

GATES = "TEST_GATES"
DECODER, ENGINE, RECORD = "decoder", "engine", "record"


def gated(name: str, work: Callable[[*Words], Result]) -> Callable[[*Words], Result]:
    """The same work, once its gate is open."""
    gate, seen = Path(os.environ[GATES]) / name, Path(os.environ[GATES]) / f"{name}.seen"

    def wait_and_work(*words: *Words) -> Result:
        if gate.exists():
            with seen.open("a", encoding="utf-8") as note:
                note.write(f"{_size_of(words)}\n")
            with suppress(FileNotFoundError):  # opened meanwhile
                os.close(os.open(gate, os.O_RDONLY))  # returns when somebody writes
        return work(*words)

    return wait_and_work


def _size_of(words: tuple[object, ...]) -> int:
    """Of the batch, where the work is on a batch."""
    batch = words[-1]
    return len(batch) if hasattr(batch, "__len__") else 1


STEPS: tuple[tuple[type, str, str], ...] = (
    (Pipeline, "_read_and_prepare", DECODER),
    (OpenVinoEngine, "forward", ENGINE),
    (Recorder, "_commit", RECORD),
)

if __name__ == "__main__":
    for owner, step, name in STEPS:
        setattr(owner, step, gated(name, getattr(owner, step)))
    main()
