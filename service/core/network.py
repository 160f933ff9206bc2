"""Architecture by name -> torch module: F logits, a map per finding, features at three depths.

Axes: N images, F findings, S input side, h x w feature map, D features.
"""

from enum import StrEnum

import torch
from torch import Tensor, nn
from torchvision import models

from service.core.efficientnet_lite import FEATURES, efficientnet_lite0


class Architecture(StrEnum):
    """Networks that an artifact may name."""

    DENSENET121 = "densenet121"
    RESNET50 = "resnet50"
    EFFICIENTNET_LITE0 = "efficientnet_lite0"
    TINY = "tiny"
    """Two convolutions; for tests and dry runs only."""


class TriageNetwork(nn.Module):
    """A backbone and a 1x1 convolution to one map per finding, averaged into logits.

    Averaging the maps equals global average pooling and a linear layer, so the map of a finding
    *is* its class activation map (Zhou et al., CVPR 2016) and needs no gradients.

    Parameters
    ----------
    backbone
        Stages in order; each is one child.
    taps
        Names of the stages whose channel means are the features by which an image is compared
        with those that were learned from; the last is the input of the head.
    channels
        Of the last stage.
    """

    def __init__(
        self, backbone: nn.Module, taps: tuple[str, ...], channels: int, findings: int,
        dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.taps = taps
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(channels, findings, kernel_size=1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 1, S, S) normalised -> logits (N, F), maps (N, F, h, w) and features (N, D)."""
        deepest, features = self.extract(pixels)
        logits, maps = self.decide(deepest)
        return logits, maps, features

    def extract(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The last stage's output, and the features (N, D) tapped on the way there."""
        tapped = []
        for name, stage in self.backbone.named_children():
            pixels = stage(pixels)
            if name in self.taps:
                tapped.append(pixels.float().mean(dim=(2, 3)))
        return pixels, torch.cat(tapped, dim=1)

    def decide(self, deepest: Tensor) -> tuple[Tensor, Tensor]:
        """The last stage's output -> logits (N, F) and maps (N, F, h, w)."""
        maps = self.head(self.dropout(deepest))
        return maps.mean(dim=(2, 3)), maps


def build_network(
    architecture: Architecture, *, findings: int, imagenet: bool = False, dropout: float = 0.0
) -> TriageNetwork:
    """Assemble a network with one grey input channel.

    Parameters
    ----------
    imagenet
        Start from torchvision's ImageNet weights (needs a network, or a filled torch hub cache);
        the three input channels of the stem are summed into one. EfficientNet-Lite0 is not
        among them: its weights come as a file, see `training.pretrained`.

    Raises
    ------
    urllib.error.URLError
        ImageNet weights were asked for and cannot be reached.
    ValueError
        torchvision has no ImageNet weights for this architecture.
    """
    backbone, taps, channels = _BUILDERS[architecture](imagenet)
    network = TriageNetwork(backbone, taps, channels, findings, dropout)
    nn.init.normal_(network.head.weight, std=0.01)
    if network.head.bias is not None:
        nn.init.zeros_(network.head.bias)
    return network


_Built = tuple[nn.Module, tuple[str, ...], int]


def _densenet121(imagenet: bool) -> _Built:
    weights = models.DenseNet121_Weights.IMAGENET1K_V1 if imagenet else None
    network = models.densenet121(weights=weights)
    backbone = network.features
    backbone.conv0 = _grey_stem(backbone.conv0)
    backbone.add_module("relu5", nn.ReLU(inplace=True))
    return backbone, ("transition2", "transition3", "relu5"), network.classifier.in_features


def _resnet50(imagenet: bool) -> _Built:
    weights = models.ResNet50_Weights.IMAGENET1K_V2 if imagenet else None
    network = models.resnet50(weights=weights)
    network.conv1 = _grey_stem(network.conv1)
    channels = network.fc.in_features
    backbone = nn.Sequential(*list(network.children())[:-2])
    return backbone, ("5", "6", "7"), channels


def _efficientnet_lite0(imagenet: bool) -> _Built:
    _refuse_imagenet(imagenet, Architecture.EFFICIENTNET_LITE0)
    return efficientnet_lite0(), ("stage3", "stage5", "stage7"), FEATURES


def _tiny(imagenet: bool) -> _Built:
    _refuse_imagenet(imagenet, Architecture.TINY)
    layers = (
        nn.Conv2d(1, 8, 3, stride=4, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 16, 3, stride=4, padding=1),
        nn.ReLU(inplace=True),
    )
    return nn.Sequential(*layers), ("1", "3"), 16


def _refuse_imagenet(imagenet: bool, architecture: Architecture) -> None:
    if imagenet:
        raise ValueError(f"torchvision has no ImageNet weights for {architecture}")


def _grey_stem(stem: nn.Conv2d) -> nn.Conv2d:
    """The same convolution for one channel; equal to feeding the grey image three times."""
    grey = nn.Conv2d(1, stem.out_channels, 7, stride=2, padding=3, bias=False)
    with torch.no_grad():
        grey.weight.copy_(stem.weight.sum(dim=1, keepdim=True))
    return grey


_BUILDERS = {
    Architecture.DENSENET121: _densenet121,
    Architecture.RESNET50: _resnet50,
    Architecture.EFFICIENTNET_LITE0: _efficientnet_lite0,
    Architecture.TINY: _tiny,
}
