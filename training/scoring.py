"""A run's weights over a split, through the very function that serves requests.

Axes: N images, V views, F findings, M = V * N.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from service.core.findings import FINDINGS
from service.core.inference import Forward, Outputs, Recipe, Scalars, calibrate, score_batch
from service.core.network import TriageNetwork, build_network
from service.core.radiograph import Pixels
from service.core.tta import average_logits
from training.checkpoint import WEIGHTS, RunDamaged, load_weights
from training.config import RunConfig, first_fault
from training.data.dataset import Dataset
from training.data.studies import Study
from training.measures.results import CONFIG, RunIncomplete, file_digest

CHUNK_IMAGES = 8
"""Times four views: larger chunks leave the CPU's caches, at twice the time per image."""


@dataclass(frozen=True, slots=True)
class Run:
    """A trained run: configuration and released-precision weights in an fp32 network."""

    folder: Path
    config: RunConfig
    weights_digest: str
    network: TriageNetwork = field(repr=False)

    def recipe(self, temperature: float = 1.0) -> Recipe:
        """How the served pipeline would score with this run."""
        return Recipe(self.config.preprocess, self.config.views, temperature)


@dataclass(frozen=True, slots=True)
class SplitScores:
    """Uncalibrated logits of a split; probabilities follow from a temperature."""

    studies: tuple[Study, ...]
    targets: NDArray[np.int64]
    views_vnf: Scalars = field(repr=False)
    mean_nf: Scalars = field(repr=False)

    def probabilities(self, temperature: float) -> Scalars:
        """(N, F) as `score_batch` would give them at this temperature."""
        return calibrate(self.mean_nf, temperature)

    def single_view_probabilities(self, temperature: float) -> Scalars:
        """(N, F) of the first view alone: what test-time augmentation is compared with."""
        return calibrate(self.views_vnf[0], temperature)

    def view_spread(self, temperature: float) -> Scalars:
        """(N, F) as `score_batch` would give it."""
        return np.asarray(calibrate(self.views_vnf, temperature).std(axis=0), np.float32)


def load_run(folder: Path, config: RunConfig | None = None) -> Run:
    """Open a run folder.

    Raises
    ------
    RunIncomplete
        No weights, no configuration, another one than it was trained with, weights of another
        architecture, or a file that is damaged.
    """
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise RunIncomplete(f"{weights} is not there: run `cxr-train fit` first, or name the run")
    config = _choose_config(folder, config)
    network = build_network(config.architecture, findings=len(FINDINGS))
    try:
        load_weights(folder, network)
    except RunDamaged as error:
        raise RunIncomplete(str(error)) from error
    except (ValueError, RuntimeError) as error:
        raise RunIncomplete(f"{weights} does not fit a {config.architecture} network") from error
    return Run(folder, config, file_digest(weights), network.eval())


def _choose_config(folder: Path, given: RunConfig | None) -> RunConfig:
    """The saved one; a given one stands in where none was saved, and may not differ."""
    if given is None or not (folder / CONFIG).is_file():
        return given or _read_saved_config(folder)
    if given.digest() != _read_saved_config(folder).digest():
        raise RunIncomplete(
            f"--config differs from {folder / CONFIG}, which the run was trained with: "
            "leave it out, or train another --run"
        )
    return given


def _read_saved_config(folder: Path) -> RunConfig:
    path = folder / CONFIG
    if not path.is_file():
        raise RunIncomplete(f"{path} is not there: pass the run's --config")
    try:
        return RunConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = first_fault(error)
        raise RunIncomplete(f"{path} is not what `cxr-train fit` writes: {fault}") from error


def torch_forward(network: nn.Module) -> Forward:
    """The reference engine: fp32 throughout, on the GPU when there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # torch leaves memory_format out

    def forward(batch_nchw: Pixels) -> Outputs:
        # TF32 would keep 10 bits of mantissa: the reference must not.
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            pixels = torch.from_numpy(np.ascontiguousarray(batch_nchw)).to(device)
            tensors = network(pixels.contiguous(memory_format=torch.channels_last))
        return Outputs(*(tensor.cpu().numpy() for tensor in tensors))

    return forward


def score_dataset(
    dataset: Dataset,
    forward: Forward,
    recipe: Recipe,
    on_images: Callable[[int], None] = lambda images: None,
) -> SplitScores:
    """Score every image with the served views, in chunks."""
    means, views = [], []
    for start in range(0, len(dataset.targets), CHUNK_IMAGES):
        chunk = dataset.pixels[start : start + CHUNK_IMAGES]
        mean_nf, views_vnf = _score_chunk(chunk, forward, recipe)
        means.append(mean_nf)
        views.append(views_vnf)
        on_images(len(chunk))
    return SplitScores(
        dataset.studies, dataset.targets, np.concatenate(views, axis=1), np.concatenate(means)
    )


def _score_chunk(chunk: Pixels, forward: Forward, recipe: Recipe) -> tuple[Scalars, Scalars]:
    """Let `score_batch` do the work and keep the logits that it asked the engine for."""
    asked: list[Scalars] = []

    def listening(batch_nchw: Pixels) -> Outputs:
        outputs = forward(batch_nchw)
        asked.append(outputs.logits)
        return outputs

    score_batch(chunk, listening, recipe)
    return average_logits(np.concatenate(asked), len(recipe.views))
