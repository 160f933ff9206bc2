"""A rewritten network computes what the released one computes; what does not fit is left alone."""

from collections import Counter
from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from openvino import Model
from openvino import opset13 as ops

from service.engine.rewrites import chain_concatenations, pool_before_mixing, rewrite

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


def _dense_network() -> Model:
    """Two layers that see all before them, a transition, and a tap on what it gives."""
    picture = _picture()
    known = [picture]
    for seed in range(3):
        joined = ops.concat(known, 1)
        known.append(_convolve(ops.relu(joined), 3, kernel=3, seed=seed))
    mixed = _convolve(ops.relu(ops.concat(known, 1)), 6, seed=9)
    pooled = _pool(mixed)
    return _model(picture, ops.relu(pooled), ops.reduce_mean(pooled, [2, 3]))


def _run(model: Model) -> list[Numbers]:
    drawn = np.random.default_rng(1).normal(size=(1, 4, SIDE, SIDE)).astype(np.float32)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    outputs = openvino.Core().compile_model(model, "CPU", exact)({"pixels": drawn})
    return [np.array(outputs[f"result{i}"]) for i in range(len(model.outputs))]


def _widths(model: Model) -> Counter[int]:
    """How many values each concatenation takes."""
    joins = [node for node in model.get_ordered_ops() if node.get_type_name() == "Concat"]
    return Counter(node.get_input_size() for node in joins)


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
    plain, rewritten = _dense_network(), _dense_network()

    count = rewrite(rewritten)

    assert count == 4
    assert (_side_of_mixing(plain), _side_of_mixing(rewritten)) == (SIDE, SIDE // 2)
    assert (_widths(plain), _widths(rewritten)) == ({1: 1, 2: 1, 3: 1, 4: 1}, {1: 1, 2: 3})
    for before, after in zip(_run(plain), _run(rewritten), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_convolution_that_another_reads_is_not_computed_twice() -> None:
    picture = _picture()
    mixed = _convolve(picture, 6)
    model = _model(picture, _pool(mixed), ops.relu(mixed))

    assert pool_before_mixing(model) == 0


@pytest.mark.parametrize(("kernel", "pad"), [(3, 0), (1, 1)])
def test_pool_that_may_not_change_places_stays(kernel: int, pad: int) -> None:
    picture = _picture()
    model = _model(picture, _pool(_convolve(picture, 6, kernel=kernel), pad=pad))

    assert pool_before_mixing(model) == 0


def test_concatenation_of_other_values_or_along_another_axis_stays() -> None:
    picture = _picture()
    one, two = ops.relu(picture), ops.sigmoid(picture)
    joins = [ops.concat([one, two], 1), ops.concat([two, one, picture], 1)]
    tall = [ops.concat([one, two], 2), ops.concat([one, two, picture], 2)]
    model = _model(picture, *joins, *tall)

    assert chain_concatenations(model) == 0
