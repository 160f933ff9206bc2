"""`make bench`: all of it in one run, printed, and written to docs/benchmarks.md.

Options choose less of it; what was not measured is then not in the page.
"""

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import speed_page
from bench.bound import Bound
from bench.contenders import OURS, PEERS, Contender, Running, is_installed, ours, peer, running
from bench.engines import Speed
from bench.engines import measure as measure_engines
from bench.overload import Overloaded, measure_capacity, overload
from bench.paired import Round, pair, peers_of
from bench.provenance import ENGINES, PAGE, DirtyTree, Ran, missing_peers, refuse_dirt
from bench.serving import CLIENTS, Measured, compare, drop_folder, fresh_folder, middle
from bench.soak import Soaked, soak
from bench.speed_bodies import open_bodies
from bench.speed_model import NAME, VERSION, open_store
from bench.start import Started, time_starts
from service.core.artifact import ONNX, load_current
from service.core.tta import TtaView

PARTS = ("engines", "serving", "paired", "dicom", "overload", "views", "start", "soak")
VIEWS = (1, 2, 4)
PAIRED_ROUNDS = 4
"""For each round of the others."""


@dataclass(slots=True)
class Found:
    """All that was measured in one run."""

    ran: Ran | None = None
    engines: list[Speed] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    serving: list[Measured] = field(default_factory=list)
    paired: list[Round] = field(default_factory=list)
    dicom: list[Measured] = field(default_factory=list)
    overload: list[Overloaded] = field(default_factory=list)
    capacities: list[float] = field(default_factory=list)
    views: list[tuple[int, Measured]] = field(default_factory=list)
    starts: list[Started] = field(default_factory=list)
    soak: list[Soaked] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    rounds: int
    seconds: float
    peers: tuple[str, ...]
    soak_requests: int


class Bench:
    """The parts of the run, each of which adds to what was found.

    Parameters
    ----------
    folder
        Keeps models and uploads from run to run.
    """

    def __init__(self, folder: Path, effort: Effort) -> None:
        self._effort = effort
        self._folder = folder
        self._store = open_store(folder / "stores")
        self._onnx = self._store / NAME / VERSION / ONNX
        self._png, self._dicom = open_bodies(folder / "bodies")
        self.found = Found()

    def engines(self) -> None:
        """The bare network."""
        self.found.engines = measure_engines(load_current(self._store), rounds=self._effort.rounds)

    def serving(self) -> None:
        """Everybody, before and after it the bound."""
        scratch = fresh_folder()
        contenders = [
            ours(self._store, scratch), *self._peers("openvino"), *self._peers("torch"),
        ]  # fmt: skip
        try:
            for turn in range(self._effort.rounds):
                self._measure_bound()
                turned = contenders[turn:] + contenders[:turn]
                self.found.serving += self._compare(turned, self._png, CLIENTS)
            self._measure_bound()
        finally:
            drop_folder(scratch)

    def paired(self) -> None:
        """Ours, the bound and the peers with our engine in the same minutes."""
        if not self.found.bounds:
            self._measure_bound()
        best = max(self.found.bounds, key=lambda bound: bound.per_second)
        scratch = fresh_folder()
        try:
            self.found.paired = pair(
                [ours(self._store, scratch), *self._peers("openvino")], self._png, self._onnx,
                best=best, rounds=PAIRED_ROUNDS * self._effort.rounds,
                seconds=self._effort.seconds,
            )  # fmt: skip
        finally:
            drop_folder(scratch)

    def dicom(self) -> None:
        """Our service with DICOM files of the same pictures, which are larger."""
        scratch = fresh_folder()
        try:
            self.found.dicom = self._compare(
                [ours(self._store, scratch)] * self._effort.rounds, self._dicom, (1, 32, 128)
            )
        finally:
            drop_folder(scratch)

    def overload(self) -> None:
        """Our service with its limits as they are by default."""
        scratch = fresh_folder()
        defaults = {"CXR_INTAKE__MAX_REQUESTS": "64", "CXR_BATCH__MAX_QUEUED": "64"}
        server = ours(self._store, scratch, **defaults)
        try:
            with running(server, next(iter(sorted(self._png.iterdir()))).read_bytes()) as opened:
                for _ in range(self._effort.rounds):
                    self._overload(opened)
        finally:
            drop_folder(scratch)

    def views(self) -> None:
        """The cost of each augmented view."""
        scratch = fresh_folder()
        stores = {
            views: open_store(self._folder / "stores", views=tuple(TtaView)[:views])
            for views in VIEWS
        }
        contenders = [
            ours(store, scratch, name=f"{views} views") for views, store in stores.items()
        ] * self._effort.rounds
        try:
            found = self._compare(contenders, self._png, (32,))
        finally:
            drop_folder(scratch)
        middles = {views: middle(found, f"{views} views", 32) for views in VIEWS}
        self.found.views = [(views, one) for views, one in middles.items() if one is not None]

    def start(self) -> None:
        """From the first instruction to the first answer."""
        self.found.starts = time_starts(self._store, self._png, rounds=self._effort.rounds)

    def soak(self) -> None:
        """Memory over many requests."""
        self.found.soak = soak(self._effort.soak_requests)

    def note(self, parts: Sequence[str]) -> None:
        """Say of the page which parts it is of, and who is missing in it."""
        names = [one.name for one in self.found.serving if one.name != OURS]
        measured = list(dict.fromkeys([*names, *peers_of(self.found.paired, OURS)]))
        missing = missing_peers(
            PEERS, self._effort.peers, is_installed, measured=measured,
            engines=ENGINES if "serving" in parts else ENGINES[:1] if "paired" in parts else (),
        )  # fmt: skip
        effort = self._effort
        self.found.ran = Ran(
            effort.rounds, effort.seconds, parts, [part for part in PARTS if part not in parts],
            measured, missing,
        )  # fmt: skip

    def _peers(self, engine: str) -> list[Contender]:
        return [peer(n, engine, self._onnx) for n in self._effort.peers if is_installed(n)]

    def _compare(
        self, contenders: Sequence[Contender], bodies: Path, clients: Sequence[int]
    ) -> list[Measured]:
        return compare(contenders, bodies, clients=clients, seconds=self._effort.seconds)

    def _overload(self, server: Running) -> None:
        """What it can do just before and just after, on a machine whose speed varies."""
        seconds = 2 * self._effort.seconds
        before = measure_capacity(server, self._png, seconds)
        self.found.overload += overload(server, self._png, capacity=before, seconds=seconds)
        after = measure_capacity(server, self._png, seconds)
        self.found.capacities += [before, after]

    def _measure_bound(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "bench.bound", str(self._onnx), "--bodies", str(self._png),
             "--seconds", str(self._effort.seconds)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.found.bounds.append(Bound(**json.loads(done.stdout)))
        print(f"bound {self.found.bounds[-1]}", flush=True)


def main() -> None:
    """Run the chosen parts; write the page if asked to."""
    chosen = read_arguments()
    if chosen.write:
        try:
            refuse_dirt(Path.cwd())
        except DirtyTree as error:
            sys.exit(str(error))
    # So that a run that is stopped stops the servers that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    effort = Effort(chosen.rounds, chosen.seconds, tuple(chosen.peers), chosen.soak_requests)
    bench = Bench(chosen.folder, effort)
    page, done = "", list[str]()
    for part in chosen.parts:
        print(f"--- {part}", flush=True)
        getattr(bench, part)()
        done.append(part)
        bench.note(done)
        page = speed_page.write_page(bench.found, OURS)
        if chosen.write:  # after each part: a run that is stopped keeps what it found
            PAGE.write_text(page, encoding="utf-8")
    print(page)


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What to measure, by the words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        type=_part,
        metavar="PART",
        default=PARTS,
        help=f"of {', '.join(PARTS)}; by default all",
    )
    parser.add_argument("--folder", type=Path, default=Path(".bench-data"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--soak-requests", type=int, default=100_000)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE}")
    return parser.parse_args(words)


def _part(word: str) -> str:
    if word not in PARTS:
        raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(PARTS)}")
    return word


if __name__ == "__main__":
    main()
