"""The state of a run on disk: written whole or not at all, so that SIGKILL cannot tear it."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from service.core.files import write_whole

WEIGHTS = "weights.safetensors"
CHECKPOINT = "last.pt"


class RunDamaged(ValueError):
    """A file of the run is not what was written; names it."""


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace the run's checkpoint in one step."""
    # Into memory first: on a full disk torch.save fails with the position of a byte.
    body = io.BytesIO()
    torch.save(dict(state), body)
    write_whole(folder / CHECKPOINT, body.getvalue())


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last whole checkpoint, or None for a run that has none yet.

    Raises
    ------
    RunDamaged
        It cannot be read.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError, ValueError) as error:
        raise RunDamaged(f"{path} is damaged: remove it, and the run begins anew") from error


def round_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors rounded to fp16, the precision in which they are released."""
    return {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }


def save_weights(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Write fp16 weights as safetensors, atomically."""
    write_whole(folder / WEIGHTS, save(round_weights(state)))


def load_weights(folder: Path, network: nn.Module) -> None:
    """Fill a network from fp16 safetensors; arithmetic stays fp32.

    Raises
    ------
    RunDamaged
        They cannot be read.
    ValueError, RuntimeError
        They are those of another network.
    """
    state = {name: tensor.float() for name, tensor in read_weights(folder).items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")]
    if wrong or unexpected:
        raise ValueError(f"weights do not fit the network: {wrong or unexpected}")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The fp16 tensors of a run by their names.

    Raises
    ------
    RunDamaged
        They cannot be read.
    """
    path = folder / WEIGHTS
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise RunDamaged(f"{path} is damaged ({error}): remove the run, train it anew") from error
