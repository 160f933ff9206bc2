"""int8 of a network by NNCF, in the environment of `bench/peers/requirements/nncf.txt`.

`quantise.py MODEL.onnx PIXELS.npy OUT.xml [--most DIFFERENCE]`: PIXELS are (N, 1, S, S) float32,
as the network sees them. With `--most` layers go back to floating point, the most harmful first,
until no probability differs by more on the second half of the pixels.
"""

import argparse
from collections.abc import Iterable
from typing import Any

import nncf
import numpy as np
import openvino
from numpy.typing import NDArray

Batch = NDArray[np.float32]


def read_network(onnx: str, side_px: int) -> Any:
    """The network for one picture."""
    model = openvino.Core().read_model(onnx)
    model.reshape({"pixels": [1, 1, side_px, side_px]})
    return model


def probabilities(compiled: Any, pictures: Iterable[Batch]) -> Batch:
    """(N, F) in fp32."""
    logits = np.stack([compiled({"pixels": picture})["logits"][0] for picture in pictures])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


def main() -> None:
    """Quantise, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("onnx")
    parser.add_argument("pixels")
    parser.add_argument("out")
    parser.add_argument("--most", type=float)
    chosen = parser.parse_args()
    pixels = np.load(chosen.pixels)
    model = read_network(chosen.onnx, pixels.shape[-1])
    pictures = [pixels[index : index + 1] for index in range(len(pixels))]
    half = len(pictures) // 2
    calibration = nncf.Dataset(pictures[:half])
    if chosen.most is None:
        quantised = nncf.quantize(model, calibration, subset_size=half)
    else:
        exact = probabilities(openvino.Core().compile_model(model, "CPU", PRECISE), pictures[half:])

        def likeness(compiled: Any, shown: Iterable[Batch]) -> float:
            """1 where nothing differs, and less the more the worst does."""
            return 1 - float(np.abs(probabilities(compiled, shown) - exact).max())

        quantised = nncf.quantize_with_accuracy_control(
            model, calibration, nncf.Dataset(pictures[half:]), likeness,
            max_drop=chosen.most, drop_type=nncf.DropType.ABSOLUTE, subset_size=half,
        )  # fmt: skip
    openvino.save_model(quantised, chosen.out, compress_to_fp16=False)


PRECISE = {"INFERENCE_PRECISION_HINT": "f32"}

if __name__ == "__main__":
    main()
