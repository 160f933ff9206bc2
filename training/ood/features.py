"""Features of real radiographs and of strangers, as the served pipeline would see them.

Axes: N images, D features of all depths, C channels of one depth, S side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from service.core.inference import (
    Forward,
    Recipe,
    Scalars,
    describe_first_view,
    stack_pixels,
)
from service.core.network import TriageNetwork
from service.core.preprocess import preprocess
from service.core.radiograph import Pixels, Radiograph
from training.data.dataset import load_dataset
from training.data.studies import Study
from training.measures.statistics import Mask

CHUNK_IMAGES = 64

Change = Callable[[Pixels], Pixels]
"""(N, 1, S, S) -> the same shape, varied."""


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Features (N, D) of real radiographs, each of a known study."""

    studies: tuple[Study, ...]
    features_nd: Scalars = field(repr=False)

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source, in order of its name."""
        return tuple(sorted({study.source for study in self.studies}))

    def of(self, chosen: Mask) -> "FeatureSet":
        """The chosen images only."""
        studies = tuple(s for s, is_in in zip(self.studies, chosen, strict=True) if is_in)
        return FeatureSet(studies, self.features_nd[chosen])

    def is_of(self, source: str) -> Mask:
        """(N,) true where the study is of this source."""
        return np.array([study.source == source for study in self.studies], bool)

    def beside(self, other: "FeatureSet") -> "FeatureSet":
        """Both, one after the other."""
        features_nd = np.concatenate([self.features_nd, other.features_nd])
        return FeatureSet((*self.studies, *other.studies), features_nd)

    def spaced(self, most: int) -> "FeatureSet":
        """At most so many, evenly spaced."""
        count = len(self.studies)
        chosen = np.zeros(count, bool)
        chosen[np.linspace(0, count - 1, min(most, count)).astype(int)] = True
        return self.of(chosen)


@dataclass(frozen=True, slots=True)
class FeatureReader:
    """What an engine makes of the first served view."""

    forward: Forward
    recipe: Recipe

    def of_pixels(self, batch_nchw: Pixels) -> Scalars:
        """(N, 1, S, S) as preprocessed -> (N, D)."""
        return describe_first_view(batch_nchw, self.forward, self.recipe)

    def of_radiographs(self, radiographs: Sequence[Radiograph]) -> Scalars:
        """(N, D) of decoded radiographs."""
        spec = self.recipe.preprocess
        return self.of_pixels(stack_pixels([preprocess(one, spec) for one in radiographs]))

    def of_studies(
        self,
        folder: Path,
        studies: Sequence[Study],
        on_images: Callable[[int], None] = lambda images: None,
        change: Change | None = None,
    ) -> FeatureSet:
        """Read, preprocess, vary and score in chunks, so that no split is held in memory."""
        parts = []
        for start in range(0, len(studies), CHUNK_IMAGES):
            chunk = studies[start : start + CHUNK_IMAGES]
            pixels = load_dataset(folder, chunk, self.recipe.preprocess).pixels
            parts.append(self.of_pixels(change(pixels) if change else pixels))
            on_images(len(chunk))
        return FeatureSet(tuple(studies), np.concatenate(parts))


def depth_channels(network: TriageNetwork, side_px: int) -> tuple[int, ...]:
    """Channels of each tapped stage, in the order in which they make up D, and 1 of confidence."""
    found = []
    device = next(network.parameters()).device
    pixels = torch.zeros(1, 1, side_px, side_px, device=device)
    with torch.inference_mode():
        for name, stage in network.backbone.named_children():
            pixels = stage(pixels)
            if name in network.taps:
                found.append(pixels.shape[1])
    return (*found, 1)
