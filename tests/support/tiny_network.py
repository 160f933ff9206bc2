"""`Architecture.TINY` with drawn weights, and as ONNX, without torch.

Axes: N images, C channels, F findings, S side.
"""

import functools
import io

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from PIL import Image

from service.core.findings import FINDINGS
from service.core.inference import Forward, Outputs, stack_pixels
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, normalise, preprocess
from service.core.radiograph import Pixels

SIDE_PX = 64
SPEC = PreprocessSpec(side_px=SIDE_PX)
CHANNELS = (8, 16)
STRIDE = 4

LOGIT_SPREAD = 1.5
"""Standard deviation of the logits over the drawn chests: they differ visibly."""

OPSET, IR_VERSION = 17, 10
"""Opset of the released network; an IR version that every engine in use reads."""

Weights = dict[str, NDArray[np.float16]]


def draw_weights(seed: int) -> Weights:
    """Random filters, and a head whose logits vary by `LOGIT_SPREAD` from chest to chest."""
    generator = np.random.default_rng(seed)
    inner, outer = CHANNELS
    backbone = {
        "backbone.0.weight": generator.normal(0, 1 / 3, (inner, 1, 3, 3)),
        "backbone.0.bias": np.zeros(inner),
        "backbone.2.weight": generator.normal(0, 1 / 6, (outer, inner, 3, 3)),
        "backbone.2.bias": np.zeros(outer),
    }
    weights = {name: array.astype(np.float16) for name, array in backbone.items()}
    return weights | _draw_head(_pooled_features(weights), generator)


def build_onnx(weights: Weights) -> bytes:
    """The tiny network laid out as releases are: fp16 initialisers, cast before their use."""
    map_px = SIDE_PX // STRIDE**2
    nodes = [
        *_backbone(weights),
        _convolution("deepest", "head", "maps", stride=1, pad=0),
        helper.make_node("ReduceMean", ["maps"], ["logits"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["first.relu"], ["shallow.mean"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["deepest"], ["deepest.mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Concat", ["shallow.mean", "deepest.mean"], ["features"], axis=1),
    ]
    outputs = {
        "logits": [len(FINDINGS)],
        "maps": [len(FINDINGS), map_px, map_px],
        "features": [sum(CHANNELS)],
    }
    return bytes(_build_model(nodes, outputs, weights).SerializeToString())


def reference_forward(body: bytes) -> Forward:
    """The network by the reference implementation of ONNX, which no engine shares."""
    evaluator = ReferenceEvaluator(onnx.load_from_string(body))

    def forward(batch_nchw: Pixels) -> Outputs:
        results = evaluator.run(list(Outputs._fields), {"pixels": batch_nchw})
        return Outputs(*(np.asarray(result, np.float32) for result in results))

    return forward


@functools.cache
def chest_uploads() -> tuple[bytes, ...]:
    """Two dark lungs in a bright body, each picture with its own opacity; as PNG."""
    rows, columns = np.mgrid[-1:1:100j, -1:1:92j]
    body = 180 * np.exp(-((rows / 1.1) ** 4) - (columns / 0.9) ** 4)
    lungs = 130 * np.exp(-((rows / 0.6) ** 2) - ((np.abs(columns) - 0.4) / 0.25) ** 2)
    generator = np.random.default_rng(0)
    return tuple(
        _encode_png(body - lungs + _draw_opacity(rows, columns, generator)) for _ in range(6)
    )


@functools.cache
def chest_pixels() -> Pixels:
    """The same, as the network's input before normalisation (N, 1, S, S)."""
    return stack_pixels([preprocess(read_radiograph(body), SPEC) for body in chest_uploads()])


def _draw_opacity(
    rows: NDArray[np.float64], columns: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    y, x = generator.uniform(-0.5, 0.5, 2)
    size, strength = generator.uniform(0.05, 0.4), generator.uniform(0, 120)
    speckle = generator.normal(0, generator.uniform(1, 12), rows.shape)
    shade = strength * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / size**2)
    return np.asarray(shade + speckle)


def _encode_png(levels: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def _pooled_features(weights: Weights) -> NDArray[np.float64]:
    """What the backbone makes of the chests, (N, C)."""
    map_px = SIDE_PX // STRIDE**2
    outputs = {"deepest": [CHANNELS[1], map_px, map_px]}
    evaluator = ReferenceEvaluator(_build_model(_backbone(weights), outputs, weights))
    (deepest,) = evaluator.run(["deepest"], {"pixels": normalise(chest_pixels(), SPEC)})
    return np.asarray(np.mean(np.asarray(deepest), axis=(2, 3)), np.float64)


def _draw_head(features_nc: NDArray[np.float64], generator: np.random.Generator) -> Weights:
    """Look along the two directions in which the chests differ most.

    Any finer direction would need large weights, and they would amplify the rounding of a bf16
    engine beyond the tolerance.
    """
    center = features_nc.mean(axis=0)
    _, sizes, directions = np.linalg.svd(features_nc - center, full_matrices=False)
    mixing, _ = np.linalg.qr(generator.normal(size=(len(FINDINGS), 2)))
    spread = sizes[0] / np.sqrt(len(features_nc))
    head = LOGIT_SPREAD / spread * mixing @ directions[:2]
    return {
        "head.weight": head.reshape(*head.shape, 1, 1).astype(np.float16),
        "head.bias": (-head @ center).astype(np.float16),
    }


def _backbone(weights: Weights) -> list[onnx.NodeProto]:
    return [
        *(
            helper.make_node("Cast", [f"{name}.fp16"], [name], to=TensorProto.FLOAT)
            for name in weights
        ),
        _convolution("pixels", "backbone.0", "first", stride=STRIDE, pad=1),
        helper.make_node("Relu", ["first"], ["first.relu"]),
        _convolution("first.relu", "backbone.2", "second", stride=STRIDE, pad=1),
        helper.make_node("Relu", ["second"], ["deepest"]),
    ]


def _convolution(source: str, weights: str, name: str, *, stride: int, pad: int) -> onnx.NodeProto:
    inputs = [source, f"{weights}.weight", f"{weights}.bias"]
    return helper.make_node("Conv", inputs, [name], strides=[stride] * 2, pads=[pad] * 4)


def _build_model(
    nodes: list[onnx.NodeProto], outputs: dict[str, list[int]], weights: Weights
) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(a, f"{name}.fp16") for name, a in weights.items()]
    pixels, *results = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["images", *sides])
        for name, sides in {"pixels": [1, SIDE_PX, SIDE_PX], **outputs}.items()
    )
    graph = helper.make_graph(nodes, "tiny", [pixels], results, stored)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model
