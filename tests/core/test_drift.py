"""One scanner changes: noticed, dated, typed, explained; and forgotten once it is mended."""

import numpy as np
import pytest

from service.core.drift import WINDOW_IMAGES, Detector, Track
from service.core.drift_cause import CAUSES, OTHER_PATIENTS, WORDS, describe_moves, find_cause
from service.core.drift_scalars import Levels, Scalar
from service.core.drift_typing import ShiftKind
from tests.support.drift import SCALARS, measure, small_reference, stream

DAY_SECONDS = 86_400.0


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(small_reference())


def feed(detector: Detector, track: Track, images: list[Levels], start: float = 0.0) -> None:
    for number, values in enumerate(images):
        detector.update(track, values, start + number)


def changed(detector: Detector, shift: str, count: int = 80) -> Track:
    """A scanner that was well for 60 images, and then changed."""
    track = detector.start()
    feed(detector, track, stream(60))
    feed(detector, track, stream(count, first=2000, shift=shift), DAY_SECONDS)
    return track


def test_unchanged_scanner_is_silent(detector: Detector) -> None:
    track = detector.start()

    feed(detector, track, stream(150))

    assert detector.alarm(track) is None


def test_whether_there_is_an_alarm_is_told_without_naming_it(detector: Detector) -> None:
    track = detector.start()
    for number, values in enumerate(stream(60) + stream(40, first=2000, shift="invert")):
        detector.update(track, values, float(number))
        assert detector.is_alarmed(track) == (detector.alarm(track) is not None)

    assert detector.is_alarmed(track)


@pytest.mark.parametrize("shift", ["invert", "grey_levels:64"])
def test_gross_change_is_noticed_within_fifteen_images(detector: Detector, shift: str) -> None:
    track = changed(detector, shift, count=15)

    assert detector.alarm(track) is not None


def test_of_many_scalars_at_the_cap_the_one_that_moved_most_is_named(detector: Detector) -> None:
    alarm = detector.alarm(changed(detector, "border:0.05"))

    assert alarm is not None
    assert alarm.scalar is Scalar.RAW_BORDER


def test_sum_that_had_wandered_before_does_not_date_the_change(detector: Detector) -> None:
    alarm = detector.alarm(changed(detector, "dead_columns:3"))

    assert alarm is not None
    assert alarm.since_image == 61


def test_alarm_says_since_when(detector: Detector) -> None:
    track = changed(detector, "invert")

    alarm = detector.alarm(track)

    assert alarm is not None
    assert alarm.since_image == pytest.approx(61, abs=6)
    assert detector.since_seconds(track).max() >= alarm.since_seconds
    assert alarm.since_seconds > 50


@pytest.mark.parametrize(
    ("shift", "cause"),
    [("gamma:1.25", "gamma"), ("blur:1", "blur"), ("invert:1", "invert"), ("unsharp:1", "unsharp")],
)
def test_change_is_typed_and_named(detector: Detector, shift: str, cause: str) -> None:
    track = changed(detector, shift)
    alarm = detector.alarm(track)
    assert alarm is not None

    diagnosis = detector.diagnose(track, alarm)

    assert diagnosis.verdict.kind is ShiftKind.COVARIATE
    assert diagnosis.cause.name == cause
    assert diagnosis.cause.words.startswith(diagnosis.cause.told)
    assert diagnosis.cause.told in CAUSES
    assert diagnosis.cause.sensitivity["tuberculosis"] < 0


def test_prevalence_alone_is_typed_as_prevalence(detector: Detector) -> None:
    track = detector.start()
    feed(detector, track, [measure(seed, finding=2) for seed in range(3000, 3150)])
    alarm = detector.alarm(track)
    assert alarm is not None

    diagnosis = detector.diagnose(track, alarm)

    assert alarm.scalar in (Scalar.SCORE_TUBERCULOSIS, Scalar.SCORE_PNEUMONIA)
    assert diagnosis.verdict.kind is ShiftKind.PREVALENCE
    assert diagnosis.verdict.prevalence["tuberculosis"] > 0.8
    assert diagnosis.cause.told == OTHER_PATIENTS


def test_few_images_leave_the_kind_undecided(detector: Detector) -> None:
    track = changed(detector, "invert", count=12)
    alarm = detector.alarm(track)
    assert alarm is not None

    assert detector.diagnose(track, alarm).verdict.kind is ShiftKind.UNDECIDED


def test_mended_scanner_is_silent_again(detector: Detector) -> None:
    track = changed(detector, "invert")

    feed(detector, track, stream(160, first=5000))

    assert detector.alarm(track) is None


def test_window_distances_rise_with_the_change(detector: Detector) -> None:
    well = detector.start()
    feed(detector, well, stream(120))

    ill = changed(detector, "gamma:0.7", count=WINDOW_IMAGES)

    mean = SCALARS.index(Scalar.RAW_MEAN)
    for before, after in zip(detector.distances(well), detector.distances(ill), strict=True):
        assert after[mean] > 3 * before[mean]


def test_shift_like_none_of_the_known_ones_is_told_by_its_scalars() -> None:
    reference = small_reference()
    moved = np.zeros(len(SCALARS))
    moved[SCALARS.index(Scalar.RAW_BORDER)] = 2.0

    cause = find_cause(reference.header, reference.signatures, moved)

    assert cause.shift is None
    assert cause.name == "unknown"
    assert cause.words == "more black border"
    assert cause.told in CAUSES


def test_every_scalar_has_its_words() -> None:
    assert set(WORDS) == set(Scalar)
    assert describe_moves((Scalar.RAW_NOISE,), np.array([0.1])) == ""
