"""Every engine gives the scores of the reference, whatever the batch."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from service.core.artifact import Artifact
from service.core.errors import SelfTestFailed
from service.core.inference import Forward, Outputs, Scalars, recipe_of, score_batch
from service.core.precision import Precision
from service.core.radiograph import Pixels
from service.core.self_test import self_test
from service.engine.base import Engine, radiographs_a_call
from service.engine.loading import prove
from service.engine.openvino import OpenVinoEngine
from service.engine.torch import (
    TorchEngine,
    choose_precision,
    forward_bf16,
    load_network,
    narrow_backbone,
)
from tests.support.tiny_network import chest_pixels

FLOAT32_ROUNDING = 1e-4
"""Largest difference of a logit that the order of fp32 sums may make."""


@pytest.fixture(scope="module")
def openvino(artifact: Artifact) -> OpenVinoEngine:
    """With its second way to score, as it is a moment after the service is up."""
    engine = OpenVinoEngine(artifact)
    engine.finish(partial(prove, artifact))
    return engine


@pytest.fixture(scope="module")
def reference(artifact: Artifact) -> TorchEngine:
    return TorchEngine(artifact)


def probabilities_of(engine: Engine, artifact: Artifact) -> Pixels:
    scored = score_batch(chest_pixels(), engine.forward, recipe_of(artifact))
    return np.stack([scores.probabilities for scores in scored])


# ---------------------------------------------------------------- agreement


def test_openvino_agrees_with_torch(
    artifact: Artifact, openvino: OpenVinoEngine, reference: TorchEngine
) -> None:
    tolerance = artifact.manifest.tolerance.probability

    ours = probabilities_of(openvino, artifact)
    expected = probabilities_of(reference, artifact)

    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance)


def test_openvino_in_fp32_agrees_with_torch_to_rounding(
    artifact: Artifact,
    reference: TorchEngine,
    batch_nchw: Pixels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.engine.compiled.CAPABILITIES", {Precision.F32: "FP32"})
    engine = OpenVinoEngine(artifact)

    found = engine.forward(batch_nchw)
    expected = reference.forward(batch_nchw)

    assert engine.device == "cpu f32"
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=FLOAT32_ROUNDING)


def test_a_format_that_the_release_did_not_bear_is_not_used(artifact: Artifact) -> None:
    wide = _allow(artifact, Precision.F32)

    assert OpenVinoEngine(wide).device == "cpu f32"
    assert choose_precision(wide, torch.device("cuda")) is Precision.F32
    assert choose_precision(artifact, torch.device("cuda")) is Precision.BF16
    assert choose_precision(artifact, torch.device("cpu")) is Precision.F32


def _allow(artifact: Artifact, *precisions: Precision) -> Artifact:
    tolerance = artifact.manifest.tolerance.model_copy(update={"precisions": precisions})
    manifest = artifact.manifest.model_copy(update={"tolerance": tolerance})
    return replace(artifact, manifest=manifest)


def test_attention_agrees_with_torch(
    openvino: OpenVinoEngine, reference: TorchEngine, batch_nchw: Pixels
) -> None:
    maps = openvino.forward(batch_nchw).maps
    expected = reference.forward(batch_nchw).maps

    assert maps.shape == (6, 3, 4, 4)
    np.testing.assert_allclose(maps, expected, rtol=0, atol=0.02 * np.abs(expected).max())


def test_bf16_arithmetic_of_the_cuda_engine_stays_within_tolerance(
    artifact: Artifact, reference: TorchEngine
) -> None:
    network = load_network(artifact)
    narrow_backbone(network)

    def forward(batch_nchw: Pixels) -> Outputs:
        tensors = forward_bf16(network, torch.from_numpy(batch_nchw))
        return Outputs(*(tensor.numpy() for tensor in tensors))

    difference = self_test(artifact, forward)

    assert 0 < difference <= artifact.manifest.tolerance.probability


@pytest.mark.parametrize("images", [1, 2, 3, 5, 16])
def test_score_does_not_depend_on_the_company(
    openvino: OpenVinoEngine, batch_nchw: Pixels, images: int
) -> None:
    crowd = np.resize(batch_nchw, (images, *batch_nchw.shape[1:]))

    alone = [openvino.forward(crowd[index : index + 1]) for index in range(images)]
    together = openvino.forward(crowd)

    for ours, theirs in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_array_equal(ours, np.concatenate(theirs))


def test_a_way_to_score_that_is_not_proven_is_never_taken(
    artifact: Artifact, openvino: OpenVinoEngine, batch_nchw: Pixels
) -> None:
    engine, asked = OpenVinoEngine(artifact), []

    def refuse(forward: Forward) -> None:
        asked.append(forward(batch_nchw).logits)
        raise SelfTestFailed("differs")

    with pytest.raises(SelfTestFailed):
        engine.finish(refuse)

    expected = openvino.forward(batch_nchw).logits
    np.testing.assert_array_equal(asked[0], expected)
    np.testing.assert_array_equal(engine.forward(batch_nchw[:1]).logits, expected[:1])
    assert engine._alone is None  # its scores are equal, so nothing else tells


def test_score_does_not_depend_on_who_is_scored_at_the_same_time(
    openvino: OpenVinoEngine, batch_nchw: Pixels
) -> None:
    expected = openvino.forward(batch_nchw).logits
    together = threading.Barrier(3)

    def score(images: int) -> list[Scalars]:
        together.wait()
        return [openvino.forward(batch_nchw[:images]).logits for _ in range(10)]

    with ThreadPoolExecutor(3) as callers:
        found = list(callers.map(score, (1, 3, 6)))

    for images, logits in zip((1, 3, 6), found, strict=True):
        for once in logits:
            np.testing.assert_array_equal(once, expected[:images])


def test_engine_goes_on_after_a_batch_that_it_cannot_score(
    openvino: OpenVinoEngine, batch_nchw: Pixels
) -> None:
    expected = openvino.forward(batch_nchw).logits
    too_large = np.zeros((2, 1, 80, 80), np.float32)

    with pytest.raises(RuntimeError):
        openvino.forward(too_large)

    logits = openvino.forward(batch_nchw).logits
    np.testing.assert_array_equal(logits, expected)


def test_scores_depend_on_the_picture(openvino: OpenVinoEngine, artifact: Artifact) -> None:
    probabilities = probabilities_of(openvino, artifact)

    assert (probabilities.std(axis=0) > 0.1).all()


@pytest.mark.parametrize(("views", "radiographs"), [(1, 4), (2, 2), (3, 1), (4, 1), (5, 1)])
def test_views_of_a_radiograph_are_each_a_picture_of_a_call(
    openvino: OpenVinoEngine, views: int, radiographs: int
) -> None:
    assert radiographs_a_call(openvino, views=views) == radiographs


@pytest.mark.parametrize(
    ("views", "at_most", "radiographs"),
    [(1, None, 64), (4, None, 16), (1, 16, 16), (4, 20, 16), (100, None, 1)],
)
def test_largest_batch_is_what_the_engine_gains_by_unless_the_site_wants_less(
    reference: TorchEngine, views: int, at_most: int | None, radiographs: int
) -> None:
    assert radiographs_a_call(reference, views=views, at_most=at_most) == radiographs
