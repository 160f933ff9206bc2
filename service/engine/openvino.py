"""The CPU engine: `model.onnx` under OpenVINO, without torch.

The network is compiled for exactly one picture, and the pictures of a batch run side by side, one
stream a core. So a radiograph's score cannot depend on who shared its batch, no new batch size ever
has to be compiled while a caller waits, and nothing is padded. A picture that is alone would leave
all cores but one idle, so it has a second compilation that spreads one picture over all of them;
the self-test holds both to the golden scores.

Medians of 8 with DenseNet-121 at 128 px in bf16 on two cores that had other work too: 4 pictures in
84 ms, against 105 ms as one batch of a dynamic size and 107 ms as one of a fixed size; 16 pictures
in 307 ms, against 358 and 330 ms.

Axes: M pictures, S side.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from service.core.artifact import ONNX, Artifact
from service.core.errors import ArtifactInvalid
from service.core.inference import Outputs, Scalars
from service.core.precision import Precision
from service.core.radiograph import Pixels

INPUT, LOGITS, MAPS, FEATURES = "pixels", "logits", "maps", "features"
CAPABILITIES = {Precision.BF16: "BF16", Precision.F32: "FP32"}
"""Fastest first, and what the device must be capable of."""

SPREAD = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
"""All threads work on one picture."""


class OpenVinoEngine:
    """The network of an artifact, compiled for this CPU.

    Parameters
    ----------
    threads
        Most threads in use at once; 0 takes all cores.
    cache_dir
        Where compiled models are kept; entries are keyed by the network's content, and a damaged
        one is compiled anew.

    Raises
    ------
    ArtifactInvalid
        `model.onnx` is not a network with our input and outputs.
    """

    name = "openvino"

    def __init__(
        self, artifact: Artifact, *, threads: int = 0, cache_dir: Path | None = None
    ) -> None:
        side_px = artifact.manifest.preprocess.side_px
        core = openvino.Core()
        precision = _best_precision(core, artifact.manifest.tolerance.precisions)
        self.device = f"cpu {precision}"
        options = _options(precision, threads, cache_dir)
        try:
            model = core.read_model(artifact.files[ONNX], b"")
            model.reshape({INPUT: [1, 1, side_px, side_px]})
            compiled = core.compile_model(model, "CPU", options)
            alone = core.compile_model(model, "CPU", options | SPREAD)
            self._shapes = {name: _picture_shape(compiled, name) for name in _outputs_of(compiled)}
        except RuntimeError as error:
            raise ArtifactInvalid(f"{ONNX} does not compile for {side_px} px") from error
        self._streams = openvino.AsyncInferQueue(compiled)
        self._streams.set_callback(_keep_results)
        self._alone = alone.create_infer_request()

    def forward(self, batch_nchw: Pixels) -> Outputs:
        """(M, 1, S, S) normalised -> logits, maps and features, any M >= 1."""
        images = len(batch_nchw)
        # A result that never comes must not look like a score.
        results = {
            name: np.full((images, *shape), np.nan, np.float32)
            for name, shape in self._shapes.items()
        }
        places = [{name: array[i] for name, array in results.items()} for i in range(images)]
        if images == 1:
            self._alone.infer({INPUT: batch_nchw})
            _keep_results(self._alone, places[0])
        else:
            for index, place in enumerate(places):
                self._streams.start_async({INPUT: batch_nchw[index : index + 1]}, place)
            self._streams.wait_all()
        features = results.get(FEATURES, np.zeros((images, 0), np.float32))
        return Outputs(results[LOGITS], results[MAPS], features)

    def close(self) -> None:
        """Wait for what still runs."""
        self._streams.wait_all()


def _keep_results(request: Any, place: dict[str, Scalars]) -> None:
    """Called on a thread of OpenVINO when one picture is done."""
    for name, row in place.items():
        row[...] = request.get_tensor(name).data[0]


def _best_precision(core: Any, allowed: Sequence[Precision]) -> Precision:
    """The fastest that this CPU has and that the release was measured to bear, else fp32."""
    can = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    found = (ours for ours, needed in CAPABILITIES.items() if needed in can and ours in allowed)
    return next(found, Precision.F32)


def _options(precision: Precision, threads: int, cache_dir: Path | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": precision.value,
        # Decoding and the event loop need the same cores; pinned threads would wait for them.
        "ENABLE_CPU_PINNING": False,
    }
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    if cache_dir is not None:
        cache_dir.mkdir(parents=True, exist_ok=True)
        options["CACHE_DIR"] = str(cache_dir)
    return options


def _outputs_of(compiled: Any) -> tuple[str, ...]:
    """Logits and maps, and features where the network gives them: early versions do not."""
    given = {name for output in compiled.outputs for name in output.names}
    return (LOGITS, MAPS, FEATURES) if FEATURES in given else (LOGITS, MAPS)


def _picture_shape(compiled: Any, output: str) -> tuple[int, ...]:
    """Of one picture's output, without the batch axis."""
    return tuple(compiled.output(output).shape)[1:]
