"""A fold learns nothing from the source that it is measured on, and is trained once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.core.artifact import AuditVerdict
from service.core.findings import FINDINGS, Finding
from service.core.preprocess import PreprocessSpec
from tests.training.audit_cases import SIDE_PX, draw_dataset, make_studies
from tests.training.study_folders import tiny_config
from training.checkpoint import CHECKPOINT
from training.config import OptimiserConfig, RunConfig
from training.data.dataset import Dataset, subset
from training.data.studies import Split, Study
from training.measures.statistics import Numbers, patient_draws
from training.scoring import load_run
from training.search.transfer import (
    Transfer,
    fit_fold,
    images_without,
    is_complete,
    judge_transfer,
    leave_out_config,
    list_transferable,
    measure_transfer,
)

STUDIES = make_studies(12)
SMALL = OptimiserConfig(epochs=3, samples_per_epoch=16, batch_images=8)
CONFIG: RunConfig = tiny_config(
    optimiser=SMALL, preprocess=PreprocessSpec(side_px=SIDE_PX), members=4
)
DRAWS = 60


@pytest.fixture(scope="module")
def pool() -> Dataset:
    return draw_dataset(STUDIES)


def part_of(pool: Dataset, source: str) -> Dataset:
    return subset(pool, [study for study in pool.studies if study.source == source])


def part_studies(source: str) -> tuple[Study, ...]:
    return tuple(study for study in STUDIES if study.source == source)


def transfers_of(internal: Numbers, external: Numbers) -> tuple[Transfer, ...]:
    east = [study for study in STUDIES if study.source == "east"]
    draws = patient_draws([study.patient_id for study in east], DRAWS, 1)
    return measure_transfer(east, internal, external, draws, epochs=(2, 3), training_images=24)


def scores_of(sharpness: float) -> Numbers:
    """Of the images of one source; 1 separates them, 0 is chance."""
    truth = np.array([s.finding is Finding.PNEUMONIA for s in STUDIES if s.source == "east"])
    noise = np.random.default_rng(1).random(len(truth))
    scores = np.zeros((len(truth), len(FINDINGS)))
    scores[:, FINDINGS.index(Finding.PNEUMONIA)] = sharpness * truth + (1 - sharpness) * noise
    return scores


def test_a_fold_is_the_run_without_the_source() -> None:
    fold = leave_out_config(CONFIG, "east", epochs=2)

    assert fold.data.leave_out == ("east",)
    assert fold.optimiser.epochs == 2
    assert fold.members == 1
    assert fold.architecture is CONFIG.architecture
    assert leave_out_config(CONFIG, "east").optimiser == CONFIG.optimiser
    assert leave_out_config(CONFIG, "east", epochs=99).optimiser.epochs == SMALL.epochs


def test_sources_that_hold_both_sides_can_be_left_out() -> None:
    only_ill = [s for s in make_studies(12, ("north",)) if s.finding is Finding.PNEUMONIA]

    assert list_transferable([*STUDIES, *only_ill]) == ("east", "west")


def test_a_complete_fold_is_known_and_one_of_another_recipe_is_not(
    tmp_path: Path, pool: Dataset
) -> None:
    fold, west = leave_out_config(CONFIG, "east", epochs=1), part_of(pool, "west")
    assert not is_complete(fold, tmp_path)

    fit_fold(fold, train=west, val=west, folder=tmp_path)

    assert is_complete(fold, tmp_path)
    assert not is_complete(leave_out_config(CONFIG, "east", epochs=2), tmp_path)
    assert load_run(tmp_path).config.data.leave_out == ("east",)
    assert not (tmp_path / CHECKPOINT).exists()


def test_images_of_the_source_are_refused(tmp_path: Path, pool: Dataset) -> None:
    fold = leave_out_config(CONFIG, "east", epochs=1)

    with pytest.raises(ValueError, match="east"):
        fit_fold(fold, train=pool, val=part_of(pool, "west"), folder=tmp_path)


def test_a_network_that_holds_elsewhere_passes() -> None:
    test = judge_transfer(transfers_of(scores_of(1.0), scores_of(1.0)))

    assert test.verdict is AuditVerdict.PASS
    assert any("2 of 3 epochs, 24 training images" in m.what for m in test.measured)


def test_a_network_that_knows_nothing_elsewhere_fails() -> None:
    test = judge_transfer(transfers_of(scores_of(1.0), scores_of(0.0)))

    assert test.verdict is AuditVerdict.FAIL
    assert "pneumonia" in test.reasons[0]


def test_the_fall_is_internal_less_external_on_the_same_images() -> None:
    (found,) = transfers_of(scores_of(1.0), scores_of(0.3))

    assert found.positives == found.negatives == 12
    assert found.fall.value == pytest.approx(found.internal.value - found.external.value)
    assert found.fall.low <= found.fall.value <= found.fall.high


def test_a_source_alone_cannot_be_left_out_and_the_test_says_so() -> None:
    test = judge_transfer((), alone=["east"])

    assert images_without(part_studies("east"), leave_out_config(CONFIG, "east")) is None
    assert test.verdict is AuditVerdict.NOT_RUN
    assert "no source could be left out: without east" in test.reasons[0]


def test_a_source_that_cannot_be_left_out_beside_one_that_can_warns() -> None:
    test = judge_transfer(transfers_of(scores_of(1.0), scores_of(1.0)), alone=["west"])

    assert test.verdict is AuditVerdict.WARN
    assert "not left out: without west" in test.reasons[0]


def test_a_fold_needs_images_to_learn_from_and_to_choose_the_epoch_by() -> None:
    trained = tuple(replace(study, split=Split.TRAIN) for study in STUDIES)
    fold = leave_out_config(CONFIG, "east")

    assert images_without(trained, fold) is None
    kept = images_without((*trained, *STUDIES), fold)
    assert kept is not None
    assert {study.source for part in kept for study in part} == {"west"}


def test_name_of_a_source_may_hold_a_colon() -> None:
    assert list_transferable(make_studies(12, ("site: a", "site: b"))) == ("site: a", "site: b")


def test_folds_that_were_not_trained_are_not_passed() -> None:
    test = judge_transfer((), skipped="no time")

    assert test.verdict is AuditVerdict.NOT_RUN
    assert test.reasons == ("no time",)
