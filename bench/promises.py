"""What the service promises of its speed, and whether a run kept it."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.paired import BOUND, Round, against_all, median_ratios, rate_ratios
from bench.serving import Measured, middle

if TYPE_CHECKING:
    from bench.speed import Found

SAME_MINUTE = ", in the same minute"

Promise = tuple[str, float, str, bool]
"""What, how much, how much was wanted, and whether it holds."""


def promises_of(found: "Found", ours: str) -> list[Promise]:
    """All that can be judged by what was measured."""
    return [*_throughput_promises(found, ours), *_load_promises(found)]


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


def _throughput_promises(found: "Found", ours: str) -> list[Promise]:
    one, many, crowd = (_answering(found.serving, ours, clients) for clients in (1, 32, 128))
    promises: list[Promise] = []
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
        promises.append(_memory_promise("memory at 128 clients", crowd))
    crowd = _answering(found.dicom, ours, 128)
    if crowd is not None:
        promises.append(_memory_promise("memory at 128 clients, DICOM", crowd))
    fairer = _paired_promises(found.paired, ours)
    judged = {what.removesuffix(SAME_MINUTE) for what, *_ in fairer}
    return fairer + [promise for promise in promises if promise[0] not in judged]


def _memory_promise(what: str, one: Measured) -> Promise:
    return _at_most(f"{what} / 900 MB", one.peak_bytes / 1e6, 900, 1.0)


def _paired_promises(found: Sequence[Round], ours: str) -> list[Promise]:
    """Medians of ratios within a round: they count where there are any."""
    promises: list[Promise] = []
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


def _load_promises(found: "Found") -> list[Promise]:
    promises: list[Promise] = []
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
    if found.overload:
        broken = sum(one.unanswered + one.errors for one in found.overload)
        what = "requests without an answer or with an error, at any rate"
        promises.append((what, float(broken), "0", broken == 0))
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


def _at_least(what: str, value: float, other: float, wanted: float) -> Promise:
    return what, value / other, f">= {wanted:g}", value >= wanted * other


def _at_most(what: str, value: float, other: float, wanted: float) -> Promise:
    return what, value / other, f"<= {wanted:g}", value <= wanted * other


def _highest_goodput(found: "Found") -> float:
    """By the rate whose median over the rounds is highest."""
    factors = {one.factor for one in found.overload}
    return max(
        statistics.median(one.goodput for one in found.overload if one.factor == factor)
        for factor in factors
    )


def _peers(found: Sequence[Measured], engine: str, clients: int) -> list[Measured]:
    names = {one.name for one in found if one.name.endswith(f"({engine})")}
    middles = [middle(found, name, clients) for name in sorted(names)]
    return [one for one in middles if one is not None]
