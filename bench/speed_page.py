"""What was measured -> docs/benchmarks.md: tables, ratios, and whether each promise holds."""

import math
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.paired import BOUND, Round, against_all, median_ratios, rate_ratios, section
from bench.serving import CLIENTS, Measured, middle
from bench.tables import Cells, table

if TYPE_CHECKING:
    from bench.speed import Found

HEAD = """# Benchmarks

Written by `make bench`; every number is of one run on one machine, so the ratios are what counts.

{machine}

DenseNet-121 at 224 px in one view, weights drawn at random; uploads of 1024 x 1024, 8-bit PNG
of some 440 kB. Load generator and server share the cores; its CPU time is in a column of its own.
A peer decodes with Pillow, computes the network as it was exported, and keeps no record; ours
verifies, digests, checks and records every upload, and rewrites the network before it is compiled.
`by CPU` is what all cores would give if the server had them to itself: cores over CPU time of an
answer. It is fair on a machine that has other work too, as throughput is not.
A server is warm once its callers have had two answers each. Latencies are of all that was sent in
the measured time, however late the answer came; what did not come within a minute has failed, and
counts with that minute. Throughput is what came in the measured time.
"""


SAME_MINUTE = ", in the same minute"


def write_page(found: "Found", ours: str) -> str:
    """The whole page, with the parts that were measured."""
    parts = [
        HEAD.format(machine=_machine()),
        _promises(found, ours),
        section(found.paired, ours),
        _serving("Throughput and latency, PNG", found.serving),
        _bounds(found),
        _serving("Our service, DICOM (12 bit, uncompressed)", found.dicom),
        _overload(found),
        _views(found),
        _starts(found),
        _soak(found),
        _engines(found),
    ]
    return "\n".join(part for part in parts if part)


def best_peer(found: Sequence[Measured], engine: str, clients: int) -> float:
    """Highest throughput of a peer with this engine; 0 where none was measured."""
    return max((one.per_second for one in _peers(found, engine, clients)), default=0.0)


def quickest_peer(found: Sequence[Measured], engine: str) -> float:
    """Lowest median latency of a peer with one client; 0 where none was measured."""
    return min((one.p50_seconds for one in _peers(found, engine, 1)), default=0.0)


def least_cpu(found: Sequence[Measured], engine: str, clients: int) -> float:
    """Least CPU time that a peer with this engine takes for an answer; 0 where none answered."""
    costs = (one.cpu_seconds_each for one in _peers(found, engine, clients))
    return min(costs, default=0.0)


def _promises(found: "Found", ours: str) -> str:
    rows = [*_throughput_promises(found, ours), *_load_promises(found)]
    if not rows:
        return ""
    lines = [(what, f"{value:.2f}", wanted, "yes" if holds else "**no**")
             for what, value, wanted, holds in rows]  # fmt: skip
    return "## What must hold\n\n" + table(("ratio", "measured", "wanted", "holds"), lines)


_Promise = tuple[str, float, str, bool]


def _throughput_promises(found: "Found", ours: str) -> list[_Promise]:
    one, many, crowd = (_answering(found.serving, ours, clients) for clients in (1, 32, 128))
    promises: list[_Promise] = []
    if many is not None and found.bounds:
        bound = statistics.median(bound.per_second for bound in found.bounds)
        cost = statistics.median(bound.cpu_seconds_each for bound in found.bounds)
        promises.append(_at_least("throughput at 32 clients / bound", many.per_second, bound, 0.9))
        what = "by CPU time: bound's of an image / ours"
        promises.append(_at_least(what, cost, many.cpu_seconds_each, 0.9))
    for engine, wanted in (("openvino", 1.3), ("torch", 3.0)):
        best = best_peer(found.serving, engine, 32)
        if many is not None and best:
            what = f"throughput at 32 clients / best peer with {engine}"
            promises.append(_at_least(what, many.per_second, best, wanted))
            cost = least_cpu(found.serving, engine, 32)
            what = f"by CPU time: least of a peer with {engine} / ours"
            promises.append(_at_least(what, cost, many.cpu_seconds_each, wanted))
    quickest = quickest_peer(found.serving, "openvino")
    if one is not None and quickest:
        what = "p50 at 1 client / quickest peer with openvino"
        promises.append(_at_most(what, one.p50_seconds, quickest, 0.8))
    if many is not None:
        what = "p99 at 32 clients / (32 / throughput)"
        promises.append(_at_most(what, many.p99_seconds, 32 / many.per_second, 1.5))
    if crowd is not None:
        what = "memory at 128 clients / 900 MB"
        promises.append(_at_most(what, crowd.resident_bytes / 1e6, 900, 1.0))
    fairer = _paired_promises(found.paired, ours)
    judged = {what.removesuffix(SAME_MINUTE) for what, *_ in fairer}
    return fairer + [promise for promise in promises if promise[0] not in judged]


def _paired_promises(found: Sequence[Round], ours: str) -> list[_Promise]:
    """Medians of ratios within a round: they count where there are any."""
    promises: list[_Promise] = []
    to_bound = rate_ratios(found, ours, BOUND)
    if to_bound:
        what = f"throughput at 32 clients / bound{SAME_MINUTE}"
        promises.append(_at_least(what, statistics.median(to_bound), 1.0, 0.9))
    rates, medians = (against_all(found, ours, kind) for kind in (rate_ratios, median_ratios))
    if rates:
        what = f"throughput at 32 clients / best peer with openvino{SAME_MINUTE}"
        promises.append(_at_least(what, min(rates.values()), 1.0, 1.3))
    if medians:
        what = f"p50 at 1 client / quickest peer with openvino{SAME_MINUTE}"
        promises.append(_at_most(what, max(medians.values()), 1.0, 0.8))
    return promises


def _answering(found: Sequence[Measured], name: str, clients: int) -> Measured | None:
    """None for a server that gave no answer at all: it has no ratio."""
    one = middle(found, name, clients)
    return one if one is not None and one.per_second else None


def _load_promises(found: "Found") -> list[_Promise]:
    promises: list[_Promise] = []
    twice = [one for one in found.overload if one.factor == 2.0]
    if twice and found.capacities:
        goodput = statistics.median(one.goodput for one in twice)
        late = sum(one.late for one in twice)
        peaks = {
            "throughput at 32 clients": statistics.median(found.capacities),
            "highest goodput at any rate": _highest_goodput(found),
        }
        for name, peak in peaks.items():
            what = f"goodput at twice the capacity / {name}"
            promises.append(_at_least(what, goodput, peak, 0.95))
        what = "answers after their deadline, at twice the capacity"
        promises.append((what, float(late), "0", late == 0))
    for is_warm, wanted in ((True, 2.0), (False, 5.0)):
        starts = [one.ready_seconds for one in found.starts if one.is_warm is is_warm]
        if starts:
            what = f"seconds to the first answer, {'warm' if is_warm else 'cold'}"
            promises.append(_at_most(what, statistics.median(starts), 1.0, wanted))
    if len(found.soak) > 1:
        # One sample may be a dip: the kernel takes pages back now and then.
        held, half = [one.resident_bytes for one in found.soak], len(found.soak) // 2
        grown = max(held[half:]) / max(held[:half])
        what = "most memory in the second half / in the first"
        promises.append((what, grown, "<= 1.02", grown <= 1.02))
    return promises


def _at_least(what: str, value: float, other: float, wanted: float) -> _Promise:
    return what, value / other, f">= {wanted:g}", value >= wanted * other


def _at_most(what: str, value: float, other: float, wanted: float) -> _Promise:
    return what, value / other, f"<= {wanted:g}", value <= wanted * other


def _serving(title: str, found: Sequence[Measured]) -> str:
    names = list(dict.fromkeys(one.name for one in found))
    rows = []
    for name in names:
        middles = [m for n in CLIENTS if (m := middle(found, name, n)) is not None]
        rows += [_cells_of(one) for one in middles]
    if not rows:
        return ""
    header = ("server", "clients", "images/s", "by CPU", "p50 ms", "p99 ms", "p99.9 ms",
              "CPU ms each",
              "client's CPU ms each", "MB", "failed")  # fmt: skip
    return f"## {title}\n\n" + table(header, rows)


def _cells_of(one: Measured) -> Cells:
    return (
        one.name, str(one.clients), f"{one.per_second:.1f}", f"{one.affordable_per_second:.1f}",
        f"{one.p50_seconds * 1e3:.1f}",
        f"{one.p99_seconds * 1e3:.1f}", f"{one.p999_seconds * 1e3:.1f}",
        f"{one.cpu_seconds_each * 1e3:.1f}", f"{one.client_cpu_seconds_each * 1e3:.2f}",
        f"{one.resident_bytes / 1e6:.0f}", str(one.failures),
    )  # fmt: skip


def _bounds(found: "Found") -> str:
    if not found.bounds:
        return ""
    rows = [
        (f"{one.per_second:.1f}", str(one.batch), str(one.decoders),
         f"{one.cpu_seconds_each * 1e3:.1f}")
        for one in found.bounds
    ]  # fmt: skip
    text = (
        "## The bound\n\nDecode, resize and network alone, without a server: the service's own "
        "decoder, the network as the service rewrites it, the best of six combinations of batch "
        "and decoding threads; measured between the rounds.\n\n"
    )
    return text + table(("images/s", "batch", "decoders", "CPU ms each"), rows)


def _highest_goodput(found: "Found") -> float:
    """By the rate whose median over the rounds is highest."""
    factors = {one.factor for one in found.overload}
    return max(
        statistics.median(one.goodput for one in found.overload if one.factor == factor)
        for factor in factors
    )


def _overload(found: "Found") -> str:
    if not found.overload:
        return ""
    rows = [
        (f"{one.factor:g}", f"{one.rate:.1f}", f"{one.goodput:.1f}",
         f"{one.p99_seconds * 1e3:.0f}", str(one.refused),
         f"{one.refused_p99_seconds * 1e3:.0f}", str(one.late), str(one.sent))
        for one in found.overload
    ]  # fmt: skip
    header = ("of capacity", "offered/s", "in time/s", "p99 ms", "refused", "refused p99 ms",
              "late", "sent")  # fmt: skip
    capacities = ", ".join(f"{one:.1f}" for one in found.capacities)
    text = (
        f"Capacity: {capacities} images/s at 32 clients, before and after each round. "
        "Deadline: 2 s.\n\n"
    )
    return "## More than fits\n\n" + text + table(header, rows)


def _views(found: "Found") -> str:
    if not found.views:
        return ""
    first = found.views[0][1].cpu_seconds_each
    rows = [
        (str(views), f"{one.per_second:.1f}", f"{one.cpu_seconds_each * 1e3:.1f}",
         f"{one.cpu_seconds_each / first:.2f}")
        for views, one in found.views
    ]  # fmt: skip
    header = ("views", "images/s at 32 clients", "CPU ms each", "of one view")
    return "## Test-time augmentation\n\n" + table(header, rows)


def _starts(found: "Found") -> str:
    rows = [("warm" if one.is_warm else "cold", f"{one.ready_seconds:.2f}") for one in found.starts]
    return "## Start\n\n" + table(("cache", "seconds to the first answer"), rows) if rows else ""


def _soak(found: "Found") -> str:
    rows = [(str(one.requests), f"{one.resident_bytes / 1e6:.1f}") for one in found.soak]
    text = "## Memory over many requests\n\nA tiny network, 32 clients.\n\n"
    return text + table(("requests", "MB"), rows) if rows else ""


def _engines(found: "Found") -> str:
    if not found.engines:
        return ""
    batches = sorted({one.batch for one in found.engines})
    speeds = {(one.engine, one.batch): one.per_second for one in found.engines}
    names = list(dict.fromkeys(one.engine for one in found.engines))
    rows = [(name, *(f"{speeds.get((name, n), math.nan):.1f}" for n in batches)) for name in names]
    text = "## Bare network, images/s by batch\n\n"
    return text + table(("engine", *map(str, batches)), rows)


def _peers(found: Sequence[Measured], engine: str, clients: int) -> list[Measured]:
    names = {one.name for one in found if one.name.endswith(f"({engine})")}
    middles = [middle(found, name, clients) for name in sorted(names)]
    return [one for one in middles if one is not None]


def _machine() -> str:
    words = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in words if line.startswith("model name")]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    now = datetime.now(UTC).date().isoformat()
    machine = f"{len(names)} cores of {names[0]}, Python {platform.python_version()}"
    return f"{now}, {machine}, commit {commit}."
