"""What the model card and the report say of patients and thresholds is so of the data at hand."""

from dataclasses import replace

from training.card.data import quoted, scope_parts
from training.card.limits import audit_limits, detector_limits
from training.card.page import NO_THRESHOLD, _rates
from training.card.sections import prevalences_part
from training.evaluate import ONE_SOURCE, SEVERAL_SOURCES, say_external
from training.measures.results import Evaluation, Tuning
from training.report.html import write_html_report
from training.report.patients import patient_lines


def with_sources(tuning: Tuning, *sources: str) -> Tuning:
    return replace(tuning, training_images={source: {"normal": 1} for source in sources})


def test_data_whose_patients_are_all_told_are_proved(
    tuning: Tuning, evaluation: Evaluation
) -> None:
    (line,) = patient_lines(tuning, evaluation)

    assert line == "No patient that a manifest, a tag or a file name tells is in two splits."


def test_images_of_unknown_patients_are_counted(tuning: Tuning, evaluation: Evaluation) -> None:
    _, line = patient_lines(replace(tuning, patients_unproved={"east": 3, "west": 4}), evaluation)

    assert "Of 7 training and validation images nothing tells the patient (east 3, west 4)" in line


def test_tuning_of_before_they_were_counted_claims_nothing(
    tuning: Tuning, evaluation: Evaluation
) -> None:
    _, line = patient_lines(replace(tuning, patients_unproved=None), evaluation)

    assert "was not counted" in line


def test_collections_that_may_share_patients_are_named(
    tuning: Tuning, evaluation: Evaluation
) -> None:
    _, nih, shenzhen = patient_lines(with_sources(tuning, "qatar_kaggle"), evaluation)

    assert "Images of qatar_kaggle (normal) may be of patients of nih" in nih
    assert "qatar_kaggle (normal, tuberculosis) may be of patients of shenzhen128" in shenzhen


def test_report_holds_what_the_card_says_of_patients_and_scope(
    tuning: Tuning, evaluation: Evaluation
) -> None:
    page = write_html_report(evaluation, replace(tuning, patients_unproved={"east": 3}))

    assert "nothing tells the patient (east 3)" in page
    assert "threshold is not certified for the intended use (ages from 18)" in page
    assert "no patient is in two splits" not in page


def test_thresholds_that_children_certify_are_quoted_in_bold(tuning: Tuning) -> None:
    *_, table, quotation = scope_parts(tuning)

    assert "| point | in scope | outside | age unknown |" in table
    assert quotation.startswith("> **The pneumonia refer threshold is not certified for")
    assert quoted("") == ()


def test_tuning_of_before_positives_were_counted_has_no_such_part(tuning: Tuning) -> None:
    assert scope_parts(replace(tuning, positives_in_scope=())) == ()


def test_no_table_stands_where_nothing_can_be_flagged() -> None:
    assert _rates([]) == NO_THRESHOLD
    assert prevalences_part([]) == ()


def test_what_was_not_looked_for_is_a_limit() -> None:
    (told,) = detector_limits(None, None)

    assert "`cxr-train ood` was not run" in told
    assert audit_limits(None) == ()


def test_caveat_is_that_of_one_source_or_of_several(evaluation: Evaluation) -> None:
    assert evaluation.caveats[0] == SEVERAL_SOURCES
    assert ONE_SOURCE not in evaluation.caveats


def test_external_are_the_sources_that_nothing_was_learned_from(evaluation: Evaluation) -> None:
    assert "nothing here is external validation" in evaluation.caveats[1]
    assert "the numbers of north, west alone" in say_external(["west", "north", "east"], {"east"})
