"""What was measured -> docs/benchmarks.md: tables, ratios, and whether each promise holds."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.paired import section
from bench.promises import promises_of
from bench.provenance import describe
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
verifies, digests, checks and records every upload, and prepares the network before it is compiled.
`by CPU` is what all cores would give if the server had them to itself: cores over CPU time of an
answer. It is fair on a machine that has other work too, as throughput is not.
A server is warm once its callers have had two answers each, and is measured for as long as they
have to wait for one at least. Latencies are of all that was sent in the measured time, however late
the answer came; what did not come within a minute has failed, and counts with that minute.
Throughput is what came in the measured time. Memory is the most that all processes of a server held
at any of the samples taken each half second while the load was on; what they share is counted once
(PSS).
"""


def write_page(found: "Found", ours: str) -> str:
    """The whole page, with the parts that were measured: what was not has no table."""
    parts = [
        HEAD.format(machine=describe(found.ran)),
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


def _promises(found: "Found", ours: str) -> str:
    rows = promises_of(found, ours)
    if not rows:
        return ""
    lines = [(what, f"{value:.2f}", wanted, "yes" if holds else "**no**")
             for what, value, wanted, holds in rows]  # fmt: skip
    return "## What must hold\n\n" + table(("ratio", "measured", "wanted", "holds"), lines)


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
              "client's CPU ms each", "peak MB", "failed")  # fmt: skip
    return f"## {title}\n\n" + table(header, rows)


def _cells_of(one: Measured) -> Cells:
    return (
        one.name, str(one.clients), f"{one.per_second:.1f}", f"{one.affordable_per_second:.1f}",
        f"{one.p50_seconds * 1e3:.1f}",
        f"{one.p99_seconds * 1e3:.1f}", f"{one.p999_seconds * 1e3:.1f}",
        f"{one.cpu_seconds_each * 1e3:.1f}", f"{one.client_cpu_seconds_each * 1e3:.2f}",
        f"{one.peak_bytes / 1e6:.0f}", str(one.failures),
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
        "decoder, the network as the service prepares it, the best of six combinations of batch "
        "and decoding threads; measured between the rounds.\n\n"
    )
    return text + table(("images/s", "batch", "decoders", "CPU ms each"), rows)


def _overload(found: "Found") -> str:
    if not found.overload:
        return ""
    rows = [
        (f"{one.factor:g}", f"{one.rate:.1f}", f"{one.goodput:.1f}",
         f"{one.p99_seconds * 1e3:.0f}", str(one.refused),
         f"{one.refused_p99_seconds * 1e3:.0f}", str(one.late), str(one.unanswered),
         str(one.errors), str(one.sent))
        for one in found.overload
    ]  # fmt: skip
    header = ("of capacity", "offered/s", "in time/s", "p99 ms", "refused", "refused p99 ms",
              "late", "no answer", "other errors", "sent")  # fmt: skip
    capacities = ", ".join(f"{one:.1f}" for one in found.capacities)
    text = (
        f"Capacity: {capacities} images/s at 32 clients, before and after each round. "
        "Deadline: 2 s. An error is whatever is neither an answer (200) nor a refusal (503).\n\n"
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
