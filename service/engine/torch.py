"""The CUDA engine, and on a CPU the fp32 reference that every other engine is checked against.

On CUDA the backbone runs in bf16 and channels-last, and one CUDA graph is recorded for each bucket
of pictures, so that a small batch is not slowed by the launch of some hundred kernels. The head
stays fp32: rounding a logit to bf16 would move a probability.

Axes: M pictures, S side, F findings, h x w feature map, D features.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from service.core.artifact import WEIGHTS, Artifact
from service.core.errors import ArtifactInvalid
from service.core.findings import FINDINGS
from service.core.inference import Outputs
from service.core.network import Architecture, TriageNetwork, build_network
from service.core.precision import Precision
from service.core.radiograph import Pixels

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Pictures of each recorded graph; 16 radiographs with 4 views fill the largest."""

Tensors = tuple[Tensor, Tensor, Tensor]
"""Logits (M, F), maps (M, F, h, w), features (M, D)."""

Run = Callable[[Tensor], Tensors]
"""(M, 1, S, S) on the device -> outputs there."""

WARM_UP_RUNS = 3
"""Before a graph is recorded, as its documentation asks: libraries allocate on first use."""


class TorchEngine:
    """The network of an artifact on one device.

    Parameters
    ----------
    device
        `cpu`, `cuda` or `cuda:<index>`.
    threads
        On a CPU, for all of torch in this process; 0 takes all cores.

    Raises
    ------
    ArtifactInvalid
        The weights do not fit the architecture that the manifest names.
    """

    name = "torch"
    lanes = 1
    company = BUCKETS[-1]

    def __init__(self, artifact: Artifact, device: str = "cpu", *, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device(device)
        network = load_network(artifact).to(self._device)
        side_px = artifact.manifest.preprocess.side_px
        precision = choose_precision(artifact, self._device)
        self._graphs: dict[int, _Graph] = {}
        if self._device.type == "cuda":
            self._graphs = _record_graphs(_choose_run(network, precision), side_px, self._device)
        self._network: TriageNetwork | None = network
        self.device = f"{device} {precision}"

    def forward(self, batch_nchw: Pixels) -> Outputs:
        """(M, 1, S, S) normalised -> logits, maps and features, any M >= 1."""
        pixels = torch.from_numpy(np.ascontiguousarray(batch_nchw, np.float32))
        with torch.inference_mode():
            tensors = self._replay(pixels) if self._graphs else self._run(pixels)
        return Outputs(*(tensor.numpy() for tensor in tensors))

    def close(self) -> None:
        """Let the device's memory go."""
        self._graphs.clear()
        self._network = None

    def _run(self, pixels: Tensor) -> Tensors:
        if self._network is None:
            raise RuntimeError("the engine is closed")
        logits, maps, features = self._network(pixels)
        return logits, maps, features

    def _replay(self, pixels: Tensor) -> Tensors:
        with torch.cuda.device(self._device):
            parts = [
                self._graphs[bucket].replay(pixels[start : start + count])
                for start, count, bucket in split_into_buckets(len(pixels))
            ]
        logits, maps, features = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return logits, maps, features


def load_network(artifact: Artifact) -> TriageNetwork:
    """The network with its fp16 weights widened to fp32, from the bytes that were verified."""
    named = artifact.manifest.architecture
    try:
        network = build_network(Architecture(named), findings=len(FINDINGS))
        state = {name: tensor.float() for name, tensor in load(artifact.files[WEIGHTS]).items()}
        missing, unexpected = network.load_state_dict(state, strict=False)
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise ArtifactInvalid(f"{WEIGHTS} does not fit a {named!r} network") from error
    # The counter of batches seen in training decides nothing; releases leave it out.
    absent = [name for name in missing if not name.endswith("num_batches_tracked")]
    if absent or unexpected:
        raise ArtifactInvalid(f"{WEIGHTS} lacks {absent} and has {unexpected} beyond the network")
    return network.eval().requires_grad_(False)


def split_into_buckets(pictures: int) -> Iterator[tuple[int, int, int]]:
    """Start, count and bucket of each replay that together cover the pictures, in order."""
    for start in range(0, pictures, BUCKETS[-1]):
        count = min(BUCKETS[-1], pictures - start)
        yield start, count, next(bucket for bucket in BUCKETS if bucket >= count)


def narrow_backbone(network: TriageNetwork) -> None:
    """Cast the convolutions to bf16 once; autocast would cast them anew in every replay."""
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d):
            weight = module.to(torch.bfloat16).weight
            weight.data = weight.contiguous(memory_format=torch.channels_last)


def forward_bf16(network: TriageNetwork, pixels: Tensor) -> Tensors:
    """Outputs of a narrowed network: bf16 up to the last stage, fp32 from there."""
    with torch.autocast(pixels.device.type, torch.bfloat16, cache_enabled=False):
        deepest, features = network.extract(pixels)
    logits, maps = network.decide(deepest.float())
    return logits, maps, features


def choose_precision(artifact: Artifact, device: torch.device) -> Precision:
    """bf16 on CUDA, if the release was measured to bear it; else fp32."""
    is_borne = Precision.BF16 in artifact.manifest.tolerance.precisions
    return Precision.BF16 if device.type == "cuda" and is_borne else Precision.F32


def _choose_run(network: TriageNetwork, precision: Precision) -> Run:
    if precision is Precision.BF16:
        narrow_backbone(network)
        return partial(forward_bf16, network)
    # TF32 keeps ten bits: too few where bf16 was refused.
    torch.backends.cudnn.allow_tf32 = False
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return] # torch's own gap


def sees_gpu() -> bool:
    """Whether there is a CUDA device that torch can use."""
    return torch.cuda.is_available()


class _Graph:
    """One recorded run of the network over a fixed number of pictures."""

    def __init__(self, run: Run, shape: tuple[int, int, int, int], device: torch.device) -> None:
        self._pixels = torch.zeros(shape, device=device).to(memory_format=torch.channels_last)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call] # torch's own gap
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                run(self._pixels)
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = run(self._pixels)

    def replay(self, pixels: Tensor) -> Tensors:
        """Run the first rows; what earlier pictures left in the others is computed and dropped."""
        count = len(pixels)
        self._pixels[:count].copy_(pixels)
        self._graph.replay()
        logits, maps, features = (tensor[:count].cpu() for tensor in self._outputs)
        return logits, maps, features


def _record_graphs(run: Run, side_px: int, device: torch.device) -> dict[int, _Graph]:
    with torch.cuda.device(device), torch.inference_mode():
        return {bucket: _Graph(run, (bucket, 1, side_px, side_px), device) for bucket in BUCKETS}
