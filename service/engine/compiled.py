"""The network of an artifact compiled for this CPU, or as an earlier start compiled it.

What OpenVINO keeps by itself (`CACHE_DIR`) it finds only by a network that was read and rewritten,
and that took longer than loading what it had kept. Here a file is found by what went into it, and
the release's network is read only where there is no such file.

A file is written once its network has passed the self-test, and a network that comes from a file
has to pass it as any other.
"""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino
import structlog
from openvino import Model

from service.core.artifact import ONNX, Artifact
from service.core.precision import Precision
from service.cores import choose_threads
from service.engine.layout import is_prepared, prepare, read_cpu_flags

log: structlog.stdlib.BoundLogger = structlog.get_logger()

INPUT: Final = "pixels"

CAPABILITIES = {Precision.BF16: "BF16", Precision.F32: "FP32"}
"""Fastest first, and what the device must be capable of."""

SPREAD: Final = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
"""All threads work on one picture."""

RULES: Final = tuple(Path(__file__).with_name(name) for name in ("layout.py", "rewrites.py"))
"""What a network is changed by before it is compiled."""

DIGEST_BYTES: Final = 32


class Compiler:
    """Compiles the network of an artifact in the two ways in which the engine uses it.

    Parameters
    ----------
    threads
        Most threads in use at once; 0 takes all cores that this process may use.
    cache_dir
        Where compiled networks are kept; None keeps none.
    """

    def __init__(self, artifact: Artifact, *, threads: int, cache_dir: Path | None) -> None:
        self._artifact = artifact
        self._core = openvino.Core()
        self.precision = best_precision(self._core, artifact.manifest.tolerance.precisions)
        self._options = _options(self.precision, threads)
        self._file = self._choose_file(cache_dir)
        self._network: Any = None
        self._exported: openvino.Tensor | None = None
        self._is_worth_keeping = True
        self.is_from_file = False
        """Whether an earlier start compiled it."""

    def compile_streams(self, *, anew: bool = False) -> Any:
        """For one stream a core, each with a picture of its own; `anew` reads no file.

        Raises
        ------
        RuntimeError
            It does not compile.
        """
        self._exported = None if anew or self._file is None else self._file.read()
        self._network = None if self._exported is None else self._load(self._exported)
        self.is_from_file = self._network is not None
        if self._network is None:
            self._exported = None
            self._network = self._core.compile_model(self._read(), "CPU", self._options)
        return self._network

    def compile_spread(self) -> Any:
        """For one picture at a time, on all cores; after `compile_streams`.

        Raises
        ------
        RuntimeError
            It does not compile.
        """
        return self._core.import_model(self._export(), "CPU", self._options | SPREAD)

    def keep(self) -> None:
        """Write what was compiled for the next start; call it once that is proven."""
        if self._file is not None and self._is_worth_keeping and not self.is_from_file:
            self._file.write(memoryview(self._export().data))

    def close(self) -> None:
        """Nothing more is compiled; the networks hold what they need by themselves."""
        self._exported = None

    def _export(self) -> openvino.Tensor:
        """As the file has it; both ways are loaded from it."""
        if self._exported is None:
            written = io.BytesIO()
            self._network.export_model(written)
            self._exported = openvino.Tensor(np.frombuffer(written.getbuffer(), np.uint8))
        return self._exported

    def _read(self) -> Model:
        side_px = self._artifact.manifest.preprocess.side_px
        model = self._core.read_model(self._artifact.files[ONNX], b"")
        model.reshape({INPUT: [1, 1, side_px, side_px]})
        prepared = prepare(self._core, model, self.precision)
        # The next start may have the room that this one lacked.
        self._is_worth_keeping = is_prepared(prepared, self.precision)
        return prepared

    def _load(self, exported: openvino.Tensor) -> Any:
        """None for one that this OpenVINO does not take."""
        try:
            return self._core.import_model(exported, "CPU", self._options)
        except RuntimeError as error:
            log.warning("engine.kept_network_refused", error=type(error).__name__)
            return None

    def _choose_file(self, cache_dir: Path | None) -> "_File | None":
        """Of the network as it would be compiled here, and by this program, alone."""
        if cache_dir is None or not _is_made(cache_dir):
            return None
        made_of = {
            "network": self._artifact.manifest.files[ONNX].sha256,
            "side_px": self._artifact.manifest.preprocess.side_px,
            "precision": self.precision,
            "openvino": openvino.__version__,
            "cpu": self._core.get_property("CPU", "FULL_DEVICE_NAME"),
            "can": sorted(read_cpu_flags()),
            "rules": [hashlib.sha256(path.read_bytes()).hexdigest() for path in RULES],
        }
        key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        return _File(cache_dir / f"{key[:32]}.network")


class _File:
    """A compiled network after its SHA-256: what is damaged counts as not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> openvino.Tensor | None:
        try:
            with self._path.open("rb") as file:
                promised = file.read(DIGEST_BYTES)
                network = _bytes_of(max(0, os.fstat(file.fileno()).st_size - DIGEST_BYTES))
                file.readinto(network.data)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("engine.cache_unavailable", error=type(error).__name__)
            return None
        if hashlib.sha256(network.data).digest() != promised:
            log.warning("engine.kept_network_damaged")
            return None
        return network

    def write(self, network: memoryview) -> None:
        """Whole or not at all, beside others that write the same."""
        try:
            with tempfile.TemporaryDirectory(prefix="network-", dir=self._path.parent) as place:
                written = Path(place, self._path.name)
                with written.open("wb") as file:
                    file.write(hashlib.sha256(network).digest())
                    file.write(network)
                written.replace(self._path)
        except OSError as error:
            log.warning("engine.cache_unavailable", error=type(error).__name__)


def best_precision(core: Any, allowed: Sequence[Precision]) -> Precision:
    """The fastest that this CPU has and that the release was measured to bear, else fp32."""
    can = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    found = (ours for ours, needed in CAPABILITIES.items() if needed in can and ours in allowed)
    return next(found, Precision.F32)


def _options(precision: Precision, threads: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": precision.value,
        # Decoding and the event loop need the same cores; pinned threads would wait for them.
        "ENABLE_CPU_PINNING": False,
    }
    if limit := choose_threads(threads):
        options["INFERENCE_NUM_THREADS"] = limit
    return options


def _is_made(folder: Path) -> bool:
    """Without it the model is compiled anew at each start, and serves all the same."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("engine.cache_unavailable", error=type(error).__name__)
        return False
    return True


def _bytes_of(size: int) -> openvino.Tensor:
    return openvino.Tensor(openvino.Type.u8, openvino.Shape([size]))
