"""A network with weights drawn anew, wholly or from the head downwards: no map may survive it.

Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018.
Axes: N images, S side of the network's input.
"""

import copy
from collections.abc import Iterator

import torch
from torch import nn

from service.core.network import TriageNetwork
from service.core.preprocess import PreprocessSpec, normalise
from service.core.radiograph import Pixels

SEED_STEP = 1_000
"""Between the stages of one network: none draws the numbers of another."""


def randomise(
    network: TriageNetwork, spec: PreprocessSpec, sample: Pixels, *, seed: int
) -> TriageNetwork:
    """A copy in which every weight is drawn anew.

    Parameters
    ----------
    sample
        (N, 1, S, S) preprocessed pixels; batch statistics are measured on them, since those of
        the trained network would fit no other weights.
    """
    *_, (_, last) = cascade(network, spec, sample, seed=seed)
    return last


def cascade(
    network: TriageNetwork, spec: PreprocessSpec, sample: Pixels, *, seed: int
) -> Iterator[tuple[str, TriageNetwork]]:
    """Copies with ever more drawn anew: the head, then stage after stage down to the stem.

    Stages without weights come with the next that has some; each copy is named for the last stage
    that was drawn.
    """
    drawn = copy.deepcopy(network).eval()
    pixels = torch.from_numpy(normalise(sample, spec)).to(next(drawn.parameters()).device)
    stages = [*reversed(list(drawn.backbone.named_children()))]
    _redraw(drawn.head, seed)
    yield "head", copy.deepcopy(drawn)
    for number, (name, stage) in enumerate(stages, start=1):
        if next(stage.parameters(), None) is not None:
            _redraw(stage, seed + SEED_STEP * number)
            _measure_statistics(drawn, pixels)
            yield name, copy.deepcopy(drawn)


def _redraw(stage: nn.Module, seed: int) -> None:
    """Each layer as it is drawn when it is built; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in stage.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()


def _measure_statistics(network: TriageNetwork, pixels: torch.Tensor) -> None:
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over what is seen
        layer.train()
    with torch.no_grad():
        network(pixels)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()
