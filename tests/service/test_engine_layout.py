"""A network in blocks of eight channels computes the same; where it cannot be, it stays."""

import tempfile
from pathlib import Path

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from openvino import Model
from structlog.testing import capture_logs

from service.core.artifact import ONNX, Artifact
from service.core.precision import Precision
from service.core.radiograph import Pixels
from service.engine import layout
from service.engine.openvino import OpenVinoEngine

WISH = "primitives_priority_0"
Numbers = NDArray[np.float32]


def _read(artifact: Artifact) -> Model:
    model = openvino.Core().read_model(artifact.files[ONNX], b"")
    side_px = artifact.manifest.preprocess.side_px
    model.reshape({"pixels": [1, 1, side_px, side_px]})
    return model


def _wishes(model: Model) -> list[bool]:
    """Of each convolution, whether it says how it would lie."""
    convolutions = [n for n in model.get_ordered_ops() if n.get_type_name() == "Convolution"]
    return [WISH in node.get_rt_info() for node in convolutions]


def _run(model: Model, pixels: Pixels) -> dict[str, Numbers]:
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    outputs = openvino.Core().compile_model(model, "CPU", exact)({"pixels": pixels})
    return {output.get_any_name(): np.array(found) for output, found in outputs.items()}


def test_each_convolution_lies_in_blocks_and_computes_the_same(
    artifact: Artifact, batch_nchw: Pixels
) -> None:
    plain = _read(artifact)

    laid = layout.lay_in_blocks(openvino.Core(), plain)

    assert len(_wishes(laid)) > 1
    assert all(_wishes(laid))
    assert not any(_wishes(plain))
    before, after = (_run(model, batch_nchw[:1]) for model in (plain, laid))
    assert before.keys() == after.keys()
    for name, numbers in before.items():
        np.testing.assert_allclose(after[name], numbers, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("flags", "precision", "is_laid"),
    [
        ({"avx2"}, Precision.F32, True),
        ({"avx2"}, Precision.BF16, False),
        ({"avx2", "avx512f"}, Precision.F32, False),
        (set(), Precision.F32, False),
    ],
    ids=["avx2", "bf16", "avx512", "neither"],
)
def test_only_a_cpu_that_gains_from_it_is_asked(
    artifact: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    flags: set[str],
    precision: Precision,
    is_laid: bool,
) -> None:
    monkeypatch.setattr(layout, "read_cpu_flags", lambda: frozenset(flags))

    prepared = layout.prepare(openvino.Core(), _read(artifact), precision)

    assert set(_wishes(prepared)) == {is_laid}


def test_without_room_to_write_it_a_network_stays_as_it_is(
    artifact: Artifact, batch_nchw: Pixels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = OpenVinoEngine(artifact).forward(batch_nchw)
    monkeypatch.setattr(layout, "read_cpu_flags", lambda: frozenset({"avx2"}))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))

    with capture_logs() as lines:
        after = OpenVinoEngine(artifact).forward(batch_nchw)

    (warning,) = (line for line in lines if line["event"] == "engine.layout_unavailable")
    assert (warning["log_level"], warning["error"]) == ("warning", "FileNotFoundError")
    np.testing.assert_allclose(after.logits, before.logits, rtol=1e-4, atol=1e-4)


def test_nothing_of_the_network_is_left_behind(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    layout.lay_in_blocks(openvino.Core(), _read(artifact))

    assert list(tmp_path.iterdir()) == []


def test_this_cpu_tells_what_it_can() -> None:
    assert "fpu" in layout.read_cpu_flags()
