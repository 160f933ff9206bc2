"""The stored detector: what is near, what is far, and what it refuses to be read from."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.core.artifact import OperatingPoint, Purpose
from service.core.errors import ArtifactInvalid, EngineFailed, NotEvaluated
from service.core.findings import Finding
from service.core.inference import Scores
from service.core.ood import (
    Depth,
    OodDetector,
    OodPoint,
    check_distribution,
    is_unusual,
    read_detector,
    write_detector,
)
from service.core.triage import Priority, ReviewReason, triage
from tests.support.detectors import make_detector, make_point, round_depth

GENERATOR = np.random.default_rng(0)
SHALLOW, DEEP = GENERATOR.normal(2, 1, (40, 4)), GENERATOR.normal(-1, 3, (40, 6))
DETECTOR = make_detector(
    (round_depth(SHALLOW.astype(np.float32)), round_depth(DEEP.astype(np.float32))),
    golden=np.array([0.5, 1.5]),
)
FEATURES = np.hstack([SHALLOW, DEEP]).astype(np.float32)


def test_distance_is_that_of_mahalanobis() -> None:
    mixing = GENERATOR.normal(size=(5, 5))
    variances, vectors = np.linalg.eigh(mixing @ mixing.T)
    depth = Depth(
        center=np.zeros(5, np.float32),
        scale=np.ones(5, np.float32),
        sources=np.ones((1, 5), np.float32),
        directions=(vectors / np.sqrt(variances)).T.astype(np.float32),
        remainder=1.0,
    )
    image = GENERATOR.normal(size=(1, 5)).astype(np.float32)

    squared = 5 * np.exp(2 * depth.log_distances(image))

    away = image[0] - 1
    assert squared == pytest.approx(away @ np.linalg.inv(mixing @ mixing.T) @ away, rel=1e-3)


def test_what_no_direction_keeps_is_divided_by_the_remainder() -> None:
    depth = replace(round_depth(np.zeros((3, 4), np.float32)), scale=np.ones(4, np.float32))
    first_only = replace(
        depth, directions=np.eye(4, dtype=np.float32)[:1] * np.float32(0.5), remainder=9.0
    )
    image = np.array([[2, 3, 0, 0]], np.float32)

    squared = 4 * np.exp(2 * first_only.log_distances(image))

    assert squared == pytest.approx(2**2 / 2**2 + 3**2 / 9)


def test_nearest_source_counts() -> None:
    sources = np.array([[0, 0, 0, 0], [10, 10, 10, 10]], np.float32)
    depth = replace(round_depth(SHALLOW.astype(np.float32)), sources=sources)
    at_second = depth.center + depth.scale * sources[1]

    assert depth.log_distances(at_second[None])[0] < -10


def test_strangest_depth_decides() -> None:
    usual = FEATURES.mean(axis=0, keepdims=True)
    only_deep = usual.copy()
    only_deep[:, 4:] += 1000

    assert DETECTOR.distances(only_deep)[0] > DETECTOR.distances(usual)[0] + 5
    assert DETECTOR.scores(only_deep)[0] > 0.999


@given(
    arrays(np.float64, 20, elements=st.floats(-50, 5000)),
)
def test_score_is_a_share_that_rises_with_the_distance(distances: np.ndarray) -> None:
    ordered = np.sort(distances)

    scores = DETECTOR.rank(ordered)

    assert scores.min() >= 0
    assert scores.max() <= 1
    assert (np.diff(scores) >= 0).all()


def test_far_and_very_far_are_told_apart() -> None:
    far, very_far = DETECTOR.rank(np.array([100.0, 1000.0]))

    assert 0.9999 < far < very_far < 1


def test_score_has_no_jump_where_the_tail_begins() -> None:
    below, above = DETECTOR.rank(DETECTOR.knots[-1] + np.array([-1e-9, 1e-9]))

    assert above - below < 1e-6
    assert above == pytest.approx(DETECTOR.top)


def test_what_is_no_number_stays_none() -> None:
    broken = FEATURES[:1].copy()
    broken[0, 2] = np.nan

    assert np.isnan(DETECTOR.scores(broken)).all()


def test_detector_is_read_back_as_written() -> None:
    again = read_detector(write_detector(DETECTOR))

    assert np.array_equal(again.distances(FEATURES), DETECTOR.distances(FEATURES))
    assert np.array_equal(again.scores(FEATURES), DETECTOR.scores(FEATURES))
    assert np.array_equal(again.golden, DETECTOR.golden)
    assert again.depth_channels == (4, 6)


def test_same_detector_is_the_same_bytes() -> None:
    assert write_detector(DETECTOR) == write_detector(read_detector(write_detector(DETECTOR)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no archive",
        write_detector(DETECTOR)[:-30],
        write_detector(DETECTOR).replace(b"knots", b"knops"),
    ],
)
def test_what_is_no_detector_is_refused(body: bytes) -> None:
    with pytest.raises(ArtifactInvalid, match=r"ood\.npz"):
        read_detector(body)


def test_pickled_arrays_are_refused() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, depths=np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(ArtifactInvalid, match=r"ood\.npz"):
        read_detector(buffer.getvalue())


@pytest.mark.parametrize(
    "broken",
    [
        replace(DETECTOR, depths=()),
        replace(DETECTOR, knots=DETECTOR.knots[::-1].copy()),
        replace(DETECTOR, knots=DETECTOR.knots[:1]),
        replace(DETECTOR, top=1.0),
        replace(DETECTOR, tail_scale=0.0),
        replace(DETECTOR, depths=(replace(DETECTOR.depths[0], remainder=0.0),)),
        replace(DETECTOR, depths=(replace(DETECTOR.depths[0], spread=float("nan")),)),
        replace(DETECTOR, depths=(replace(DETECTOR.depths[0], scale=np.zeros(4, np.float32)),)),
        replace(
            DETECTOR, depths=(replace(DETECTOR.depths[0], sources=np.zeros((1, 3), np.float32)),)
        ),
        replace(
            DETECTOR, depths=(replace(DETECTOR.depths[0], sources=np.zeros((0, 4), np.float32)),)
        ),
        replace(
            DETECTOR, depths=(replace(DETECTOR.depths[0], directions=np.eye(3, dtype=np.float32)),)
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(broken: OodDetector) -> None:
    with pytest.raises(ArtifactInvalid, match=r"ood\.npz"):
        read_detector(write_detector(broken))


def test_members_are_plain_arrays() -> None:
    with zipfile.ZipFile(io.BytesIO(write_detector(DETECTOR))) as archive:
        assert all(name.endswith(".npy") for name in archive.namelist())


POINT = make_point(0.99, 0.999)


@pytest.mark.parametrize(
    ("score", "point", "codes"),
    [
        (0.98, POINT, []),
        (0.99, POINT, ["OUT_OF_DISTRIBUTION"]),
        (0.9989, POINT, ["OUT_OF_DISTRIBUTION"]),
        (None, POINT, []),
        (1.0, None, []),
    ],
)
def test_unusual_image_is_warned_of(
    score: float | None, point: OodPoint | None, codes: list[str]
) -> None:
    assert [caution.code for caution in check_distribution(score, point)] == codes
    assert is_unusual(score, point) is bool(codes)


def test_image_beyond_the_second_threshold_is_not_evaluated() -> None:
    with pytest.raises(NotEvaluated) as refused:
        check_distribution(0.999, POINT)

    assert refused.value.reason == "NOT_A_CHEST"


def test_refusing_more_than_is_reviewed_is_no_point() -> None:
    with pytest.raises(ValueError, match="stranger"):
        make_point(review_threshold=0.99, refuse_threshold=0.98)


def scores(pneumonia: float, out_of_distribution: float | None) -> Scores:
    """One radiograph's result with the rest of the probability on normal."""
    probabilities = np.array([1 - pneumonia, pneumonia, 0], np.float32)
    spread, attention = np.zeros(3, np.float32), np.zeros((3, 1, 1), np.float32)
    return Scores(probabilities, spread, attention, out_of_distribution=out_of_distribution)


FLAG = OperatingPoint(
    finding=Finding.PNEUMONIA,
    purpose=Purpose.FLAG,
    target_sensitivity=0.97,
    confidence=0.95,
    positives=200,
    misses_allowed=1,
    threshold=0.4,
    weights_digest=POINT.weights_digest,
)


def test_unusual_image_without_a_flag_is_for_review() -> None:
    usual = triage(scores(0.1, 0.5), [FLAG], POINT)
    unusual = triage(scores(0.1, 0.995), [FLAG], POINT)

    assert usual.priority is Priority.ROUTINE
    assert unusual.priority is Priority.REVIEW
    assert unusual.review_reasons == (ReviewReason.OUT_OF_DISTRIBUTION,)


def test_unusual_image_with_a_flag_stays_urgent() -> None:
    triaged = triage(scores(0.9, 0.995), [FLAG], POINT)

    assert triaged.priority is Priority.URGENT
    assert [flag.finding for flag in triaged.flags] == [Finding.PNEUMONIA]


@pytest.mark.parametrize("unusual", [float("nan"), float("inf")])
def test_score_that_is_no_number_is_noticed(unusual: float) -> None:
    assert not scores(0.1, unusual).is_finite
    assert scores(0.1, None).is_finite


@pytest.mark.parametrize(("abnormal", "unusual"), [(float("nan"), None), (0.1, float("nan"))])
def test_score_that_is_no_number_has_no_priority(abnormal: float, unusual: float | None) -> None:
    with pytest.raises(EngineFailed):
        triage(scores(abnormal, unusual), [FLAG], POINT)
    assert scores(0.1, 0.5).is_finite
