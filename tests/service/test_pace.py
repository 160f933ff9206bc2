"""How sure the pace is: what one waited, against what was expected of it."""

import pytest

from service.pace import LEAST_FACTOR, MOST_FACTOR, Doubt


def test_before_anything_was_seen_the_usual_margin_holds() -> None:
    assert Doubt().factor == pytest.approx(LEAST_FACTOR)


def test_waits_as_expected_leave_it_as_it_is() -> None:
    doubt = Doubt()

    for _ in range(500):
        doubt.note(1.0, 1.0)

    assert doubt.factor == LEAST_FACTOR


def test_waits_that_outlast_what_was_expected_raise_it_beyond_them() -> None:
    doubt = Doubt()

    for _ in range(100):
        doubt.note(3.0, 2.0)

    assert 1.5 < doubt.factor < MOST_FACTOR


def test_uneven_waits_raise_it_though_their_mean_is_as_expected() -> None:
    doubt = Doubt()

    for index in range(400):
        doubt.note(1.25 if index % 2 else 0.75, 1.0)

    assert doubt.factor > 1.5


def test_it_is_bounded_and_forgets() -> None:
    doubt = Doubt()
    for _ in range(200):
        doubt.note(60.0, 1.0)
    assert doubt.factor == MOST_FACTOR

    for _ in range(1000):
        doubt.note(1.0, 1.0)

    assert doubt.factor == pytest.approx(LEAST_FACTOR, abs=0.02)


def test_caution_fades_where_nothing_is_learnt() -> None:
    doubt = Doubt()
    for _ in range(100):
        doubt.note(3.0, 1.0)
    before = doubt.factor

    for _ in range(4096):
        doubt.fade()

    assert before == MOST_FACTOR
    assert doubt.factor == pytest.approx(LEAST_FACTOR, abs=0.01)
