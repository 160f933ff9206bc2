"""Would int8 do? What it saves, and how far it moves the probabilities of a version.

`python -m bench.int8 --artifact FOLDER --pictures FOLDER` quantises the network of a version by
NNCF and compares it with fp32 on other pictures, in one view; with `--held` also after layers went
back to floating point until the manifest's tolerance is kept on pictures that it saw. Pictures are
what may be uploaded; without a folder, drawn chests are taken, which tell the speed alone.

The environment for NNCF: `make .bench-nncf/.installed`.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from bench.contenders import ROOT
from service.core.artifact import ONNX, Artifact, load_artifact, load_current
from service.core.errors import CxrError
from service.core.findings import ABNORMAL, FINDINGS, Finding
from service.core.inference import calibrate
from service.core.intake import IntakeLimits, read_radiograph
from service.core.preprocess import normalise, preprocess
from service.core.radiograph import FileFormat, Pixels, Radiograph
from training.phantoms import draw_chest

PYTHON = ROOT / ".bench-nncf" / "bin" / "python"
SECONDS = 5.0
Batch = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Compared:
    """One way to compute the network.

    Attributes
    ----------
    largest, usual
        Difference of a probability from fp32: the largest, and the 95th percentile.
    moved
        Pictures whose side of a threshold changes.
    """

    name: str
    per_second: float
    cpu_seconds_each: float
    largest: float
    usual: float
    moved: int


def read_pictures(folder: Path, artifact: Artifact, images: int) -> Batch:
    """(N, 1, S, S) as the network sees them; what cannot be read is passed over."""
    spec = artifact.manifest.preprocess
    found: list[Pixels] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and len(found) < images:
            try:
                radiograph = read_radiograph(path.read_bytes(), IntakeLimits())
            except CxrError:
                continue
            found.append(preprocess(radiograph, spec))
    return np.asarray(normalise(np.stack(found), spec), np.float32)


def draw_pictures(artifact: Artifact, images: int) -> Batch:
    """The same of drawn chests."""
    spec, kinds = artifact.manifest.preprocess, tuple(Finding)
    drawn = [
        preprocess(Radiograph(draw_chest(seed, kinds[seed % len(kinds)]), FileFormat.PNG), spec)
        for seed in range(images)
    ]
    return np.asarray(normalise(np.stack(drawn), spec), np.float32)


def compare(exact: Batch, other: Batch, artifact: Artifact) -> tuple[float, float, int]:
    """(N, F) probabilities each -> largest difference, 95th percentile, pictures that move."""
    differences = np.abs(exact - other)
    points = [(p.finding, p.threshold) for p in artifact.manifest.operating_points]
    set_points = [
        (FINDINGS.index(f), threshold) for f, threshold in points if threshold is not None
    ]
    sides = [
        np.stack([p[:, column] >= threshold for column, threshold in set_points], axis=1)
        for p in (exact, other)
    ]
    return (
        float(differences.max()),
        float(np.percentile(differences[:, [FINDINGS.index(f) for f in ABNORMAL]], 95)),
        int((sides[0] != sides[1]).any(axis=1).sum()),
    )


def measure(
    artifact: Artifact, pixels: Batch, folder: Path, *, is_held: bool, seconds: float = SECONDS
) -> list[Compared]:
    """fp32, bf16 and int8; the second half of the pictures judges."""
    half = len(pixels) // 2
    onnx, calibration = folder / ONNX, folder / "pixels.npy"
    onnx.write_bytes(artifact.files[ONNX])
    np.save(calibration, pixels[:half])
    most = artifact.manifest.tolerance.probability
    networks = {
        "fp32": (onnx, "f32"),
        "bf16": (onnx, "bf16"),
        "int8, else bf16": (_quantise(onnx, calibration, folder / "plain.xml"), "bf16"),
    }
    if is_held:
        held = _quantise(onnx, calibration, folder / "held.xml", "--most", str(most))
        networks["int8 held to the tolerance, else fp32"] = (held, "f32")
    judges = pixels[half:]
    found, exact = [], None
    for name, (path, precision) in networks.items():
        compiled = _compile(path, precision, judges.shape[-1])
        logits = np.stack([compiled({"pixels": one[None]})["logits"][0] for one in judges])
        scored = calibrate(logits, artifact.manifest.calibration.temperature)
        exact = scored if exact is None else exact
        per_second, cpu_seconds = _speed(compiled, judges, seconds)
        largest, usual, moved = compare(exact, scored, artifact)
        found.append(Compared(name, per_second, cpu_seconds, largest, usual, moved))
    return found


def _quantise(onnx: Path, calibration: Path, out: Path, *options: str) -> Path:
    script = ROOT / "bench" / "peers" / "quantise.py"
    command = [str(PYTHON), str(script), str(onnx), str(calibration), str(out), *options]
    # NNCF reports its use to its makers unless it is told that this is a test.
    environment = {**os.environ, "NNCF_CI": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return out


def _compile(path: Path, precision: str, side_px: int) -> Any:
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({"pixels": [1, 1, side_px, side_px]})
    options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    return core.compile_model(model, "CPU", options)


def _speed(compiled: Any, pictures: Batch, seconds: float) -> tuple[float, float]:
    """Images per second, and CPU seconds of one, with a stream a core."""
    waiting = openvino.AsyncInferQueue(compiled)
    images, cpu, started = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - started < seconds:
        waiting.start_async({"pixels": pictures[images % len(pictures)][None]})
        images += 1
    waiting.wait_all()
    taken = time.perf_counter() - started
    return images / taken, (time.process_time() - cpu) / images


def show(artifact: Artifact, compared: Sequence[Compared]) -> str:
    """A table, and the verdict by the manifest's tolerance."""
    most = artifact.manifest.tolerance.probability
    lines = [
        f"{artifact.reference}, tolerance {most:g}",
        "",
        "| network in | images/s | CPU ms | largest difference | 95 % below | moved | bears it |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {c.name} | {c.per_second:.1f} | {1000 * c.cpu_seconds_each:.1f} | {c.largest:.4f} "
        f"| {c.usual:.4f} | {c.moved} | {'yes' if c.largest <= most and not c.moved else 'no'} |"
        for c in compared
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, help="by default the version that serves")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--held", action="store_true", help="one kind more, after a long search")
    chosen = parser.parse_args()
    folder: Path | None = chosen.artifact
    artifact = load_current(ROOT / "model_store") if folder is None else load_artifact(folder)
    pixels = (
        draw_pictures(artifact, chosen.images)
        if chosen.pictures is None
        else read_pictures(chosen.pictures, artifact, chosen.images)
    )
    with tempfile.TemporaryDirectory() as scratch:
        print(show(artifact, measure(artifact, pixels, Path(scratch), is_held=chosen.held)))


if __name__ == "__main__":
    main()
