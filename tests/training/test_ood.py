"""The detector is fitted on training images only, and its thresholds keep what they promise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.core.findings import Finding
from service.core.ood import OodPoint, read_detector, write_detector
from training.data.lots import one_per_patient
from training.data.studies import Split, Study
from training.measures.statistics import positives_needed
from training.ood.features import FeatureSet
from training.ood.fitting import (
    KNOTS,
    REVIEW_RATIO,
    VIEWS,
    VIEWS_PER_SOURCE,
    DetectorRefused,
    check_counts,
    choose_point,
    fit_detector,
    share_high,
    unknown_source_distances,
)
from training.ood.measure import Measured, alarms_by_source, compare_distances
from training.tune import FLAG_SENSITIVITIES, REFER_SENSITIVITIES

CHANNELS = (12, 30)
SOURCES = ("east", "west", "north")
WEIGHTS = "sha256:" + "a" * 64
MIXING = np.random.default_rng(9).normal(size=(42, 42)) / 6


def features_of(generator: np.random.Generator, images: int, source: int) -> np.ndarray:
    """Correlated channels around a mean of the source's own."""
    place = 0.3 * np.random.default_rng(source).normal(size=42)
    return (generator.normal(size=(images, 42)) @ MIXING + place).astype(np.float32)


def draw_set(seed: int, images: int, split: Split) -> FeatureSet:
    """Images of three sources, each of its own patient."""
    generator = np.random.default_rng(seed)
    parts = [features_of(generator, images, number) for number in range(len(SOURCES))]
    studies = tuple(
        Study(f"{split}-{source}-{n}.png", Finding.NORMAL, split, source, f"{split}-{source}-{n}")
        for source in SOURCES
        for n in range(images)
    )
    return FeatureSet(studies, np.concatenate(parts))


TRAIN, VAL, TEST = (
    draw_set(1, 1200, Split.TRAIN),
    draw_set(2, 500, Split.VAL),
    draw_set(3, 3000, Split.TEST),
)
DETECTOR = fit_detector(TRAIN, VAL, CHANNELS)


def point_of(train: FeatureSet = TRAIN, validation: FeatureSet = VAL) -> OodPoint:
    return choose_point(
        DETECTOR, train, train, validation, weights_digest=WEIGHTS, distance_tolerance=0.1
    )


def test_score_is_the_share_of_new_radiographs_that_are_less_unusual() -> None:
    scores = DETECTOR.scores(TEST.features_nd)

    for share in (0.1, 0.5, 0.9, 0.99):
        assert (scores < share).mean() == pytest.approx(share, abs=0.03)


def test_certified_share_of_new_radiographs_goes_to_review() -> None:
    point = point_of()

    scores = DETECTOR.scores(TEST.features_nd)

    assert (scores >= point.review_threshold).mean() <= REVIEW_RATIO
    assert (scores >= point.refuse_threshold).mean() <= 0.001
    assert point.reviewed <= REVIEW_RATIO * point.radiographs
    assert point.refused_ratio_high < 0.01


def test_stranger_is_refused() -> None:
    point = point_of()
    strange = np.random.default_rng(0).normal(0, 1, (50, 42)).astype(np.float32) * 3

    assert (DETECTOR.scores(strange) >= point.refuse_threshold).all()


def test_stranger_at_one_depth_only_is_found() -> None:
    changed = TEST.features_nd[:20].copy()
    changed[:, :12] += 8

    assert DETECTOR.scores(changed).min() > 0.999


def test_radiographs_of_an_unknown_source_lie_further_out_than_known_ones() -> None:
    known = DETECTOR.distances(TRAIN.features_nd)

    unknown = unknown_source_distances(TRAIN, TRAIN, VAL, CHANNELS)

    assert np.isfinite(unknown).all()
    assert np.median(unknown) > np.median(known)


def test_refusal_is_certified_where_every_source_was_unknown_once() -> None:
    point = point_of()
    unknown = DETECTOR.rank(unknown_source_distances(TRAIN, TRAIN, VAL, CHANNELS))

    assert (unknown >= point.refuse_threshold).mean() <= 0.001
    assert "certified on 3600 training patients" in point.method


def test_refusal_that_cannot_be_certified_says_so_and_refuses_no_known_radiograph() -> None:
    few = TRAIN.spaced(900)

    point = point_of(train=few)

    assert "not certified" in point.method
    assert point.refused == 0


def test_one_source_alone_has_no_unknown_one() -> None:
    east, val = TRAIN.of(TRAIN.is_of("east")), VAL.of(VAL.is_of("east"))

    unknown = unknown_source_distances(east, east, val, CHANNELS)

    expected = fit_detector(east, val, CHANNELS).distances(east.features_nd)
    assert unknown == pytest.approx(expected)


def test_too_few_patients_certify_nothing() -> None:
    with pytest.raises(DetectorRefused, match="certify"):
        point_of(validation=VAL.spaced(250))


def test_too_few_radiographs_fit_nothing() -> None:
    with pytest.raises(DetectorRefused, match="needs"):
        fit_detector(TRAIN.spaced(20), VAL, CHANNELS)


def test_several_images_of_a_patient_count_once_whatever_their_score() -> None:
    studies = [replace(VAL.studies[n], patient_id=f"p{n % 7}") for n in range(50)]

    chosen = one_per_patient(studies)

    assert chosen.size == 7
    assert np.array_equal(chosen, one_per_patient(studies))


def test_constant_channels_do_no_harm() -> None:
    train, val = (
        FeatureSet(known.studies, known.features_nd * (np.arange(42) != 5))
        for known in (TRAIN, VAL)
    )

    distances = fit_detector(train, val, CHANNELS).distances(val.features_nd)

    assert np.isfinite(distances).all()


def test_fitted_detector_survives_the_file() -> None:
    body = write_detector(DETECTOR)

    again = read_detector(body)

    assert len(body) < 1_500_000
    assert np.array_equal(again.scores(TEST.features_nd), DETECTOR.scores(TEST.features_nd))


def test_upper_limit_of_a_share_is_exact() -> None:
    assert share_high(0, 2995) == pytest.approx(0.001, abs=1e-6)
    assert share_high(5, 5) == 1


def test_false_alarms_are_told_by_source() -> None:
    measured = Measured(DETECTOR, point_of(), DETECTOR.distances(TEST.features_nd))

    alarms = alarms_by_source(measured.known, TEST, measured)

    assert set(alarms) == {*SOURCES, "all"}
    assert alarms["all"].images == 9000
    assert sum(alarms[source].reviewed for source in SOURCES) == alarms["all"].reviewed


def test_engine_that_differs_is_told() -> None:
    measured = Measured(DETECTOR, point_of(), DETECTOR.distances(TEST.features_nd))

    same = compare_distances(measured, TEST.features_nd, TEST.features_nd)
    other = compare_distances(measured, TEST.features_nd, TEST.features_nd * 3)

    assert (same.largest_difference, same.other_side) == (0, 0)
    assert other.other_side > 0


def test_enough_radiographs_are_enough() -> None:
    check_counts(TRAIN.studies, VAL.studies)


def test_fewest_radiographs_are_those_that_the_fit_and_the_bound_need() -> None:
    train, validation = draw_set(1, 5, Split.TRAIN), draw_set(2, 100, Split.VAL).studies

    check_counts(train.studies, validation[:299])
    with pytest.raises(DetectorRefused, match="298 validation patients of 299"):
        check_counts(train.studies, validation[:298])
    with pytest.raises(DetectorRefused, match="14 training images of 15 needed"):
        check_counts(train.studies[:14], validation)
    views = train.beside(train)
    point = choose_point(
        fit_detector(views, draw_set(2, 100, Split.VAL), CHANNELS), views, train,
        draw_set(2, 100, Split.VAL), weights_digest=WEIGHTS, distance_tolerance=0.1,
    )  # fmt: skip
    assert point.patients == 300


def test_a_source_that_is_nearly_all_there_is_leaves_too_few_beside_it() -> None:
    large, small = TRAIN.of(TRAIN.is_of("east")), TRAIN.of(TRAIN.is_of("west"))

    with pytest.raises(DetectorRefused, match="4 training images beside those of the largest"):
        check_counts((*large.studies, *small.studies[:4]), VAL.studies)


def test_images_of_a_patient_count_once_before_anything_is_fitted() -> None:
    shared = [replace(study, patient_id=study.source) for study in VAL.studies]

    with pytest.raises(DetectorRefused, match="3 validation patients of 299"):
        check_counts(TRAIN.studies, shared)


def test_page_of_training_names_the_numbers_that_are_needed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    patients, images = positives_needed(1 - REVIEW_RATIO, 0), KNOTS
    a_source = VIEWS_PER_SOURCE // VIEWS
    flags = [positives_needed(target, 0) for target in FLAG_SENSITIVITIES.values()]
    refer = [positives_needed(target, 0) for target in REFER_SENSITIVITIES]

    assert f"{patients} patients and {images} images in val; in train {a_source} images" in page
    assert f"a flag for pneumonia | {flags[0]} patients" in page
    assert f"a flag for tuberculosis | {flags[1]} patients" in page
    assert "{}, {} or {} patients with the finding in val".format(*refer) in page
