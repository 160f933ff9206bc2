"""Architecture by name -> torch module with F outputs and a map per finding; the one torch file.

Axes: N images, F findings, S input side, h x w feature map.
"""

from enum import StrEnum

import torch
from torch import Tensor, nn
from torchvision import models


class Architecture(StrEnum):
    """Networks that an artifact may name."""

    DENSENET121 = "densenet121"
    RESNET50 = "resnet50"
    TINY = "tiny"
    """Two convolutions; for tests and dry runs only."""


class TriageNetwork(nn.Module):
    """A backbone and a 1x1 convolution to one map per finding, averaged into logits.

    Averaging the maps equals global average pooling and a linear layer, so the map of a finding
    *is* its class activation map (Zhou et al., CVPR 2016) and needs no gradients.
    """

    def __init__(self, backbone: nn.Module, features: int, findings: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(features, findings, kernel_size=1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, S, S) normalised -> logits (N, F) and maps (N, F, h, w)."""
        maps = self.head(self.dropout(self.backbone(pixels)))
        return maps.mean(dim=(2, 3)), maps


def build_network(
    architecture: Architecture, *, findings: int, imagenet: bool = False, dropout: float = 0.0
) -> TriageNetwork:
    """Assemble a network with one grey input channel.

    Parameters
    ----------
    imagenet
        Start from torchvision's ImageNet weights (needs a network, or a filled torch hub cache);
        the three input channels of the stem are summed into one.

    Raises
    ------
    urllib.error.URLError
        ImageNet weights were asked for and cannot be reached.
    """
    backbone, features = _BUILDERS[architecture](imagenet)
    network = TriageNetwork(backbone, features, findings, dropout)
    nn.init.normal_(network.head.weight, std=0.01)
    if network.head.bias is not None:
        nn.init.zeros_(network.head.bias)
    return network


def _densenet121(imagenet: bool) -> tuple[nn.Module, int]:
    weights = models.DenseNet121_Weights.IMAGENET1K_V1 if imagenet else None
    network = models.densenet121(weights=weights)
    backbone = network.features
    backbone.conv0 = _grey_stem(backbone.conv0)
    backbone.add_module("relu5", nn.ReLU(inplace=True))
    return backbone, network.classifier.in_features


def _resnet50(imagenet: bool) -> tuple[nn.Module, int]:
    weights = models.ResNet50_Weights.IMAGENET1K_V2 if imagenet else None
    network = models.resnet50(weights=weights)
    network.conv1 = _grey_stem(network.conv1)
    features = network.fc.in_features
    backbone = nn.Sequential(*list(network.children())[:-2])
    return backbone, features


def _tiny(imagenet: bool) -> tuple[nn.Module, int]:
    if imagenet:
        raise ValueError("the tiny architecture has no ImageNet weights")
    layers = (
        nn.Conv2d(1, 8, 3, stride=4, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 16, 3, stride=4, padding=1),
        nn.ReLU(inplace=True),
    )
    return nn.Sequential(*layers), 16


def _grey_stem(stem: nn.Conv2d) -> nn.Conv2d:
    """The same convolution for one channel; equal to feeding the grey image three times."""
    grey = nn.Conv2d(1, stem.out_channels, 7, stride=2, padding=3, bias=False)
    with torch.no_grad():
        grey.weight.copy_(stem.weight.sum(dim=1, keepdim=True))
    return grey


_BUILDERS = {
    Architecture.DENSENET121: _densenet121,
    Architecture.RESNET50: _resnet50,
    Architecture.TINY: _tiny,
}
