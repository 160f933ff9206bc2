"""The bound counts only images that were scored, in the order and the size that they came in."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.bound import BATCHES, DECODERS, Square, compile_network, measure, read_square, run
from tests.support.tiny_network import SPEC, build_onnx, chest_uploads, draw_weights

SIDE_PX = SPEC.side_px


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(build_onnx(draw_weights(0)))
    return path


def encode(levels: list[list[int]]) -> bytes:
    """As PNG."""
    _, body = cv2.imencode(".png", np.array(levels, np.uint8))
    return bytes(body)


@pytest.mark.parametrize(("level", "value"), [(0, -2.0), (255, 2.0), (51, -1.2)])
def test_picture_becomes_a_square_of_its_level(level: int, value: float) -> None:
    square = read_square(encode([[level] * 40] * 20), 4)

    assert square.shape == (1, 1, 4, 4)
    assert square == pytest.approx(np.full((1, 1, 4, 4), value), abs=1e-5)


def test_picture_is_averaged_over_areas() -> None:
    square = read_square(encode([[0, 255], [255, 0]]), 1)

    assert square.item() == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(("bodies", "scored"), [(7, 6), (6, 6), (1, 0), (0, 0)])
def test_batch_that_is_not_full_is_not_counted(onnx: Path, bodies: int, scored: int) -> None:
    read: list[bytes] = []

    def keep(body: bytes) -> Square:
        read.append(body)
        return np.zeros((1, 1, SIDE_PX, SIDE_PX), np.float32)

    ends = run(compile_network(onnx, 2, SIDE_PX), [b"%d" % n for n in range(bodies)], keep, 2)

    assert len(ends) == scored
    assert sorted(read) == [b"%d" % n for n in range(bodies)]


def test_reading_does_not_run_far_ahead_of_the_network(onnx: Path) -> None:
    compiled = compile_network(onnx, 1, SIDE_PX)
    taken, read = 0, 0
    furthest = 0

    def stream() -> Iterator[bytes]:
        nonlocal taken, furthest
        for _ in range(40):
            taken += 1
            furthest = max(furthest, taken - read)
            yield b""

    def keep(_: bytes) -> Square:
        nonlocal read
        read += 1
        return np.zeros((1, 1, SIDE_PX, SIDE_PX), np.float32)

    run(compiled, stream(), keep, 1)

    assert read == 40
    assert furthest <= 4 + 2 + 1


def test_best_of_the_combinations_is_reported(onnx: Path, tmp_path: Path) -> None:
    bodies = tmp_path / "bodies"
    bodies.mkdir()
    for number, body in enumerate(chest_uploads()):
        (bodies / f"{number:03d}").write_bytes(body)

    bound = measure(onnx, bodies, side_px=SIDE_PX, seconds=0.1)

    assert bound.per_second > 0
    assert bound.cpu_seconds_each > 0
    assert bound.batch in BATCHES
    assert bound.decoders in DECODERS
