"""How busy a GPU is, as `nvidia-smi` tells it, while something else is measured."""

import statistics
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

PROGRAM = "nvidia-smi"
REST_SECONDS = 0.1
ANSWER_SECONDS = 10.0


@contextmanager
def watching(gpu: str | None, program: str = PROGRAM) -> Iterator[Callable[[], float | None]]:
    """Ask again and again until the block ends; what is handed out tells the median share then.

    Each look is a run of its own: a program that goes on keeps what it says in a buffer, as long as
    its output is no terminal, and loses it when it is stopped.

    Parameters
    ----------
    gpu
        As the program knows it; with None nothing is asked.
    """
    shares: list[float] = []
    is_over = threading.Event()
    thread = threading.Thread(target=_look, args=(gpu, program, shares, is_over))
    if gpu is not None:
        thread.start()
    try:
        yield lambda: busy_of(shares)
    finally:
        is_over.set()
        if gpu is not None:
            thread.join()


def _look(gpu: str, program: str, shares: list[float], is_over: threading.Event) -> None:
    command = [program, "-i", gpu, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    while True:
        try:
            told = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=ANSWER_SECONDS
            )
        except (OSError, subprocess.SubprocessError):
            return  # nobody tells; what was told before stands
        shares += read_samples(told.stdout.splitlines())
        if is_over.wait(REST_SECONDS):
            return


def read_samples(lines: Sequence[str]) -> list[float]:
    """Shares, 0..1; what is no number is left out."""
    words = (line.strip() for line in lines)
    return [int(word) / 100 for word in words if word.isdecimal()]


def busy_of(shares: Sequence[float]) -> float | None:
    """The median of the middle: before and after it the device has nothing to do."""
    margin = len(shares) // 4
    inner = shares[margin : len(shares) - margin]
    return statistics.median(inner) if inner else None
