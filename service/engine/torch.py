"""The CUDA engine, and on a CPU the fp32 reference that every other engine is checked against.

On CUDA the backbone runs in bf16 and channels-last, as recorded graphs in several lanes
(`engine.cuda`). The head stays fp32: rounding a logit to bf16 would move a probability.

Axes: M pictures, S side, F findings, h x w feature map, D features.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from service.core.artifact import WEIGHTS, Artifact
from service.core.errors import ArtifactInvalid
from service.core.findings import FINDINGS
from service.core.inference import Forward, Outputs
from service.core.network import Architecture, TriageNetwork, build_network
from service.core.precision import Precision
from service.core.radiograph import Pixels
from service.cores import choose_threads
from service.engine.base import EngineUnavailable
from service.engine.cuda import BUCKETS, LANES, Run, Tensors, open_lanes
from service.engine.lanes import Lanes


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
    EngineUnavailable
        The device refuses: it has no room for the weights, or see `open_lanes`.
    """

    name = "torch"
    company = BUCKETS[-1]

    def __init__(self, artifact: Artifact, device: str = "cpu", *, threads: int = 0) -> None:
        if limit := choose_threads(threads):
            torch.set_num_threads(limit)
        self._lanes: Lanes | None = None
        self.lanes = 1
        with _telling_refusals_of(device):
            self._device = named_device(device)
            network = load_network(artifact).to(self._device)
            precision = choose_precision(artifact, self._device)
            if self._device.type == "cuda":
                run, side_px = choose_run(network, precision), artifact.manifest.preprocess.side_px
                self._lanes = Lanes(open_lanes(run, side_px, self._device))
                self.lanes = LANES
        self._network: TriageNetwork | None = network
        self.device = f"{device} {precision}"

    def forward(self, batch_nchw: Pixels) -> Outputs:
        """(M, 1, S, S) normalised -> logits, maps and features, any M >= 1."""
        if self._network is None:
            raise RuntimeError("the engine is closed")
        if self._lanes is not None:
            return self._lanes.score(batch_nchw)
        pixels = torch.from_numpy(np.ascontiguousarray(batch_nchw, np.float32))
        with torch.inference_mode():
            return Outputs(*(tensor.numpy() for tensor in self._network(pixels)))

    def finish(self, prove: Callable[[Forward], object]) -> None:
        """Prove every graph of every lane; on a CPU there is one way to score."""
        if self._lanes is not None:
            self._lanes.prove(prove)

    def close(self) -> None:
        """Wait for what still runs, and let the device's memory go."""
        self._network = None
        if self._lanes is not None:
            self._lanes.close()


@contextmanager
def _telling_refusals_of(device: str) -> Iterator[None]:
    """Torch raises a bare `RuntimeError` for each, a full memory included."""
    try:
        yield
    except RuntimeError as error:
        raise EngineUnavailable(f"{device} cannot hold another network") from error


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


def narrow_backbone(network: TriageNetwork) -> None:
    """Cast the convolutions to bf16 once, in NHWC; autocast would cast them in every replay."""
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d):
            module.to(torch.bfloat16)
            # Not `contiguous`: it leaves the strides of 1x1 and one-channel weights as they are,
            # and cuDNN goes by strides.
            module.weight.data = module.weight.data.to(memory_format=torch.channels_last)


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


def choose_run(network: TriageNetwork, precision: Precision) -> Run:
    """The network on its device, made ready for this number format."""
    _forbid_tf32()
    if precision is Precision.BF16:
        narrow_backbone(network)
        return partial(forward_bf16, network)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return] # torch's own gap


def _forbid_tf32() -> None:
    """TF32 keeps ten bits: too few for the head, and for a network that was refused bf16.

    For the whole process, by the older switches: they set what the newer ones (`fp32_precision`)
    say too, whereas reading an older one raises once only a newer one was set.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def named_device(device: str) -> torch.device:
    """With its index: `cuda` alone means the one that is current."""
    if device == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(device)


def sees_gpu() -> bool:
    """Whether there is a CUDA device that torch can use."""
    return torch.cuda.is_available()
