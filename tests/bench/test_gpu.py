"""The GPU benchmark tries itself out on a CPU, and its arithmetic is right."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch

from bench.gpu import (
    Found,
    draw_pixels,
    load_named,
    measure,
    page_of,
    read_bodies,
    thread_counts,
)
from service.core.artifact import GOLDEN, load_current
from service.core.golden import read_golden
from tests.support.radiographs import png_bytes

FOUND = Found("cuda:0 bf16", 64, 1000.0, 900.0, 0.95, {1: 100.0, 2: 190.0, 4: 300.0})


def test_everything_is_measured_and_told(tiny_store: Path) -> None:
    artifact = load_current(tiny_store)

    found = measure(artifact, [png_bytes()], device="cpu", seconds=0.2, pictures=4)

    assert found.bare_per_second > 0
    assert found.batched_per_second > 0
    assert set(found.decoded) == set(thread_counts())
    assert found.busy_ratio is None
    assert "| of the bare graph |" in page_of(found)


def test_version_is_measured_by_its_folder_or_its_store_and_with_its_own_uploads(
    tiny_store: Path, tmp_path: Path
) -> None:
    artifact = load_current(tiny_store)
    (tmp_path / "one.png").write_bytes(png_bytes())
    (folder,) = (path.parent for path in tiny_store.rglob("manifest.json"))

    assert load_named(folder).digest == load_named(tiny_store).digest == artifact.digest
    assert read_bodies(artifact, None) == read_golden(artifact.files[GOLDEN]).uploads
    assert read_bodies(artifact, tmp_path) == [png_bytes()]


def test_bare_network_gets_its_pixels_as_the_engine_does() -> None:
    pixels = draw_pixels(2, 32, torch.device("cpu"))

    assert pixels.shape == (2, 1, 32, 32)
    assert pixels.stride() == (1024, 1, 32, 1)


def test_share_and_decoders_needed_follow_from_the_rates() -> None:
    assert found_numbers(FOUND) == (0.9, 9.0)


def test_each_view_of_a_radiograph_is_a_picture_of_the_bare_network() -> None:
    assert replace(FOUND, views=4, batched_per_second=225.0).share == FOUND.share


def found_numbers(found: Found) -> tuple[float, float]:
    return round(found.share, 6), round(found.threads_needed, 6)


def test_page_says_what_is_wanted_beside_what_was_measured() -> None:
    page = page_of(FOUND)

    assert "| of the bare graph | 0.90 | >= 0.85 |" in page
    assert "| device busy | 0.95 | >= 0.9 |" in page
    assert "| 4 | 300 |" in page


def test_threads_are_doubled_up_to_the_cores() -> None:
    counts = thread_counts()

    assert counts[0] == 1
    assert all(2 * fewer >= more for fewer, more in pairwise(counts))


BARE_MACHINE = """
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

NAMED = {"torch", "torchvision", "numpy", "PIL", "safetensors", "pydantic", "pydantic_core",
    "annotated_types", "typing_inspection", "typing_extensions", "pydicom", "rle", "imagecodecs",
    "cv2", "structlog"}
OF_TORCH = {"functorch", "torchgen", "sympy", "mpmath", "networkx", "jinja2", "markupsafe",
    "filelock", "fsspec"}
OURS = {"bench", "service", "tests", "training"}
hidden = set(packages_distributions()) - NAMED - OF_TORCH - OURS - set(sys.stdlib_module_names)
sys.modules |= dict.fromkeys(hidden)
from bench.gpu import measure
from service.core.artifact import load_current
bodies = [Path(sys.argv[2]).read_bytes()]
found = measure(load_current(Path(sys.argv[1])), bodies, device="cpu", seconds=0.1, pictures=1)
print(found.batched_per_second > 0)
"""


def test_machine_with_the_packages_that_the_benchmark_names_can_run_it(
    tiny_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "one.png").write_bytes(png_bytes())
    command = [sys.executable, "-c", BARE_MACHINE, str(tiny_store), str(tmp_path / "one.png")]

    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    assert finished.stdout.splitlines()[-1:] == ["True"], finished.stderr[-2000:]
