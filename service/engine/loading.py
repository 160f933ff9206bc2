"""Open the engine that will serve: choose it, build it, and have it recompute the golden scores."""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import structlog

from service.core.artifact import GOLDEN, Artifact
from service.core.errors import SelfTestFailed
from service.core.inference import Forward
from service.courtesy import giving_way
from service.engine.base import Engine, EngineUnavailable
from service.engine.openvino import OpenVinoEngine

EngineName = Literal["auto", "openvino", "torch"]

GPU_DEVICE_FILES = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
"""One is there where a GPU may be (CUDA, WSL, ROCm); importing torch just to ask takes seconds."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def open_engine(
    artifact: Artifact,
    *,
    engine: EngineName = "auto",
    device: str = "auto",
    threads: int = 0,
    cache_dir: Path | None = None,
    before_proof: Callable[[], object] = lambda: None,
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
        Where compiled networks of OpenVINO are kept.
    before_proof
        Called once it is built; may wait for what the proof needs.

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
            before_proof()
            difference = _prove_opened(artifact, opened)
        except BaseException:
            opened.close()
            raise
    log.info("engine.opened", engine=opened.name, device=opened.device, difference=difference)
    return opened


def finish_engine(artifact: Artifact, engine: Engine) -> None:
    """Open what the first answers can do without; what fails the self-test there is not used."""
    try:
        with giving_way():
            engine.finish(partial(prove, artifact))
    except Exception as error:  # noqa: BLE001 - task boundary: it serves on with what it has
        log.error("engine.unfinished", error=getattr(error, "code", type(error).__name__))
        return
    log.info("engine.finished", engine=engine.name)


def prove(artifact: Artifact, forward: Forward) -> float:
    """The self-test of an engine, or of one of its ways to score; see `self_test`.

    It also warms the engine up, since every stream scores a picture.
    """
    from service.core.self_test import self_test  # noqa: PLC0415 - brings in the readers

    try:
        return self_test(artifact, forward)
    except (RuntimeError, ValueError) as error:
        raise SelfTestFailed(f"{GOLDEN}: the engine fails on the golden uploads") from error


def _prove_opened(artifact: Artifact, engine: Engine) -> float:
    if not isinstance(engine, OpenVinoEngine):
        return prove(artifact, engine.forward)
    try:
        difference = prove(artifact, engine.forward)
    except SelfTestFailed as error:
        if not engine.renew():
            raise
        log.warning("engine.kept_network_failed", reason=str(error))
        difference = prove(artifact, engine.forward)
    engine.keep()
    return difference


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
