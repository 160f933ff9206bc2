"""RunConfig: all that decides a training run, read from TOML and saved beside its results."""

import hashlib
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.core.network import Architecture
from service.core.preprocess import PreprocessSpec
from service.core.tta import TtaView

Ratio = Annotated[float, Field(ge=0, le=1)]


class Precision(StrEnum):
    """Arithmetic of the training step; weights stay fp32."""

    FP32 = "fp32"
    BF16 = "bf16"


class Sampling(StrEnum):
    """How an epoch is drawn."""

    NATURAL = "natural"
    BALANCED = "balanced"
    """Each (source, finding) group weighted by the square root of its size."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AugmentConfig(_Frozen):
    """Random views of a training image; ranges, not probabilities, unless said."""

    rotation_degrees: Annotated[float, Field(ge=0, le=10)] = 8.0
    scale_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.12
    aspect_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.12
    shift_ratio: Annotated[float, Field(ge=0, le=0.3)] = 0.06
    hflip_probability: Ratio = 0.5
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.4
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.25
    brightness: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    noise: Annotated[float, Field(ge=0, le=0.2)] = 0.03
    downscale_probability: Ratio = 0.4
    downscale_min_ratio: Annotated[float, Field(gt=0, le=1)] = 0.45
    border_probability: Ratio = 0.2
    border_ratio: Annotated[float, Field(ge=0, le=0.2)] = 0.08
    corner_probability: Ratio = 0.3
    corner_ratio: Annotated[float, Field(ge=0, le=0.3)] = 0.18
    sharpness: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Largest strength of an unsharp mask; a third of it, at most, blurs instead."""
    spectrum_probability: Ratio = 0.0
    """Of taking part of another image's Fourier amplitudes (Xu et al., CVPR 2021)."""
    spectrum_ratio: Ratio = 0.5


class DataConfig(_Frozen):
    """Which images are used."""

    include_optional: bool = False
    sampling: Sampling = Sampling.BALANCED
    leave_out: tuple[str, ...] = ()
    """Sources of which nothing is trained on, for what the network is worth elsewhere."""


class OptimiserConfig(_Frozen):
    """AdamW with linear warm-up and cosine decay, one cycle over the whole run."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 20
    samples_per_epoch: Annotated[int, Field(ge=0)] = 0
    """0 draws as many as there are training images."""
    batch_images: Annotated[int, Field(ge=2, le=4096)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup_epochs: Annotated[float, Field(ge=0)] = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    gradient_norm: Annotated[float, Field(gt=0)] = 5.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    source_prior: Ratio = 0.0
    """How far the loss takes for granted what the source alone says of the finding: at 0 the
    network is paid for telling collections apart, at 1 only for telling findings apart within one
    (product of experts: Clark et al., EMNLP 2019; He et al., DeepLo 2019)."""
    frozen_stages: Annotated[int, Field(ge=0)] = 0
    """First stages of the backbone that keep the weights and statistics they start with."""


class RunConfig(_Frozen):
    """One training run, whole: two runs with equal digests and seeds give equal weights."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")] = "run"
    seed: int = 0
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads, on whose number the rounding of sums depends; 0 takes all cores."""
    members: Annotated[int, Field(ge=1, le=16)] = 1
    """Runs, with this seed and those after it, whose weights are averaged into one network."""
    architecture: Architecture = Architecture.DENSENET121
    imagenet: bool = False
    """Start from ImageNet weights, see `training.pretrained`."""
    precision: Precision = Precision.FP32
    preprocess: PreprocessSpec = PreprocessSpec(side_px=224)
    views: Annotated[tuple[TtaView, ...], Field(min_length=1)] = tuple(TtaView)
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    optimiser: OptimiserConfig = OptimiserConfig()

    def digest(self) -> str:
        """SHA-256 of the canonical JSON form."""
        return "sha256:" + hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Places(BaseSettings):
    """Where data and models are: `DATA_DIR` and `MODELS_DIR`, from the environment or `.env`."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    data_dir: Path = Path("data")
    models_dir: Path = Path("runs")


class ConfigInvalid(ValueError):
    """A configuration cannot be read; names the file, and the key where one is at fault."""


def read_config(path: Path) -> RunConfig:
    """Read a run's TOML.

    Raises
    ------
    ConfigInvalid
        No UTF-8, no TOML, an unknown key, or a value out of bounds.
    OSError
        It cannot be opened.
    """
    try:
        return RunConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise ConfigInvalid(f"{path}: {first_fault(error)}") from error
    except ValueError as error:
        raise ConfigInvalid(f"{path}: {error}") from error


def read_places() -> Places:
    """Of the environment or `.env`.

    Raises
    ------
    ConfigInvalid
        `.env` is no UTF-8, or what it says is no path.
    """
    try:
        return Places()
    except ValidationError as error:
        raise ConfigInvalid(f"DATA_DIR or MODELS_DIR: {first_fault(error)}") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f".env: {error}") from error


def first_fault(error: ValidationError) -> str:
    """The first of its faults as one line, and how many there are besides."""
    faults = error.errors(include_url=False)
    place = ".".join(map(str, faults[0]["loc"]))
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{place}: {faults[0]['msg']}{more}" if place else f"{faults[0]['msg']}{more}"
