"""What each step of one upload takes on one thread, beside the plain way where there is another.

The ways take turns, and the least of the rounds is shown: on a machine that has other work too it
is what repeats best. `python -m bench.steps` prints the table.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import openvino

from bench.speed_bodies import open_bodies, read_bodies
from bench.speed_model import NAME, SIDE_PX, SPEC, VERSION, open_store
from bench.tables import table
from service.core.area_average import average_areas
from service.core.artifact import ONNX, digest_of
from service.core.drift_scalars import measure_input, measure_raw, sample_radiograph
from service.core.intake import IntakeLimits, read_radiograph
from service.core.percentiles import percentiles
from service.core.png import decode_plain
from service.core.precision import Precision
from service.core.preprocess import crop_box, preprocess
from service.core.scope import IntendedUse, check_scope
from service.engine.compiled import best_precision
from service.engine.layout import prepare

LIMITS = IntakeLimits()
Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Step:
    """Seconds of ours, and of the plain way if there is one."""

    name: str
    ours: float
    plain: float | None


def measure(folder: Path, *, rounds: int) -> list[Step]:
    """Every step, all in turns."""
    ways = {**_picture_ways(folder), **_network_ways(folder)}
    least = {(name, plain): np.inf for name, pair in ways.items() for plain in range(len(pair))}
    for _ in range(rounds):
        for name, pair in ways.items():
            for index, work in enumerate(pair):
                started = time.perf_counter()
                work()
                least[name, index] = min(least[name, index], time.perf_counter() - started)
    return [Step(name, least[name, 0], least.get((name, 1))) for name in ways]


def _picture_ways(folder: Path) -> dict[str, tuple[Work, ...]]:
    """Ours, then the plain way."""
    png, dicom = (read_bodies(kind)[0] for kind in open_bodies(folder / "bodies", images=1))
    radiograph = read_radiograph(png)
    pixels, sample = preprocess(radiograph, SPEC), sample_radiograph(radiograph)
    use, square, side = IntendedUse(), pixels[0], (SIDE_PX, SIDE_PX)
    return {
        "digest": (lambda: digest_of(png),),
        "PNG to levels; libpng alone": (
            lambda: decode_plain(png, max_pixels=LIMITS.max_pixels, min_side_px=1),
            lambda: imagecodecs.png_decode(png),
        ),
        "PNG to radiograph": (lambda: read_radiograph(png),),
        "DICOM to radiograph": (lambda: read_radiograph(dicom),),
        "scope": (lambda: check_scope(radiograph, use),),
        "borders": (lambda: crop_box(radiograph, SPEC),),
        "areas; OpenCV": (
            lambda: average_areas(radiograph.grey, *side),
            lambda: cv2.resize(radiograph.grey, side, interpolation=cv2.INTER_AREA),
        ),
        "two percentiles; numpy": (
            lambda: percentiles(square, 0.5, 99.5),
            lambda: np.percentile(square, (0.5, 99.5)),
        ),
        "drift, a sample of the rows": (lambda: measure_raw(sample),),
        "drift, the network's input": (lambda: measure_input(pixels),),
    }


def _network_ways(folder: Path) -> dict[str, tuple[Work, ...]]:
    onnx = open_store(folder / "stores") / NAME / VERSION / ONNX
    pixels = np.random.default_rng(0).normal(size=(1, 1, SIDE_PX, SIDE_PX)).astype(np.float32)
    core = openvino.Core()
    requests = []
    precision = best_precision(core, tuple(Precision))
    for is_prepared in (True, False):
        model = core.read_model(onnx)
        model.reshape({"pixels": list(pixels.shape)})
        if is_prepared:
            model = prepare(core, model, precision)
        options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": "1"}
        requests.append(core.compile_model(model, "CPU", options).create_infer_request())
    prepared, exported = requests
    return {
        "network; as it was exported": (
            lambda: prepared.infer({"pixels": pixels}),
            lambda: exported.infer({"pixels": pixels}),
        )
    }


def page_of(steps: list[Step]) -> str:
    """Markdown."""
    rows = [(step.name, _milliseconds(step.ours), _milliseconds(step.plain)) for step in steps]
    return table(("step; the plain way", "ms", "the plain way, ms"), rows)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".bench-data"))
    parser.add_argument("--rounds", type=int, default=40)
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    print(page_of(measure(chosen.folder, rounds=chosen.rounds)))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
