"""`python -m bench.orthanc`: how quick Orthanc's REST API stays while the service pulls a burst.

Real Orthanc, real `storescu`, the real service as a process. An unrelated REST call is timed all
along, in four phases: nothing happens; a burst is pushed and nobody follows; a burst is pushed
while the service polls, pulls and answers; the same while the Lua script tells it, too.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from service.record import open_reader
from tests.support.apps import running_service
from tests.support.models import build_tiny_artifact
from tests.support.orthanc import Site, phantom, running_orthanc, store

IDLE, ALONE = "idle", "burst, nobody follows"
POLLED, TOLD = "burst, polled", "burst, polled and told by Lua"

PAUSE_SECONDS = 0.02
"""Between two probes; about fifty a second."""


@dataclass(slots=True)
class Probe:
    """Times one small REST call again and again on a connection of its own."""

    site: Site
    milliseconds: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Probe while the body runs."""
        is_over = threading.Event()
        thread = threading.Thread(target=self._ask, args=(is_over,))
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _ask(self, is_over: threading.Event) -> None:
        with self.site.client() as client:
            client.get("/statistics")
            while not is_over.wait(PAUSE_SECONDS):
                started = time.perf_counter()
                client.get("/statistics").raise_for_status()
                self.milliseconds.append(1000 * (time.perf_counter() - started))


def measure(site: Site, work: Callable[[], None]) -> list[float]:
    """Milliseconds of each probe during the work."""
    probe = Probe(site)
    with probe.running():
        work()
    return probe.milliseconds


def push_and_wait(site: Site, numbers: range, rows: int) -> float:
    """Push, then wait for the rows; seconds from the end of the push to the last row."""
    stored = store(site, map(phantom, numbers))
    reader = open_reader(f"sqlite:///{site.folder}/shadow.db")
    try:
        while reader.count() < rows:
            time.sleep(0.05)
    finally:
        reader.close()
    return time.monotonic() - stored


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--studies", type=int, default=200)
    arguments.add_argument("--idle-seconds", type=float, default=10)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name, running_orthanc(Path(name)) as site:
        report(*run_phases(site, chosen.studies, chosen.idle_seconds))


def run_phases(
    site: Site, count: int, idle_seconds: float
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Milliseconds of the probes, and seconds from the end of a push to its last row, by phase."""
    found, lags = {IDLE: measure(site, lambda: time.sleep(idle_seconds))}, {}
    found[ALONE] = measure(site, lambda: void(store(site, map(phantom, range(count)))))
    model_store = build_tiny_artifact(site.folder / "store")
    with running_service(model_store, site.folder, **site.variables) as service:
        await_contact(service.url)
        for turn, (phase, notify_url) in enumerate(
            ((POLLED, None), (TOLD, f"{service.url}/notify")), start=1
        ):
            site.stop()
            site.start(notify_url)
            numbers = range(turn * count, (turn + 1) * count)

            def follow(
                phase: str = phase, numbers: range = numbers, rows: int = turn * count
            ) -> None:
                lags[phase] = push_and_wait(site, numbers, rows)

            found[phase] = measure(site, follow)
    return found, lags


def await_contact(service: str) -> None:
    """Return once the service has heard of the PACS."""
    while "cxr_pacs_last_sequence 0.0" in httpx.get(f"{service}/metrics").text:
        time.sleep(0.1)


def void(_result: object) -> None:
    """Measured work has no result."""


def report(phases: dict[str, list[float]], lags: dict[str, float]) -> None:
    """Print p50, p99 and the largest of each phase, and its p99 against the burst alone."""
    names = ("phase", "calls", "p50 ms", "p99 ms", "max ms", "p99 ratio", "last row after")
    table = Table(*names)
    base = float(np.percentile(phases[ALONE], 99))
    for name, milliseconds in phases.items():
        p50, p99 = np.percentile(milliseconds, [50, 99])
        table.add_row(
            name, str(len(milliseconds)), f"{p50:.1f}", f"{p99:.1f}", f"{max(milliseconds):.1f}",
            f"{p99 / base:.2f}", f"{lags[name]:.1f} s" if name in lags else "-",
        )  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
