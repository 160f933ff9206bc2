"""For whom a threshold is certified, and whether the temperature beside it was found inside."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from service.core.artifact import Purpose
from service.core.findings import ABNORMAL, FINDINGS, Finding
from tests.training.test_tune import WEIGHTS_DIGEST, make_scores, make_studies
from training.data.studies import Study
from training.measures.results import PositivesInScope
from training.measures.scope import count_positives_in_scope, scope_notes
from training.measures.temperature import TEMPERATURES, at_bound_note
from training.measures.warnings import untaught_notes
from training.tune import fit_temperature, tune_finding

PER_FINDING = 200


def aged(ages: Mapping[int, float | None], every: int, patients_of: int = 1) -> tuple[Study, ...]:
    """The age of a study is that of its place among every so many."""
    return tuple(
        replace(study, age_years=ages[number % every])
        for number, study in enumerate(make_studies(PER_FINDING, patients_of))
    )


def counted(studies: tuple[Study, ...]) -> tuple[PositivesInScope, ...]:
    probabilities_nf = make_scores(studies).probabilities(1.0)
    return tuple(
        count_positives_in_scope(point, probabilities_nf, studies)
        for finding in ABNORMAL
        for point in tune_finding(finding, probabilities_nf, studies, WEIGHTS_DIGEST)
    )


def test_positives_are_counted_by_the_ages_of_the_intended_use() -> None:
    found = counted(aged({0: 17.9, 1: 18.0, 2: None, 3: 3.0, 4: 80.0}, every=5))

    assert [(one.finding, one.purpose) for one in found] == [
        (finding, purpose) for finding in ABNORMAL for purpose in (Purpose.FLAG, Purpose.REFER)
    ]
    assert {(one.in_scope, one.outside, one.age_unknown) for one in found} == {(80, 80, 40)}


def test_each_patient_counts_once() -> None:
    flag, *_ = counted(aged({0: 40.0}, every=1, patients_of=4))

    assert flag.in_scope == PER_FINDING // 4


def test_threshold_that_children_certify_is_not_certified_for_adults() -> None:
    flag, *_ = counted(aged({0: 40.0} | dict.fromkeys(range(1, 10), 4.0), every=10))
    (told,) = scope_notes([flag])

    assert (flag.in_scope, flag.outside, flag.needed) == (20, 180, 99)
    assert flag.is_given
    assert not flag.is_certified
    assert "pneumonia flag threshold is not certified for the intended use (ages from 18)" in told
    assert "of the 200 patients that certify it 20 are known to be of that age" in told
    assert "99 would be needed, if none were missed" in told


def test_ages_that_nobody_tells_certify_nothing_for_adults() -> None:
    found = counted(aged({0: None}, every=1))

    assert not any(one.is_certified for one in found)
    assert all(f"of {PER_FINDING} nothing tells the age" in told for told in scope_notes(found))


def test_adults_who_are_enough_and_are_found_certify_for_adults() -> None:
    found = counted(aged({0: 40.0}, every=1))

    assert all(one.is_certified and one.missed == one.misses_allowed for one in found)
    assert scope_notes(found) == ()


def test_adults_who_are_missed_too_often_do_not_certify_for_adults() -> None:
    studies = aged({0: 40.0, 1: 4.0}, every=2)
    probabilities_nf = np.where([[s.age_years == 4.0] for s in studies], 0.9, 0.1) * np.ones(3)
    points = tune_finding(Finding.PNEUMONIA, probabilities_nf, studies, WEIGHTS_DIGEST)
    point = points[0].model_copy(update={"threshold": 0.5})

    found = count_positives_in_scope(point, probabilities_nf, studies)

    assert (found.in_scope, found.missed) == (100, 100)
    assert not found.is_certified
    assert f"misses 100 of them, and {found.misses_allowed} may be" in scope_notes([found])[0]


def test_point_without_a_threshold_promises_nobody_anything() -> None:
    found = counted(aged({0: 40.0}, every=1, patients_of=10))

    assert not any(one.is_given or one.is_certified for one in found)
    assert scope_notes(found) == ()


def test_finding_that_nothing_was_learned_of_is_told() -> None:
    (told,) = untaught_notes({"east": {"normal": 3, "pneumonia": 2}, "west": {"tuberculosis": 0}})

    assert "No training image is labelled tuberculosis" in told
    assert untaught_notes({"east": dict.fromkeys(FINDINGS, 1)}) == ()


@pytest.mark.parametrize("sharpness", [1e-3, 1e3])
def test_temperature_at_the_bound_of_its_search_is_told(sharpness: float) -> None:
    temperature = fit_temperature(make_scores(make_studies(PER_FINDING), sharpness))

    assert min(abs(np.log(temperature / bound)) for bound in TEMPERATURES) < 1e-2
    assert f"The temperature of {temperature:.3f} lies at the bound" in at_bound_note(temperature)
    assert "(0.05 to 20): calibration did not converge inside" in at_bound_note(temperature)


def test_temperature_where_the_loss_is_flat_stops_short_of_the_bound_and_is_told() -> None:
    # Of a network whose scores were all alike.
    assert "lies at the bound" in at_bound_note(19.790)


@pytest.mark.parametrize("temperature", [0.06, 0.641, 1.0, 18.0])
def test_temperature_inside_its_search_needs_no_word(temperature: float) -> None:
    assert at_bound_note(temperature) == ""
