"""The ONNX file holds the released weights themselves, in half precision."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from service.core.network import Architecture, build_network
from training.onnx_export import OnnxDiffers, check_onnx, export_onnx
from training.scoring import torch_forward


def rounded_network() -> nn.Module:
    torch.manual_seed(3)
    network = build_network(Architecture.DENSENET121, findings=3).eval()
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape).abs().mul(0.1).half().float())
    return network


def weights_in(onnx_body: bytes) -> dict[str, np.ndarray]:
    model = onnx.load_from_string(onnx_body)
    return {t.name.removesuffix(".fp16"): numpy_helper.to_array(t) for t in model.graph.initializer}


def test_initialisers_are_the_weights_bit_for_bit() -> None:
    network = rounded_network()
    state = {n: v for n, v in network.state_dict().items() if "num_batches" not in n}

    stored = weights_in(export_onnx(network, 64))

    for name, value in state.items():
        assert stored[name].dtype == np.float16
        assert np.array_equal(stored[name].astype(np.float32), value.numpy())


def test_file_is_half_the_size_of_single_precision() -> None:
    network = rounded_network()
    floats = sum(v.numel() for v in network.state_dict().values() if v.is_floating_point())

    assert len(export_onnx(network, 64)) < 2.2 * floats


def test_number_that_half_precision_cannot_hold_stays_single() -> None:
    network = build_network(Architecture.TINY, findings=3).eval()
    with torch.no_grad():
        network.head.weight.fill_(0.1)

    model = onnx.load_from_string(export_onnx(network, 64))

    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds["head.weight"] == TensorProto.FLOAT


def test_another_network_does_not_pass_the_check() -> None:
    torch.manual_seed(0)
    network = build_network(Architecture.TINY, findings=3).eval()
    body = export_onnx(network, 64)
    with torch.no_grad():
        bias: Tensor = network.head.bias  # type: ignore[assignment]  # built with a bias
        bias.add_(0.01)

    with pytest.raises(OnnxDiffers):
        check_onnx(body, torch_forward(network), np.zeros((1, 1, 64, 64), np.float32))
