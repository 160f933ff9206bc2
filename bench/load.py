"""The load generator: one process, one event loop, and as little CPU as a client can take.

It shares the cores with what it measures, so its own CPU time is part of the report.

`python -m bench.load URL --bodies FOLDER --clients 32 --seconds 10` keeps that many callers busy
(closed loop); `--rate 60` sends so many a second whatever comes back (open loop), as a hospital
does.
"""

import argparse
import itertools
import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import numpy as np
import uvloop
from numpy.typing import NDArray

from bench.speed_bodies import read_bodies
from bench.traffic import EARLY, GAVE_UP, GOOD, Noted, Plan, drive
from training.phantoms import UID_ROOT

PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
LEAST_FOR_SLOPE = 10
"""Answers; fewer are counted."""

UID = f"{UID_ROOT}.3".encode()


@dataclass(frozen=True, slots=True)
class Report:
    """What came of the requests that were sent in the measured time.

    Attributes
    ----------
    per_second
        Answers of status 200 that came in the measured time, whenever they were asked for.
    offered_per_second
        Requests, whatever became of them.
    in_time_per_second
        Those of them that had an answer of status 200 before the deadline.
    seconds
        Percentiles over answers of status 200, and over what was waited for in vain: that counts
        with the time until the wait was given up, which is too little.
    early_p99_seconds
        Of refusals (503).
    late
        Answers of any kind that came after the deadline.
    client_cpu_seconds, answered_in_all
        CPU time of the client, and answers of status 200, before and after the measured time too.
    """

    per_second: float
    offered_per_second: float
    in_time_per_second: float
    statuses: dict[str, int]
    seconds: dict[str, float]
    early_p99_seconds: float
    late: int
    client_cpu_seconds: float
    sent: int
    answered_in_all: int


async def run(plan: Plan, bodies: list[bytes]) -> Report:
    """Send, and report what came back."""
    fresh, cpu_started = _never_twice(bodies), time.process_time()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=plan.drain_seconds)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def call() -> int:
            return await _call(session, plan, next(fresh))

        noted = await drive(call, plan, time.perf_counter)
    return _summarise(noted, plan, time.process_time() - cpu_started)


async def _call(session: aiohttp.ClientSession, plan: Plan, body: bytes) -> int:
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
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return GAVE_UP


def _never_twice(bodies: list[bytes]) -> Iterator[bytes]:
    """The bodies in turn; a DICOM file gets a new SOP instance each time, as long as the old."""
    for number, body in enumerate(itertools.cycle(bodies)):
        if UID not in body[:1024]:
            yield body
        else:
            unique = f"2.25.1{secrets.randbelow(10**6):06d}{number:09d}".ljust(len(UID), "1")
            yield body.replace(UID, unique.encode()[: len(UID)], 2)


def _summarise(noted: Noted, plan: Plan, cpu_seconds: float) -> Report:
    sent = noted.sent
    good = np.array([one.seconds for one in sent if one.status == GOOD])
    waited = np.array([one.seconds for one in sent if one.status == GOOD or one.is_cut])
    early = np.array([one.seconds for one in sent if one.status == EARLY])
    limit = float("inf") if plan.deadline_ms is None else plan.deadline_ms / 1000
    return Report(
        per_second=rate_between(noted.begins, noted.ends, noted.good_ends),
        offered_per_second=sum(one.due >= noted.begins for one in sent) / noted.seconds,
        in_time_per_second=float((good <= limit).sum()) / noted.seconds,
        statuses={str(status): n for status, n in Counter(one.status for one in sent).items()},
        seconds={name: _percentile(waited, share) for name, share in PERCENTILES.items()},
        early_p99_seconds=_percentile(early, 99.0),
        late=sum(one.seconds > limit for one in sent),
        client_cpu_seconds=cpu_seconds,
        sent=len(sent),
        answered_in_all=sum(one.status == GOOD for one in noted.answers),
    )


def _percentile(seconds: NDArray[np.float64], share: float) -> float:
    """0 where nothing came."""
    return float(np.percentile(seconds, share)) if seconds.size else 0.0


def rate_between(begins: float, stops: float, ends: Sequence[float]) -> float:
    """Answers per second between two moments: neither how it began nor how it ends counts."""
    return steady_rate([end for end in ends if begins <= end < stops], stops - begins)


def steady_rate(ends: Sequence[float], seconds: float) -> float:
    """Answers per second: the slope of their number over time.

    Servers that batch answer in bursts; counting them in a window of some seconds is wrong by a
    burst or two, which is a tenth of all. Two bursts that happen to be close to each other show no
    slope.
    """
    if len(ends) < LEAST_FOR_SLOPE or max(ends) - min(ends) < seconds / 2:
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
