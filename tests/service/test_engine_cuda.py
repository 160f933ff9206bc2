"""What of the CUDA engine needs no GPU; `tests/gpu` has the rest."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.core.artifact import load_current
from service.core.network import Architecture, build_network
from service.core.precision import Precision
from service.core.preprocess import normalise
from service.engine.base import EngineUnavailable
from service.engine.torch import TorchEngine, choose_run
from tests.support.tiny_network import SPEC, chest_pixels


def test_engine_that_is_closed_scores_nothing(tiny_store: Path) -> None:
    engine = TorchEngine(load_current(tiny_store))
    engine.close()

    with pytest.raises(RuntimeError, match="closed"):
        engine.forward(np.ascontiguousarray(normalise(chest_pixels(), SPEC)))


def test_device_without_room_for_the_weights_is_unavailable(
    tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(nn.Module, "to", refuse)

    with pytest.raises(EngineUnavailable, match="cannot hold"):
        TorchEngine(load_current(tiny_store))


@pytest.mark.parametrize("architecture", sorted({*Architecture} - {Architecture.TINY}))
@pytest.mark.parametrize("precision", Precision)
def test_every_convolution_gets_pixels_and_weights_in_nhwc(
    architecture: Architecture, precision: Precision
) -> None:
    network = build_network(architecture, findings=3).eval().requires_grad_(False)
    run = choose_run(network, precision)
    strides: list[tuple[int, int]] = []
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(partial(_note_channel_strides, strides))

    with torch.inference_mode():
        run(torch.zeros(2, 1, 64, 64).to(memory_format=torch.channels_last))

    assert len(strides) > 40
    assert set(strides) == {(1, 1)}


@pytest.fixture
def tf32_allowed() -> Iterator[None]:
    """For the whole process, as torch has it for convolutions; as before afterwards."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.usefixtures("tf32_allowed")
@pytest.mark.parametrize("precision", Precision)
def test_what_is_called_fp32_is_never_tf32(precision: Precision) -> None:
    choose_run(build_network(Architecture.TINY, findings=3), precision)

    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cuda.matmul.fp32_precision != "tf32"


def _note_channel_strides(
    strides: list[tuple[int, int]], module: nn.Conv2d, inputs: tuple[Tensor], _output: Tensor
) -> None:
    strides.append((inputs[0].stride(1), module.weight.stride(1)))
