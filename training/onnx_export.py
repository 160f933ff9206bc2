"""The network as ONNX, bound to its weights: fp16 storage, fp32 arithmetic, any batch size.

Axes: M views, F findings, S side, h x w feature map.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from service.core.inference import Forward, Outputs
from service.core.precision import Precision
from service.core.radiograph import Pixels
from service.engine.compiled import CAPABILITIES

OPSET = 17
INPUT, OUTPUTS = "pixels", ("logits", "maps", "features")
LARGEST_LOGIT_DIFFERENCE = 1e-3


class OnnxDiffers(ValueError):
    """The exported network does not compute what the trained one does."""


def export_onnx(network: nn.Module, side_px: int) -> bytes:
    """Write the network unfused, so that its initialisers are the released weights themselves.

    Every fp32 initialiser that fp16 holds exactly is stored as fp16 with a Cast before its use;
    engines fold the Cast when they compile.
    """
    example = torch.zeros(1, 1, side_px, side_px)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as scratch:
        # The tracing exporter is deprecated, and the only one that keeps batch norms unfused
        # without wrapping each in shape arithmetic.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        path = Path(scratch) / "model.onnx"
        torch.onnx.export(
            network.cpu().eval(),
            (example,),
            path,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "images"} for name in (INPUT, *OUTPUTS)},
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            dynamo=False,
        )
        model = onnx.load(path)
    store_as_fp16(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def store_as_fp16(model: onnx.ModelProto) -> None:
    """Replace exact fp32 initialisers by fp16 and a Cast, in place."""
    casts = []
    for tensor in model.graph.initializer:
        narrow = _as_fp16(tensor)
        if narrow is None:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(narrow, f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])


def _as_fp16(tensor: onnx.TensorProto) -> Any:
    """The same numbers as fp16, or None where fp16 would change one."""
    if tensor.data_type != TensorProto.FLOAT:
        return None
    wide = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float16)
    return narrow if np.array_equal(narrow.astype(np.float32), wide) else None


def precisions_here() -> tuple[str, ...]:
    """Of those in which OpenVINO may serve, what this CPU computes; fp32 first.

    Asked for another, OpenVINO computes fp32 in silence: the release would bear what was not seen.
    """
    can = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(ours.value for ours in reversed(Precision) if CAPABILITIES[ours] in can)


def openvino_forward(onnx_body: bytes, precision: str) -> Forward:
    """The exported network under OpenVINO on the CPU; precision is `f32` or `bf16`."""
    core = openvino.Core()
    model = core.read_model(onnx_body, b"")
    options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(model, "CPU", options)

    def forward(batch_nchw: Pixels) -> Outputs:
        outputs = compiled([np.ascontiguousarray(batch_nchw, np.float32)])
        return Outputs(*(np.array(outputs[name], np.float32) for name in OUTPUTS))

    return forward


def check_onnx(onnx_body: bytes, reference: Forward, batch_mchw: Pixels) -> float:
    """Largest difference of a logit between the ONNX network in fp32 and the reference.

    Raises
    ------
    OnnxDiffers
        It is above `LARGEST_LOGIT_DIFFERENCE`.
    """
    logits = openvino_forward(onnx_body, "f32")(batch_mchw).logits
    difference = float(np.abs(logits - reference(batch_mchw).logits).max())
    if not difference <= LARGEST_LOGIT_DIFFERENCE:
        raise OnnxDiffers(
            f"ONNX logits differ from torch by {difference:.2g}; "
            f"at most {LARGEST_LOGIT_DIFFERENCE:g} is accepted"
        )
    return difference
