"""The bound: what these cores can do at most with these bodies, without any service around it.

One process decodes, resizes and scores, and does nothing else: no HTTP, no digest, no check, no
record. It has the service's own decoder, and the network as the service prepares it. Decoding
threads and inference share the cores in the combination that was fastest.

`python -m bench.bound MODEL.onnx --bodies FOLDER` prints images per second as JSON.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle, islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from bench.load import rate_between
from bench.speed_bodies import read_bodies
from service.core.area_average import average_areas
from service.core.png import decode_plain
from service.core.precision import Precision
from service.engine.compiled import best_precision
from service.engine.layout import prepare

Square = NDArray[np.float32]
BATCHES = (1, 4, 8)
DECODERS = (1, 2)
MOST_PIXELS = 1 << 24
WARM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Bound:
    """The best of the combinations that were tried."""

    per_second: float
    batch: int
    decoders: int
    cpu_seconds_each: float


def read_square(body: bytes, side_px: int) -> Square:
    """(1, 1, S, S): decoded and averaged over areas, without widening or a look for borders."""
    levels = decode_plain(body, max_pixels=MOST_PIXELS, min_side_px=side_px)
    if levels is None:
        raise ValueError("the bodies of this benchmark are plain PNG")
    square = average_areas(levels, side_px, side_px)
    return ((square * np.float32(1 / 255) - 0.5) * 4)[None, None]


def compile_network(onnx: Path, batch: int, side_px: int) -> Any:
    """For throughput, in the precision that is fastest here."""
    core = openvino.Core()
    model = core.read_model(onnx)
    model.reshape({"pixels": [batch, 1, side_px, side_px]})
    prepared = prepare(core, model, best_precision(core, tuple(Precision)))
    return core.compile_model(
        prepared, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "ENABLE_CPU_PINNING": False}
    )


def run(
    compiled: Any, bodies: Iterable[bytes], read: Callable[[bytes], Square], decoders: int
) -> list[float]:
    """Decode ahead of the network; gives when each image was scored, by `time.perf_counter`."""
    queue = openvino.AsyncInferQueue(compiled)
    batch: int = compiled.input(0).shape[0]
    ends: list[float] = []
    queue.set_callback(lambda _request, _images: ends.extend([time.perf_counter()] * batch))
    with ThreadPoolExecutor(decoders) as threads:
        squares = _ahead(threads, read, bodies, 4 * batch + 2 * decoders)
        while group := list(islice(squares, batch)):
            if len(group) == batch:  # the last, if it is not full, is not counted
                queue.start_async({"pixels": np.concatenate(group)})
        queue.wait_all()
    return ends


def rate_for(
    seconds: float,
    compiled: Any,
    bodies: list[bytes],
    read: Callable[[bytes], Square],
    decoders: int,
) -> tuple[float, int]:
    """Images per second, as those of a server are counted, and how many there were in all.

    What is scored first, while nothing is decoded ahead yet, and last, while nothing more is
    decoded, is left out.
    """
    begins = time.perf_counter() + WARM_SECONDS
    stops = begins + seconds
    ends = run(compiled, until(stops, bodies), read, decoders)
    return rate_between(begins, stops, ends), len(ends)


def _ahead(
    threads: ThreadPoolExecutor, read: Callable[[bytes], Square], bodies: Iterable[bytes], most: int
) -> Iterable[Square]:
    waiting: list[Any] = []
    for body in bodies:
        waiting.append(threads.submit(read, body))
        if len(waiting) >= most:
            yield waiting.pop(0).result()
    yield from (job.result() for job in waiting)


def until(ends: float, bodies: list[bytes]) -> Iterator[bytes]:
    """Bodies over and over, until a time by `time.perf_counter`."""
    return takewhile(lambda _: time.perf_counter() < ends, cycle(bodies))


def measure(onnx: Path, folder: Path, *, side_px: int = 224, seconds: float = 5.0) -> Bound:
    """Try every combination for some seconds each."""
    bodies = read_bodies(folder)
    found = []
    for batch in BATCHES:
        compiled = compile_network(onnx, batch, side_px)
        for decoders in DECODERS:
            cpu = time.process_time()
            rate, images = rate_for(
                seconds, compiled, bodies, lambda b: read_square(b, side_px), decoders
            )
            each = (time.process_time() - cpu) / max(images, 1)
            found.append(Bound(rate, batch, decoders, each))
    return max(found, key=lambda bound: bound.per_second)


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("--bodies", type=Path, required=True)
    parser.add_argument("--side-px", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    bound = measure(chosen.onnx, chosen.bodies, side_px=chosen.side_px, seconds=chosen.seconds)
    print(json.dumps(asdict(bound)))


if __name__ == "__main__":
    main()
