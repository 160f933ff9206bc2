"""The scores of the CUDA engine: the reference's, alone and in any batch, on every lane."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from service.core.artifact import Artifact
from service.core.inference import Forward, Outputs, Scalars, calibrate
from service.core.precision import Precision
from service.core.radiograph import Pixels
from service.engine.cuda import BUCKETS, LANES
from service.engine.torch import TorchEngine

LOGIT_TOLERANCE = {Precision.BF16.value: 0.05, Precision.F32.value: 2e-3}
"""bf16 keeps eight bits; with TF32, of ten bits, a network in fp32 would be beyond its own."""


def crowd(pictures: Pixels, count: int) -> Pixels:
    """So many, over and over."""
    return np.ascontiguousarray(pictures[np.arange(count) % len(pictures)])


def ways(engine: TorchEngine) -> Iterator[tuple[str, int, Forward]]:
    """Every recorded graph of every lane; on a CPU the one way that there is."""
    if engine._lanes is None:
        yield "cpu", BUCKETS[-1], engine.forward
        return
    for lent in engine._lanes._all:
        for bucket in lent.lane.buckets:
            yield f"lane {lent.number}", bucket, partial(lent.lane.score, bucket=bucket)


def assert_close(
    engine: TorchEngine, artifact: Artifact, found: Scalars, expected: Scalars, where: str
) -> None:
    """Logits by the number format, probabilities by what the release allows."""
    precision, temperature = engine.device.split()[-1], artifact.manifest.calibration.temperature
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=LOGIT_TOLERANCE[precision], err_msg=where
    )
    difference = np.abs(calibrate(found, temperature) - calibrate(expected, temperature)).max()
    assert difference <= artifact.manifest.tolerance.probability, where


def test_number_format_is_what_the_release_bears(
    engine: TorchEngine, artifact: Artifact, device: str
) -> None:
    bears = Precision.BF16 in artifact.manifest.tolerance.precisions and device != "cpu"

    assert engine.device == f"{device} {Precision.BF16 if bears else Precision.F32}"


def test_every_graph_of_every_lane_was_proven(engine: TorchEngine) -> None:
    lent = engine._lanes._all if engine._lanes is not None else []

    assert [each.proven for each in lent] == [BUCKETS] * len(lent)
    assert len(lent) in (0, LANES)


@pytest.mark.parametrize("count", [1, 3, 64, 65, 200])
def test_gpu_agrees_with_the_reference(
    engine: TorchEngine, reference: TorchEngine, artifact: Artifact, pictures: Pixels, count: int
) -> None:
    alone = reference.forward(pictures)
    expected = Outputs(*(crowd(output, count) for output in alone))

    outputs = engine.forward(crowd(pictures, count))

    assert_close(engine, artifact, outputs.logits, expected.logits, f"{count} pictures")
    assert [output.shape for output in outputs] == [output.shape for output in expected]
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
    np.testing.assert_allclose(outputs.maps.mean((2, 3)), outputs.logits, rtol=0, atol=1e-3)
    scale = np.abs(expected.features).max()
    np.testing.assert_allclose(outputs.features, expected.features, rtol=0, atol=0.05 * scale)


def test_picture_has_the_same_scores_alone_and_in_every_row_of_every_bucket(
    engine: TorchEngine, artifact: Artifact, pictures: Pixels
) -> None:
    one = pictures[:1]
    alone = engine.forward(one).logits

    for lane, bucket, forward in ways(engine):
        logits = forward(crowd(one, bucket)).logits
        where = f"{lane}, bucket {bucket}"
        assert_close(engine, artifact, logits, np.repeat(alone, bucket, axis=0), where)


def test_scores_in_a_bucket_do_not_depend_on_the_company(
    engine: TorchEngine, pictures: Pixels
) -> None:
    for lane, bucket, forward in ways(engine):
        batch = crowd(pictures, bucket)
        other = batch.copy()
        other[1:] = 100 * other[1:][::-1] - 7

        mine, theirs = forward(batch).logits[0], forward(other).logits[0]

        np.testing.assert_array_equal(mine, theirs, err_msg=f"{lane}, bucket {bucket}")


def test_rows_that_earlier_pictures_left_behind_change_nothing(
    engine: TorchEngine, pictures: Pixels
) -> None:
    for lane, bucket, forward in ways(engine):
        few = crowd(pictures, max(1, bucket // 2 + 1))
        expected = forward(few).logits

        forward(crowd(1e4 * pictures, bucket))

        found = forward(few).logits
        np.testing.assert_array_equal(found, expected, err_msg=f"{lane}, bucket {bucket}")


def test_answers_are_the_callers_own(engine: TorchEngine, pictures: Pixels) -> None:
    for _, _, forward in ways(engine):
        first = forward(pictures[:1])
        kept = Outputs(*(output.copy() for output in first))

        forward(pictures[1:2])

        for mine, before in zip(first, kept, strict=True):
            np.testing.assert_array_equal(mine, before)


def test_pictures_may_lie_in_memory_as_they_like(engine: TorchEngine, pictures: Pixels) -> None:
    expected = engine.forward(np.ascontiguousarray(pictures[..., ::-1])).logits

    np.testing.assert_array_equal(engine.forward(pictures[..., ::-1]).logits, expected)
    np.testing.assert_array_equal(
        engine.forward(pictures[..., ::-1].astype(np.float64)).logits, expected
    )


def test_lanes_that_score_at_the_same_time_disturb_no_other(
    engine: TorchEngine, artifact: Artifact, pictures: Pixels
) -> None:
    counts: Sequence[int] = (1, 5, 17, 64) * 25
    alone = {count: engine.forward(crowd(pictures, count)).logits for count in counts[:4]}

    with ThreadPoolExecutor(2 * LANES) as threads:
        together = list(threads.map(engine.forward, [crowd(pictures, n) for n in counts]))

    for count, outputs in zip(counts, together, strict=True):
        np.testing.assert_array_equal(outputs.logits, alone[count])
