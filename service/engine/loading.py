"""Open the engine that will serve: choose it, build it, and have it recompute the golden scores."""

import importlib.util
from pathlib import Path
from typing import Literal

import numpy as np
import structlog

from service.core.artifact import GOLDEN, Artifact
from service.core.errors import CxrError, SelfTestFailed
from service.core.inference import Forward, Outputs, self_test
from service.core.radiograph import Pixels
from service.courtesy import giving_way
from service.engine.base import Engine
from service.engine.openvino import OpenVinoEngine

EngineName = Literal["auto", "openvino", "torch"]

GPU_DEVICE_FILES = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
"""One is there where a GPU may be (CUDA, WSL, ROCm); importing torch just to ask takes seconds."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class EngineUnavailable(CxrError):
    """The engine or device that the settings ask for is not on this machine."""

    code = "ENGINE_UNAVAILABLE"


def open_engine(
    artifact: Artifact,
    *,
    engine: EngineName = "auto",
    device: str = "auto",
    threads: int = 0,
    cache_dir: Path | None = None,
) -> Engine:
    """Build an engine, warm it up, and have it recompute the golden scores.

    Parameters
    ----------
    engine
        `auto` takes CUDA when torch and a GPU are there, else OpenVINO on the CPU.
    device
        `auto`, `cpu`, `cuda` or `cuda:<index>`.
    threads
        Of a CPU engine; 0 takes all cores.
    cache_dir
        Where OpenVINO keeps compiled models.

    Raises
    ------
    SelfTestFailed
        It does not reproduce the golden scores within the manifest's tolerance.
    ArtifactInvalid
        The network does not load.
    EngineUnavailable
        The machine lacks what was asked for.
    """
    with giving_way():  # the threads of an engine start while it is built and proven
        opened = _build(artifact, engine, device, threads, cache_dir)
        try:
            difference = _prove(artifact, opened)
        except BaseException:
            opened.close()
            raise
    log.info("engine.opened", engine=opened.name, device=opened.device, difference=difference)
    return opened


def _prove(artifact: Artifact, engine: Engine) -> float:
    """The self-test; it also warms the engine up, since every stream scores a picture."""
    try:
        together = self_test(artifact, engine.forward)
        return max(together, self_test(artifact, each_alone(engine.forward)))
    except (RuntimeError, ValueError) as error:
        raise SelfTestFailed(f"{GOLDEN}: {engine.name} fails on the golden uploads") from error


def each_alone(forward: Forward) -> Forward:
    """The same engine, asked for one picture at a time: it may take another way then."""

    def forward_each(batch_nchw: Pixels) -> Outputs:
        outputs = [forward(batch_nchw[i : i + 1]) for i in range(len(batch_nchw))]
        return Outputs(*(np.concatenate(parts) for parts in zip(*outputs, strict=True)))

    return forward_each


def _build(
    artifact: Artifact, engine: EngineName, device: str, threads: int, cache_dir: Path | None
) -> Engine:
    wants_cuda = device.startswith("cuda")
    if engine == "auto" and (wants_cuda or (device == "auto" and has_cuda())):
        engine = "torch"
    if engine == "torch":
        return _build_torch(artifact, device, threads)
    if device not in ("auto", "cpu"):
        raise EngineUnavailable(f"openvino runs on the CPU; device {device!r} was asked for")
    return OpenVinoEngine(artifact, threads=threads, cache_dir=cache_dir)


def _build_torch(artifact: Artifact, device: str, threads: int) -> Engine:
    if importlib.util.find_spec("torch") is None:
        raise EngineUnavailable("the torch engine was asked for, and torch is not installed")
    from service.engine.torch import TorchEngine  # noqa: PLC0415 - optional, seconds to import

    if device == "auto":
        device = "cuda" if has_cuda() else "cpu"
    if device != "cpu" and not has_cuda():
        raise EngineUnavailable(f"torch finds no GPU; device {device!r} was asked for")
    return TorchEngine(artifact, device, threads=threads)


def may_bring_torch(engine: EngineName, device: str) -> bool:
    """Whether opening it could import torch."""
    if engine == "torch" or device.startswith("cuda"):
        return True
    return engine == "auto" and device == "auto" and _may_have_gpu()


def _may_have_gpu() -> bool:
    return any(path.exists() for path in GPU_DEVICE_FILES)


def has_cuda() -> bool:
    """Whether torch is installed and sees a GPU; it is not imported where none can be."""
    if importlib.util.find_spec("torch") is None:
        return False
    if not _may_have_gpu():
        return False
    from service.engine.torch import sees_gpu  # noqa: PLC0415 - optional, seconds to import

    return sees_gpu()
