"""A rewritten network computes what the released one computes; what does not fit is left alone."""

from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from openvino import Model
from openvino import opset13 as ops

from service.engine.rewrites import rewrite

SIDE = 12
Numbers = NDArray[np.float32]


def _convolve(value: Any, channels: int, *, kernel: int = 1, seed: int = 0) -> Any:
    into = value.get_output_partial_shape(0).to_shape()[1]
    drawn = np.random.default_rng(seed).normal(size=(channels, into, kernel, kernel))
    pads = [kernel // 2] * 2
    return ops.convolution(value, drawn.astype(np.float32), [1, 1], pads, pads, [1, 1])


def _pool(value: Any, *, pad: int = 0) -> Any:
    return ops.avg_pool(value, [2, 2], [pad, pad], [pad, pad], [2, 2], False)


def _picture() -> Any:
    return ops.parameter([1, 4, SIDE, SIDE], name="pixels")


def _model(picture: Any, *results: Any) -> Model:
    model = Model(list(results), [picture], "drawn")
    for index, result in enumerate(model.outputs):
        result.set_names({f"result{index}"})
    return model


def _transition() -> Model:
    """As between two blocks of a DenseNet, with a tap on what it gives."""
    picture = _picture()
    mixed = _convolve(ops.relu(_convolve(picture, 8, kernel=3)), 6, seed=9)
    pooled = _pool(mixed)
    return _model(picture, ops.relu(pooled), ops.reduce_mean(pooled, [2, 3]))


def _run(model: Model) -> list[Numbers]:
    drawn = np.random.default_rng(1).normal(size=(1, 4, SIDE, SIDE)).astype(np.float32)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    outputs = openvino.Core().compile_model(model, "CPU", exact)({"pixels": drawn})
    return [np.array(outputs[f"result{i}"]) for i in range(len(model.outputs))]


def _side_of_mixing(model: Model) -> int:
    """Pixels along a side that its one 1x1 convolution sees."""
    (side,) = (
        node.get_output_partial_shape(0).to_shape()[2]
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Convolution"
        and node.input_value(1).get_partial_shape().to_shape()[2] == 1
    )
    return int(side)


def test_rewritten_network_gives_the_same_numbers_by_fewer_operations() -> None:
    plain, rewritten = _transition(), _transition()

    count = rewrite(rewritten)

    assert count == 1
    assert (_side_of_mixing(plain), _side_of_mixing(rewritten)) == (SIDE, SIDE // 2)
    for before, after in zip(_run(plain), _run(rewritten), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_convolution_that_another_reads_is_not_computed_twice() -> None:
    picture = _picture()
    mixed = _convolve(picture, 6)
    model = _model(picture, _pool(mixed), ops.relu(mixed))

    assert rewrite(model) == 0


@pytest.mark.parametrize(("kernel", "pad"), [(3, 0), (1, 1)])
def test_pool_that_may_not_change_places_stays(kernel: int, pad: int) -> None:
    picture = _picture()
    model = _model(picture, _pool(_convolve(picture, 6, kernel=kernel), pad=pad))

    assert rewrite(model) == 0


def test_concatenation_begins_with_the_one_before() -> None:
    plain, chained = _dense_block(), _dense_block()

    count = rewrite(chained)

    assert count == 2
    assert _parts(plain) == [2, 2, 3, 3, 4]
    assert _parts(chained) == [2, 2, 2, 2, 3]
    for before, after in zip(_run(plain), _run(chained), strict=True):
        np.testing.assert_array_equal(after, before)


def _dense_block() -> Model:
    """Three layers that read all before them; one that skips the first, one along another axis."""
    picture = _picture()
    parts = [picture, *(ops.relu(_convolve(picture, 4, seed=seed)) for seed in range(3))]
    deeper = [ops.concat(parts[:count], 1) for count in (2, 3, 4)]
    return _model(picture, *deeper, ops.concat(parts[1:3], 1), ops.concat(parts[:3], 2))


def _parts(model: Model) -> list[int]:
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() == "Concat"]
    return sorted(node.get_input_size() for node in nodes)
