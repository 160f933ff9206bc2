"""Every architecture gives one logit and one map a finding, and the map explains the logit."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models import densenet121

from service.core.inference import Outputs
from service.core.network import Architecture, TriageNetwork, build_network
from training.onnx_export import export_onnx, openvino_forward

SIDES = dict.fromkeys(Architecture, 64)


def build(architecture: Architecture, findings: int = 3) -> TriageNetwork:
    torch.manual_seed(0)
    network = build_network(architecture, findings=findings, dropout=0.3).eval()
    nn.init.normal_(network.head.weight)
    bias = network.head.bias
    assert bias is not None
    nn.init.normal_(bias)
    return network


@pytest.mark.parametrize("architecture", list(Architecture))
@pytest.mark.parametrize("findings", [2, 3])
def test_logits_and_maps_have_one_plane_a_finding(
    architecture: Architecture, findings: int
) -> None:
    side = SIDES[architecture]

    with torch.inference_mode():
        logits, maps, _ = build(architecture, findings)(torch.rand(2, 1, side, side))

    assert logits.shape == (2, findings)
    assert maps.shape[:2] == (2, findings)
    assert torch.allclose(maps.mean(dim=(2, 3)), logits)


@pytest.mark.parametrize("architecture", list(Architecture))
def test_head_equals_average_pooling_and_a_linear_layer(architecture: Architecture) -> None:
    network, side = build(architecture), SIDES[architecture]
    pixels = torch.rand(2, 1, side, side)
    linear = nn.Linear(network.head.in_channels, 3)
    linear.weight.data = network.head.weight.data.flatten(1)
    linear.bias.data = network.head.bias.data if network.head.bias is not None else linear.bias.data

    with torch.inference_mode():
        pooled = linear(network.backbone(pixels).mean(dim=(2, 3)))
        logits, *_ = network(pixels)

    assert torch.allclose(logits, pooled, rtol=1e-4, atol=1e-4)


def test_densenet_equals_torchvision_on_the_grey_image_three_times() -> None:
    network = build(Architecture.DENSENET121)
    colour = densenet121(weights=None).eval()
    state = {f"backbone.{k.removeprefix('features.')}": v for k, v in colour.state_dict().items()}
    stem = state["backbone.conv0.weight"]
    state["backbone.conv0.weight"] = stem.sum(dim=1, keepdim=True)
    backbone = {k.removeprefix("backbone."): v for k, v in state.items() if "classifier" not in k}
    network.backbone.load_state_dict(backbone)
    grey = torch.rand(1, 1, 64, 64)

    with torch.inference_mode():
        expected = torch.relu(colour.features(grey.expand(1, 3, 64, 64)))
        found = network.backbone(grey)

    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", list(Architecture))
def test_exported_network_computes_the_same_for_any_batch(architecture: Architecture) -> None:
    network, side = build(architecture), SIDES[architecture]
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    pixels = np.random.default_rng(0).random((3, 1, side, side), dtype=np.float32)
    forward = openvino_forward(export_onnx(network, side), "f32")
    expected = in_double_precision(network, pixels)

    for images in (1, 3):
        found = forward(pixels[:images])
        assert np.abs(found.logits - expected.logits[:images]).max() < 1e-3
        assert np.abs(found.maps - expected.maps[:images]).max() < 1e-2
        assert np.abs(found.features - expected.features[:images]).max() < 1e-3


def in_double_precision(network: TriageNetwork, pixels: NDArray[np.float32]) -> Outputs:
    """What drawn weights with logits of 150 really give; fp32 would add its own rounding."""
    with torch.inference_mode():
        tensors = network.double()(torch.from_numpy(pixels).double())
    return Outputs(*(tensor.numpy() for tensor in tensors))
