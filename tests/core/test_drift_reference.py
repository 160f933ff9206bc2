"""The drift reference of a model: read back as written, and refused if it is anything else."""

import io

import numpy as np
import pytest
import scipy.special

from service.core.drift_reference import (
    DRIFT_REFERENCE,
    Standardiser,
    find_reference,
    read_reference,
    write_reference,
)
from service.core.drift_scalars import Scalar
from service.core.drift_series import Series
from service.core.errors import ArtifactInvalid
from tests.support.drift import SCALARS, SHIFTS, small_reference, stream


def test_reference_is_read_back_as_written() -> None:
    reference = small_reference()

    found = read_reference(write_reference(reference))

    assert found.header == reference.header
    np.testing.assert_array_equal(found.values, reference.values)
    np.testing.assert_array_equal(found.limits, reference.limits)
    np.testing.assert_array_equal(found.signatures, reference.signatures)


def test_version_without_a_reference_has_none() -> None:
    assert find_reference({}) is None
    assert find_reference({DRIFT_REFERENCE: write_reference(small_reference())}) is not None


def tamper(name: str, value: object) -> bytes:
    """A reference one array of which is replaced."""
    with np.load(io.BytesIO(write_reference(small_reference()))) as arrays:
        changed = {**arrays, name: value}
    buffer = io.BytesIO()
    np.savez(buffer, **changed)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not an archive",
        tamper("limits", np.zeros((2, 3))),
        tamper("findings", np.zeros(3, np.int8)),
        tamper("header", np.frombuffer(b"{}", np.uint8)),
        tamper("values", np.full((240, len(SCALARS)), np.nan, np.float32)),
        tamper("values", np.array([{"a": 1}], dtype=object)),
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ArtifactInvalid, match=DRIFT_REFERENCE):
        read_reference(body)


def test_reference_images_are_standard_normal_in_their_own_scale() -> None:
    reference = small_reference()
    scale = Standardiser(reference.values)

    z = scale.standardise(reference.values)

    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
    assert (z.std(axis=0) <= 1 + 1e-6).all()


def test_far_outlier_moves_a_sum_by_a_few_sigma_only() -> None:
    scale = Standardiser(small_reference().values)
    far = stream(1)[0].copy()
    far[SCALARS.index(Scalar.RAW_NOISE)] = 1e6

    assert scale.standardise(far).max() < 5


def test_z_is_the_normal_score_of_the_rank_between_equal_values_too() -> None:
    values = np.array([[1.0], [2.0], [2.0], [4.0], [np.nan]], np.float32)
    scale = Standardiser(values)
    ranks = np.array([0.5, 0.5, 1, 2, 3, 3.5, 3.5]) / 4
    asked = np.array([[0.0], [1.0], [1.5], [2.0], [3.0], [4.0], [9.0]], np.float32)

    found = scale.standardise(asked)[:, 0]

    scores = scipy.special.ndtri(ranks)
    reference = scipy.special.ndtri(np.array([0.5, 2, 2, 3.5]) / 4)
    np.testing.assert_allclose(found, (scores - reference.mean()) / reference.std())
    assert np.isnan(scale.standardise(values)[-1]).all()


def test_series_are_standard_on_the_reference_and_need_the_model_input() -> None:
    reference = small_reference()
    series = Series(SCALARS, reference.values, reference.signatures)
    z = series.scale.standardise(reference.values)

    followed = series.follow(z)

    assert followed.shape == (len(z), len(reference.limits))
    known = followed[:, ~np.isnan(followed).all(axis=0)]
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-6)
    assert (known.std(axis=0) < 1 + 1e-6).all()
    z[0, SCALARS.index(Scalar.INPUT_MEAN)] = np.nan
    assert np.isnan(series.follow(z)[0, len(SCALARS) :]).all()


def test_series_of_a_known_change_answers_to_that_change_most() -> None:
    reference = small_reference()
    series = Series(SCALARS, reference.values, reference.signatures)
    changed = np.stack(stream(30, shift="gamma:1.25"))

    moved = series.follow(series.scale.standardise(changed)).mean(axis=0)[2 * len(SCALARS) :]

    assert SHIFTS[int(moved.argmax())] == "gamma:1.25"
