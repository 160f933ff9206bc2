"""What a silent candidate costs the champion at full load, with and without in turns.

python -m bench.candidate --seconds 20 --rounds 5

One process serves the model of the store and keeps it as busy as it can be; the candidate is the
same model, so that its work weighs as much as the champion's. Rounds with and without it alternate,
so that whatever else the machine does falls on both alike.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from prometheus_client import generate_latest
from rich.console import Console
from rich.table import Table

from service.app import create_app
from service.core.artifact import load_current
from service.core.store import name_candidate
from service.demo import Address, load_films, serving
from service.logs import set_up_logs
from service.runtime import Runtime
from service.settings import ModelSettings, RecordSettings, Settings, find_model_store

CLIENTS = 8
WARM_UP_REQUESTS = 16
ANSWER_SECONDS = 120


@dataclass(slots=True)
class Load:
    """Seconds of each answer under one condition, and how long it was kept up."""

    answers: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def p99(self) -> float:
        """Seconds that 99 of 100 answers took at most."""
        return float(np.percentile(self.answers, 99))

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.answers) / self.seconds


@contextmanager
def store_with_candidate(folder: Path) -> Iterator[Path]:
    """A copy of the store whose candidate is the model that serves."""
    source = find_model_store(Settings().model.store)
    current = load_current(source)
    store = folder / "model_store"
    shutil.copytree(source / current.reference, store / current.reference)
    shutil.copy(source / "CURRENT", store / "CURRENT")
    name_candidate(store, current.reference)
    yield store


async def load(at: Address, body: bytes, clients: int, seconds: float) -> Load:
    """So many clients, each asking again as soon as it is answered."""
    told, started = Load(), time.perf_counter()

    async def ask(client: httpx.AsyncClient) -> None:
        while time.perf_counter() - started < seconds:
            sent = time.perf_counter()
            answer = await client.post("/predict", content=body)
            answer.raise_for_status()
            told.answers.append(time.perf_counter() - sent)

    async with httpx.AsyncClient(base_url=at.url, timeout=ANSWER_SECONDS) as client:
        await asyncio.gather(*(ask(client) for _ in range(clients)))
    told.seconds = time.perf_counter() - started
    return told


async def measure(at: Address, runtime: Runtime, body: bytes, asked: argparse.Namespace) -> None:
    """Alternate, and print what the candidate cost."""
    candidate = runtime.shadow.current
    if candidate is None:
        raise SystemExit("the candidate does not load")
    loads = {"without": Load(), "with": Load()}
    await load(at, body, asked.clients, WARM_UP_REQUESTS / asked.clients)
    for round_number in range(asked.rounds):
        order = list(loads) if round_number % 2 else list(loads)[::-1]
        for name in order:
            runtime.shadow.current = candidate if name == "with" else None
            told = await load(at, body, asked.clients, asked.seconds)
            loads[name].answers += told.answers
            loads[name].seconds += told.seconds
    runtime.shadow.current = candidate
    _print(loads, runtime)


def _print(loads: dict[str, Load], runtime: Runtime) -> None:
    table = Table(title="the champion under full load")
    for heading in ("candidate", "answers", "a second", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for name, told in loads.items():
        p50 = float(np.percentile(told.answers, 50))
        table.add_row(
            name, str(len(told.answers)), f"{told.per_second:.2f}", f"{1000 * p50:.0f}",
            f"{1000 * told.p99:.0f}",
        )  # fmt: skip
    console = Console(width=100)
    console.print(table)
    without, beside = loads["without"], loads["with"]
    console.print(f"p99 with / without         {beside.p99 / without.p99:.3f}")
    console.print(f"throughput with / without  {beside.per_second / without.per_second:.3f}")
    lines = generate_latest(runtime.metrics.registry).decode().splitlines()
    for line in lines:
        if line.startswith("cxr_candidate_radiographs_total"):
            console.print(line, highlight=False)


def main() -> None:
    """Serve in this process on a free port, and ask from it too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    asked = parser.parse_args()
    set_up_logs("error")
    with tempfile.TemporaryDirectory() as name, store_with_candidate(Path(name)) as store:
        folder = Path(name)
        record = RecordSettings(url=f"sqlite:///{folder}/shadow.db", site_key_file=folder / "key")
        app = create_app(Settings(model=ModelSettings(store=store), record=record))
        body = load_films(folder)[-1].body
        with serving(app, "127.0.0.1", 0) as at:
            runtime: Runtime = app.state.runtime
            asyncio.run(measure(at, runtime, body, asked))


if __name__ == "__main__":
    main()
