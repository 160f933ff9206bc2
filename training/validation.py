"""The loss by which epochs, members and recipes are compared: on the validation split.

Axes: N images, F findings.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from training.config import Precision, RunConfig
from training.data.dataset import Dataset
from training.data.sampling import sampling_weights
from training.measures.temperature import TEMPERATURES

SCORING_IMAGES = 64


def validation_loss(
    network: nn.Module, val: Dataset, config: RunConfig, device: torch.device
) -> float:
    """Log-loss without augmentation; each (source, finding) group by the root of its size.

    At the temperature that suits these logits best, because a run is calibrated before it serves:
    label smoothing and averaged weights make a network timid, not worse. NaN where a logit is NaN.
    """
    logits_nf, targets = _score(network, val, config, device), torch.from_numpy(val.targets)
    if not bool(logits_nf.isfinite().all()):
        return float("nan")
    weights = torch.from_numpy(sampling_weights(val.studies))

    def loss(exponent: float) -> float:
        scaled = logits_nf / float(np.exp(exponent))
        return float((F.cross_entropy(scaled, targets, reduction="none") * weights).sum())

    bounds = (float(np.log(TEMPERATURES[0])), float(np.log(TEMPERATURES[1])))
    return float(minimize_scalar(loss, bounds=bounds, method="bounded").fun)


@torch.no_grad()
def _score(network: nn.Module, val: Dataset, config: RunConfig, device: torch.device) -> Tensor:
    """(N, F) logits in double precision."""
    spec = config.preprocess
    scored = []
    for start in range(0, len(val.targets), SCORING_IMAGES):
        pixels = torch.from_numpy(val.pixels[start : start + SCORING_IMAGES]).to(device)
        pixels = ((pixels - spec.mean) / spec.standard_deviation).contiguous(
            memory_format=torch.channels_last
        )
        with autocast(config, device):
            logits, *_ = network(pixels)
        scored.append(logits.double().cpu())
    return torch.cat(scored)


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """The arithmetic that the configuration asks for."""
    enabled = config.precision is Precision.BF16
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
