"""On a GPU: engine and batcher against the bare network, and where decoding is the limit.

`python -m bench.gpu STORE` on a machine with a GPU, where STORE is a model store or one version:
`model_store`, or one that `python -m bench.speed_model FOLDER` makes elsewhere. No network, and of
packages only torch, torchvision, numpy, pillow, safetensors, pydantic (with pydantic-core,
annotated-types, typing-inspection, typing-extensions), pydicom, pylibjpeg-rle, imagecodecs,
opencv-python-headless and structlog, in the versions of `requirements/gpu.txt`: carry wheels of
those that the machine lacks. With `--device cpu` it tries itself out.

It takes `--seconds` for the bare network, for the batcher and for each number of decoding threads,
and a while before them to record and prove the graphs.

- *bare*: one graph of the largest bucket, replayed over and over, nothing copied;
- *through the batcher*: decoded radiographs submitted by many callers, scored and calibrated;
- *busy*: the share of time in which the device computed, as `nvidia-smi` tells it;
- *decoded*: uploads read and preprocessed by ever more threads, and how many would keep the device
  busy.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import torch

from bench.busy import watching
from bench.tables import table
from service.batcher import Batcher
from service.core.artifact import GOLDEN, MANIFEST, Artifact, load_artifact, load_current
from service.core.golden import read_golden
from service.core.inference import recipe_of, score_batch
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import Pixels
from service.core.self_test import self_test
from service.cores import count_cores
from service.engine.base import radiographs_a_call
from service.engine.cuda import BUCKETS
from service.engine.torch import TorchEngine, choose_precision, choose_run, load_network

REPLAYS_A_LOOK = 20
MAX_BODIES = 64
CALLERS_A_LANE = 3
"""Full batches that wait or are scored, for each lane: the device never waits for callers."""

SHARE_WANTED, BUSY_WANTED = 0.85, 0.90


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured.

    Attributes
    ----------
    pictures
        Of a bare run.
    busy_ratio
        None where nothing tells it.
    decoded
        Images per second by number of threads.
    views
        Of each radiograph that went through the batcher.
    """

    device: str
    pictures: int
    bare_per_second: float
    batched_per_second: float
    busy_ratio: float | None
    decoded: dict[int, float]
    views: int = 1

    @property
    def share(self) -> float:
        """Of the bare throughput; each view of a radiograph is a picture."""
        return self.views * self.batched_per_second / self.bare_per_second

    @property
    def threads_needed(self) -> float:
        """Decoding threads at which the device becomes the limit, by the rate of each."""
        return self.batched_per_second / max(n / threads for threads, n in self.decoded.items())


def measure(
    artifact: Artifact, bodies: Sequence[bytes], *, device: str, seconds: float, pictures: int
) -> Found:
    """All of it, one after the other."""
    spec = artifact.manifest.preprocess
    bare = measure_bare(artifact, device, pictures=pictures, seconds=seconds)
    engine = TorchEngine(artifact, device)
    try:
        self_test(artifact, engine.forward)
        engine.finish(partial(self_test, artifact))
        with watching(gpu_name(device)) as busy:
            batched = asyncio.run(measure_batched(engine, artifact, bodies, seconds=seconds))
    finally:
        engine.close()
    decoded = {
        threads: measure_decoding(bodies, spec, threads=threads, seconds=seconds)
        for threads in thread_counts()
    }
    views = len(artifact.manifest.views)
    return Found(engine.device, pictures, bare, batched, busy(), decoded, views)


def measure_bare(artifact: Artifact, device: str, *, pictures: int, seconds: float) -> float:
    """Pictures per second of the network alone, over random numbers that are there already."""
    target = torch.device(device)
    network = load_network(artifact).to(target)
    side_px = artifact.manifest.preprocess.side_px
    pixels = draw_pixels(pictures, side_px, target)
    with torch.inference_mode():
        if target.type != "cuda":
            return _rate(lambda: network(pixels), lambda: None, pictures, seconds)
        with torch.cuda.device(target):
            run = choose_run(network, choose_precision(artifact, target))
            graph = _record(lambda: run(pixels), target)
            return _rate(graph.replay, torch.cuda.synchronize, pictures, seconds)


def draw_pixels(pictures: int, side_px: int, device: torch.device) -> torch.Tensor:
    """(M, 1, S, S) random numbers in NHWC, as the engine's are; `contiguous` would leave NCHW."""
    drawn = torch.randn((pictures, 1, side_px, side_px), device=device)
    return drawn.to(memory_format=torch.channels_last)


def _record(run: Callable[[], object], device: torch.device) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call] # torch's own gap
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        run()
    return graph


def _rate(
    run: Callable[[], object], wait: Callable[[], object], pictures: int, seconds: float
) -> float:
    run()
    wait()
    started, runs = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(REPLAYS_A_LOOK):
            run()
        wait()
        runs += REPLAYS_A_LOOK
    return runs * pictures / (time.perf_counter() - started)


def gpu_name(device: str) -> str | None:
    """The device by the name that `nvidia-smi` has for it, whichever others this process sees.

    Returns
    -------
    None for a CPU.
    """
    if not device.startswith("cuda"):
        return None
    return f"GPU-{torch.cuda.get_device_properties(torch.device(device)).uuid}"


async def measure_batched(
    engine: TorchEngine, artifact: Artifact, bodies: Sequence[bytes], *, seconds: float
) -> float:
    """Radiographs per second, from submitted pixels to calibrated scores."""
    recipe = recipe_of(artifact)
    together = radiographs_a_call(engine, views=len(recipe.views))
    callers = CALLERS_A_LANE * engine.lanes * together
    drawn = [preprocess(read_radiograph(body), recipe.preprocess) for body in bodies]
    batcher = Batcher(
        score=partial(score_batch, forward=engine.forward, recipe=recipe),
        max_images=together, max_wait_seconds=0, max_queued=callers, lanes=engine.lanes,
    )  # fmt: skip
    await batcher.start()
    ends = time.perf_counter() + seconds
    started = time.perf_counter()
    loops = (_submit_until(batcher, cycle(drawn), ends) for _ in range(callers))
    answered = sum(await asyncio.gather(*loops))
    taken = time.perf_counter() - started
    await batcher.close()
    return answered / taken


async def _submit_until(batcher: Batcher, pixels: Iterator[Pixels], ends: float) -> int:
    answered = 0
    while time.perf_counter() < ends:
        await batcher.submit(next(pixels))
        answered += 1
    return answered


def measure_decoding(
    bodies: Sequence[bytes], spec: PreprocessSpec, *, threads: int, seconds: float
) -> float:
    """Uploads per second, read and preprocessed side by side."""

    def read_until(ends: float) -> int:
        read = 0
        for body in cycle(bodies):
            preprocess(read_radiograph(body), spec)
            read += 1
            if time.perf_counter() >= ends:
                return read
        return read

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        read = sum(pool.map(read_until, [started + seconds] * threads))
    return read / (time.perf_counter() - started)


def thread_counts() -> tuple[int, ...]:
    """1, 2, 4 ... and as many as there are cores."""
    cores = count_cores()
    doubled = (1 << power for power in range(cores.bit_length()))
    return tuple(sorted({n for n in doubled if n < cores} | {cores}))


def page_of(found: Found) -> str:
    """Markdown, with what must hold."""
    busy = "-" if found.busy_ratio is None else f"{found.busy_ratio:.2f}"
    rows = [
        ("bare graph, pictures/s", f"{found.bare_per_second:.0f}", f"{found.pictures} at a time"),
        (
            "through the batcher, images/s",
            f"{found.batched_per_second:.0f}",
            f"{found.views} views",
        ),
        ("of the bare graph", f"{found.share:.2f}", f">= {SHARE_WANTED}"),
        ("device busy", busy, f">= {BUSY_WANTED}"),
        ("decoding threads that it takes", f"{found.threads_needed:.1f}", ""),
    ]
    decoded = [(str(threads), f"{rate:.0f}") for threads, rate in found.decoded.items()]
    return (
        f"# {found.device}\n\n"
        + table(("what", "measured", "wanted"), rows)
        + "\n"
        + table(("decoding threads", "images/s"), decoded)
    )


def load_named(folder: Path) -> Artifact:
    """A version by its own folder, or the one that serves from a store."""
    return load_artifact(folder) if (folder / MANIFEST).exists() else load_current(folder)


def read_bodies(artifact: Artifact, folder: Path | None) -> Sequence[bytes]:
    """Some uploads of a folder; without one, those that the version carries."""
    if folder is None:
        return read_golden(artifact.files[GOLDEN]).uploads
    return [path.read_bytes() for path in islice(sorted(folder.iterdir()), MAX_BODIES)]


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--bodies", type=Path, help="folder of uploads, not the golden ones")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pictures", type=int, default=BUCKETS[-1])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    artifact = load_named(chosen.store)
    found = measure(
        artifact, read_bodies(artifact, chosen.bodies), device=chosen.device,
        seconds=chosen.seconds, pictures=chosen.pictures,
    )  # fmt: skip
    page = page_of(found)
    print(page)
    if chosen.out is not None:
        chosen.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
