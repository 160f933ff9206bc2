"""Our service, the bound and the peers in the same minutes: all are up, and each has some seconds.

The speed of a shared machine changes from minute to minute by more than what is to be told apart.
So every ratio is taken within one round, the bound runs right before and right after ours, and the
median of the rounds counts.
"""

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import bound
from bench.contenders import Contender, Running, running
from bench.serving import Say, send
from bench.speed_bodies import read_bodies
from bench.speed_model import SIDE_PX
from bench.tables import table

BOUND = "the bound"
CLIENTS = 32
ALONE_RATIO = 0.6
"""Of the seconds at 32 callers: one caller's median needs fewer."""


@dataclass(frozen=True, slots=True)
class Round:
    """What each gave within a minute or so.

    Attributes
    ----------
    rates
        Images per second at 32 callers; the bound is one of them.
    medians
        p50 in seconds with one caller.
    """

    rates: dict[str, float]
    medians: dict[str, float]


def pair(
    contenders: Sequence[Contender],
    bodies: Path,
    onnx: Path,
    *,
    best: bound.Bound,
    rounds: int,
    seconds: float,
    say: Say = print,
) -> list[Round]:
    """Start all that start, ours first, and give them their turns, each round in another order.

    Who has no turn is stopped: a server that polls while it is idle would slow all others.
    """
    probe = next(iter(sorted(bodies.iterdir()))).read_bytes()
    run_bound = compile_bound(onnx, bodies, best)
    with ExitStack() as stack:
        servers = [
            server
            for contender in contenders
            if (server := _start(stack, contender, probe, say)) is not None
        ]
        found = []
        for turn in range(rounds):
            first = turn % len(servers)
            turned = [*servers[first:], *servers[:first]]
            found.append(_measure(turned, contenders[0].name, bodies, run_bound, seconds))
            say(f"round {turn + 1}: {found[-1]}")
        return found


def _start(stack: ExitStack, contender: Contender, probe: bytes, say: Say) -> Running | None:
    try:
        server = stack.enter_context(running(contender, probe))
    except RuntimeError as error:
        say(f"{contender.name}: {error}")
        return None
    server.pause()
    stack.callback(server.go_on)  # else it could not end
    return server


def _measure(
    servers: Sequence[Running],
    ours: str,
    bodies: Path,
    run_bound: Callable[[float], float],
    seconds: float,
) -> Round:
    rates, medians = {}, {}
    for server in servers:
        name = server.contender.name
        bounds = [run_bound(seconds)] if name == ours else []
        with server.turn():
            rates[name] = send(
                server, bodies, "--clients", str(CLIENTS), "--seconds", str(seconds)
            ).per_second
        if bounds:
            rates[BOUND] = statistics.mean([*bounds, run_bound(seconds)])
        with server.turn():
            alone = send(server, bodies, "--clients", "1", "--seconds", str(ALONE_RATIO * seconds))
        medians[name] = alone.seconds["p50"]
    return Round(rates, medians)


def compile_bound(onnx: Path, folder: Path, best: bound.Bound) -> Callable[[float], float]:
    """Compile once; what is handed out runs for some seconds and gives images per second."""
    bodies = read_bodies(folder)
    compiled = bound.compile_network(onnx, best.batch, SIDE_PX)

    def run(seconds: float) -> float:
        return bound.rate_for(seconds, compiled, bodies, _read, best.decoders)[0]

    return run


def _read(body: bytes) -> bound.Square:
    return bound.read_square(body, SIDE_PX)


def rate_ratios(found: Sequence[Round], name: str, other: str) -> list[float]:
    """Throughput of one over that of another, round by round."""
    rates = [one.rates for one in found]
    return [r[name] / r[other] for r in rates if r.get(name) and r.get(other)]


def median_ratios(found: Sequence[Round], name: str, other: str) -> list[float]:
    """The same for the latency of one caller."""
    medians = [one.medians for one in found]
    return [m[name] / m[other] for m in medians if m.get(name) and m.get(other)]


def peers_of(found: Sequence[Round], ours: str) -> list[str]:
    """All who had a turn beside us, but the bound."""
    names = dict.fromkeys(name for one in found for name in one.rates)
    return [name for name in names if name not in (ours, BOUND)]


def against_all(
    found: Sequence[Round], ours: str, ratios: Callable[..., list[float]]
) -> dict[str, float]:
    """Median ratio of ours to each peer's."""
    by_peer = {peer: ratios(found, ours, peer) for peer in peers_of(found, ours)}
    return {peer: statistics.median(values) for peer, values in by_peer.items() if values}


def section(found: Sequence[Round], ours: str) -> str:
    """Of the page: ratios to each, with the lowest and the highest round."""
    if not found:
        return ""
    rows = [
        (name, _spread(rate_ratios(found, ours, name)), _spread(median_ratios(found, ours, name)))
        for name in (BOUND, *peers_of(found, ours))
    ]
    text = (
        f"## In the same minutes\n\n{ours} over each, with OpenVINO: the median of {len(found)} "
        "rounds, and the lowest and the highest.\n\n"
    )
    return text + table(("beside", "images/s at 32 clients", "p50 at 1 client"), rows)


def _spread(ratios: Sequence[float]) -> str:
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
