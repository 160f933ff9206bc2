"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6.

Tan and Le, ICML 2019; the Lite variants are of the TensorFlow TPU repository (Apache-2.0). Strides
pad as TensorFlow's `SAME` does for an even side, which is what the public ImageNet weights were
trained with; so the input side must be a multiple of 32. Axes: N images, C channels, h x w map.
"""

from collections import OrderedDict

from torch import Tensor, nn

FEATURES = 320
"""Channels of the last block; the 1280-channel head of the ImageNet classifier is left out."""

STEM_CHANNELS = 32
STAGES = (
    # blocks, kernel, stride, expansion, channels out
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, FEATURES),
)
EPSILON, MOMENTUM = 1e-3, 0.01
"""Of every batch normalisation, as trained."""


def efficientnet_lite0() -> nn.Sequential:
    """`stem`, `stage1` ... `stage7` in order: (N, 1, S, S) -> (N, 320, S / 32, S / 32)."""
    stages: OrderedDict[str, nn.Module] = OrderedDict(stem=_stem())
    channels = STEM_CHANNELS
    for number, (blocks, kernel, stride, expansion, out) in enumerate(STAGES, start=1):
        layers = []
        for block in range(blocks):
            layers.append(_Block(channels, out, kernel, stride if block == 0 else 1, expansion))
            channels = out
        stages[f"stage{number}"] = nn.Sequential(*layers)
    return nn.Sequential(stages)


class _Block(nn.Module):
    """Inverted residual: widen, filter each channel, narrow."""

    def __init__(self, inside: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inside * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion != 1:
            layers["expand"] = nn.Conv2d(inside, wide, 1, bias=False)
            layers["expand_norm"] = _norm(wide)
            layers["expand_act"] = nn.ReLU6(inplace=True)
        if stride == 2:
            layers["pad"] = _same_padding(kernel)
        around = 0 if stride == 2 else kernel // 2
        layers["filter"] = nn.Conv2d(
            wide, wide, kernel, stride, padding=around, groups=wide, bias=False
        )
        layers["filter_norm"] = _norm(wide)
        layers["filter_act"] = nn.ReLU6(inplace=True)
        layers["narrow"] = nn.Conv2d(wide, out, 1, bias=False)
        layers["narrow_norm"] = _norm(out)
        self.layers = nn.Sequential(layers)
        self.is_residual = stride == 1 and inside == out

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C', h / stride, w / stride)."""
        changed: Tensor = self.layers(pixels)
        return pixels + changed if self.is_residual else changed


def _stem() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            pad=_same_padding(3),
            conv=nn.Conv2d(1, STEM_CHANNELS, 3, 2, bias=False),
            norm=_norm(STEM_CHANNELS),
            act=nn.ReLU6(inplace=True),
        )
    )


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON, momentum=MOMENTUM)


def _same_padding(kernel: int) -> nn.ZeroPad2d:
    """What `SAME` adds to an even side at stride 2: one less before than after."""
    before, after = (kernel - 2) // 2, (kernel - 1) // 2
    return nn.ZeroPad2d((before, after, before, after))
