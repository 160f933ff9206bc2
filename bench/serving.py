"""Servers side by side: each is started, loaded with 1, 8, 32 and 128 callers, and stopped again.

`bench.speed` lets them take turns, round after round, so that whatever else the machine does falls
on all of them; what is reported is the median of the rounds, and what counts is the ratios.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contenders import Contender, Running, running
from bench.load import Report
from bench.watch import watched

CLIENTS = (1, 8, 32, 128)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One server under one load, once.

    Attributes
    ----------
    cpu_seconds_each
        Of all processes of the server, for each answer.
    client_cpu_seconds_each
        Of the load generator.
    peak_bytes
        Most that all processes of the server held while the load was on.
    """

    name: str
    clients: int
    per_second: float
    p50_seconds: float
    p99_seconds: float
    p999_seconds: float
    cpu_seconds_each: float
    client_cpu_seconds_each: float
    peak_bytes: int
    failures: int

    @property
    def affordable_per_second(self) -> float:
        """What all cores would give if nothing else ran on them: fair on a busy machine too."""
        return len(os.sched_getaffinity(0)) / max(self.cpu_seconds_each, 1e-9)


def compare(
    contenders: Sequence[Contender],
    bodies: Path,
    *,
    clients: Sequence[int] = CLIENTS,
    seconds: float,
    say: Say = print,
) -> list[Measured]:
    """Every server under every load, one server after the other."""
    probe = next(iter(sorted(bodies.iterdir()))).read_bytes()
    found: list[Measured] = []
    for contender in contenders:
        try:
            with running(contender, probe) as server:
                for count in clients:
                    found.append(measure(server, bodies, clients=count, seconds=seconds))
                    say(line_of(found[-1]))
        except RuntimeError as error:
            say(f"{contender.name}: {error}")
    return found


def measure(server: Running, bodies: Path, *, clients: int, seconds: float) -> Measured:
    """One server under one load, after a moment of the same load."""
    before = server.cpu_seconds()
    with watched(server.resident_bytes) as memory:
        report = send(
            server, bodies, "--clients", str(clients), "--seconds", str(seconds),
            "--warm-seconds", "2",
        )  # fmt: skip
    used = server.cpu_seconds() - before
    answers = max(1, report.answered_in_all)
    return Measured(
        name=server.contender.name,
        clients=clients,
        per_second=report.per_second,
        p50_seconds=report.seconds["p50"],
        p99_seconds=report.seconds["p99"],
        p999_seconds=report.seconds["p999"],
        cpu_seconds_each=used / answers,
        client_cpu_seconds_each=report.client_cpu_seconds / answers,
        peak_bytes=memory.most,
        failures=report.sent - report.statuses.get("200", 0),
    )


def send(server: Running, bodies: Path, *options: str) -> Report:
    """Run the load generator as a process of its own."""
    command = [sys.executable, "-m", "bench.load", server.url, "--bodies", str(bodies), *options]
    if server.contender.field_name is not None:
        command += ["--field-name", server.contender.field_name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment())
    report: dict[str, Any] = json.loads(done.stdout)
    return Report(**report)


def middle(found: Sequence[Measured], name: str, clients: int) -> Measured | None:
    """The round in the middle, by throughput; None where it never answered."""
    rounds = [one for one in found if one.name == name and one.clients == clients]
    if not rounds:
        return None
    rate = statistics.median_low([one.per_second for one in rounds])
    return next(one for one in rounds if one.per_second == rate)


def line_of(one: Measured) -> str:
    """For whoever watches."""
    return (
        f"{one.name:24s} {one.clients:4d} clients {one.per_second:7.1f}/s  "
        f"p50 {one.p50_seconds * 1e3:7.1f} ms  p99 {one.p99_seconds * 1e3:7.1f} ms  "
        f"CPU {one.cpu_seconds_each * 1e3:6.1f} ms  "
        f"client {one.client_cpu_seconds_each * 1e3:5.2f} ms  "
        f"{one.peak_bytes >> 20:5d} MB  {one.failures} failed"
    )


def fresh_folder() -> Path:
    """For the record of one run; deleted by `drop_folder`."""
    return Path(tempfile.mkdtemp(prefix="cxr-bench-"))


def drop_folder(folder: Path) -> None:
    """Remove what a run wrote."""
    shutil.rmtree(folder, ignore_errors=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}
