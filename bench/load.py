"""The load generator: one process, one event loop, and as little CPU as a client can take.

It shares the cores with what it measures, so its own CPU time is part of the report.

`python -m bench.load URL --bodies FOLDER --clients 32 --seconds 10` keeps that many callers busy
(closed loop); `--rate 60` sends so many a second whatever comes back (open loop), as a hospital
does.
"""

import argparse
import asyncio
import itertools
import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
import uvloop

from bench.speed_bodies import read_bodies
from training.phantoms import UID_ROOT

PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
GOOD, EARLY, GAVE_UP = 200, 503, 0
"""Status of an answer, of a refusal, and of a request that got neither."""

LEAST_FOR_SLOPE = 10
"""Answers; fewer are counted."""

UID = f"{UID_ROOT}.3".encode()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. `clients` is a closed loop, `rate` an open one."""

    url: str
    field_name: str | None = None
    """Of a multipart form; None sends the bytes as the body."""
    clients: int = 0
    rate: float = 0.0
    seconds: float = 10.0
    warm_seconds: float = 1.0
    deadline_ms: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What came back in the measured time.

    Attributes
    ----------
    per_second, in_time_per_second
        Answers of status 200; those of them that came before the deadline.
    early_p99_seconds
        Of refusals (503).
    late
        Answers of any kind that came after the deadline.
    client_cpu_seconds, answered_in_all
        CPU time of the client, and answers of status 200, before and after the measured time too.
    """

    per_second: float
    in_time_per_second: float
    statuses: dict[str, int]
    seconds: dict[str, float]
    early_p99_seconds: float
    late: int
    client_cpu_seconds: float
    sent: int
    answered_in_all: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """`seconds` from the moment that the request was due, be it sent late or not."""

    status: int
    seconds: float
    due: float

    @property
    def ended(self) -> float:
        return self.due + self.seconds


async def run(plan: Plan, bodies: list[bytes]) -> Report:
    """Send, and report what came back after the first `warm_seconds`."""
    fresh, cpu_started = _never_twice(bodies), time.process_time()
    timeout = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        started = time.perf_counter()
        measured_from = started + plan.warm_seconds
        ends = measured_from + plan.seconds
        if plan.clients:
            loops = [_call_until(session, plan, fresh, ends) for _ in range(plan.clients)]
            answers = list(itertools.chain(*await asyncio.gather(*loops)))
        else:
            answers = await _call_at_rate(session, plan, fresh, ends)
    inside = [answer for answer in answers if measured_from <= _counted_at(answer, plan) <= ends]
    in_all = sum(answer.status == GOOD for answer in answers)
    return _summarise(inside, plan, time.process_time() - cpu_started, in_all)


def _counted_at(answer: _Answer, plan: Plan) -> float:
    """Callers who wait count what they got; of those who come anyway nobody is left out."""
    return answer.ended if plan.clients else answer.due


async def _call_until(
    session: aiohttp.ClientSession, plan: Plan, fresh: Iterator[bytes], ends: float
) -> list[_Answer]:
    answers = []
    while time.perf_counter() < ends:
        answers.append(await _call(session, plan, next(fresh), time.perf_counter()))
    return answers


async def _call_at_rate(
    session: aiohttp.ClientSession, plan: Plan, fresh: Iterator[bytes], ends: float
) -> list[_Answer]:
    """Arrivals are random and independent (Poisson), with a fixed seed."""
    generator = np.random.default_rng(0)
    calls = []
    due = time.perf_counter()
    while due < ends:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        calls.append(asyncio.create_task(_call(session, plan, next(fresh), due)))
        due += generator.exponential(1 / plan.rate)
    return list(await asyncio.gather(*calls))


async def _call(session: aiohttp.ClientSession, plan: Plan, body: bytes, due: float) -> _Answer:
    data: bytes | aiohttp.FormData = body
    headers = dict(plan.headers)
    if plan.field_name is None:
        headers["Content-Type"] = "application/octet-stream"
    else:
        data = aiohttp.FormData()
        data.add_field(plan.field_name, body, filename="chest.png", content_type="image/png")
    if plan.deadline_ms is not None:
        headers["X-Deadline-Ms"] = str(plan.deadline_ms)
    try:
        async with session.post(plan.url, data=data, headers=headers) as response:
            await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError):
        status = GAVE_UP
    return _Answer(status, time.perf_counter() - due, due)


def _never_twice(bodies: list[bytes]) -> Iterator[bytes]:
    """The bodies in turn; a DICOM file gets a new SOP instance each time, as long as the old."""
    for number, body in enumerate(itertools.cycle(bodies)):
        if UID not in body[:1024]:
            yield body
        else:
            unique = f"2.25.1{secrets.randbelow(10**6):06d}{number:09d}".ljust(len(UID), "1")
            yield body.replace(UID, unique.encode()[: len(UID)], 2)


def _summarise(
    answers: list[_Answer], plan: Plan, cpu_seconds: float, answered_in_all: int
) -> Report:
    good = np.array([answer.seconds for answer in answers if answer.status == GOOD])
    early = np.array([answer.seconds for answer in answers if answer.status == EARLY])
    limit = float("inf") if plan.deadline_ms is None else plan.deadline_ms / 1000
    shown = {n: float(np.percentile(good, p)) if good.size else 0.0 for n, p in PERCENTILES.items()}
    return Report(
        per_second=steady_rate([a.ended for a in answers if a.status == GOOD], plan.seconds),
        in_time_per_second=float((good <= limit).sum()) / plan.seconds,
        statuses={str(status): n for status, n in Counter(a.status for a in answers).items()},
        seconds=shown,
        early_p99_seconds=float(np.percentile(early, 99)) if early.size else 0.0,
        late=sum(answer.seconds > limit for answer in answers),
        client_cpu_seconds=cpu_seconds,
        sent=len(answers),
        answered_in_all=answered_in_all,
    )


def steady_rate(ends: Sequence[float], seconds: float) -> float:
    """Answers per second: the slope of their number over time.

    Servers that batch answer in bursts; counting them in a window of some seconds is wrong by a
    burst or two, which is a tenth of all.
    """
    if len(ends) < LEAST_FOR_SLOPE or max(ends) == min(ends):
        return len(ends) / seconds
    return float(np.polyfit(np.sort(ends), np.arange(len(ends)), 1)[0])


def main() -> None:
    """Read the plan from the command line, print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--bodies", type=Path, required=True)
    parser.add_argument("--field-name", help="of a multipart form; without it, a raw body")
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warm-seconds", type=float, default=1.0)
    parser.add_argument("--deadline-ms", type=int)
    chosen = vars(parser.parse_args())
    bodies = read_bodies(chosen.pop("bodies"))
    print(json.dumps(asdict(uvloop.run(run(Plan(**chosen), bodies)))))


if __name__ == "__main__":
    main()
