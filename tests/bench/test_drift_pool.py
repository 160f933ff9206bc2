"""The benchmark measures a model on patients that its reference, and its developers, never saw."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.drift_patients import Half, Plan, split_studies
from bench.drift_pool import CLEAN, SHIFTS, Pool, measure_pool
from service.core.artifact import Artifact, load_current
from service.core.drift_scalars import Scalar
from service.core.findings import FINDINGS
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.training.study_folders import write_manifest_folder
from training.data.index import index_studies
from training.data.studies import Split, Study
from training.drift.reference import Effort

COUNTS = {split: dict.fromkeys(FINDINGS, 8) for split in ("train", "val", "test")}
EFFORT = Effort(training_per_group=3, signature_images=2, streams=20, run_images=100)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = write_manifest_folder(tmp_path_factory.mktemp("pool") / "data", COUNTS)
    return Plan(folder, EFFORT, images=6, shown=2)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return load_current(build_tiny_artifact(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "pool.npz"


@pytest.fixture(scope="module")
def pool(plan: Plan, artifact: Artifact, cache: Path) -> Pool:
    return measure_pool(plan, artifact, cache)


def test_to_judge_reference_and_streams_change_their_patients(plan: Plan) -> None:
    studies = index_studies(plan.data)
    everybody = replace(plan, images=99, effort=replace(EFFORT, training_per_group=99))

    of_tuning, tuned = split_studies(studies, replace(everybody, half=Half.TUNE))
    of_judging, judged = split_studies(studies, everybody)

    assert patients(of_tuning.studies).isdisjoint(patients(tuned.studies))
    assert patients(judged.studies) == patients(of_tuning.studies)
    assert patients(tuned.studies) == patients(of_judging.studies)
    assert {study.split for study in judged.held_out} == {Split.VAL, Split.TEST}


def test_image_that_was_trained_on_borrows_its_scores_in_a_stream_too(pool: Pool) -> None:
    scores = pool.values[CLEAN][:, pool.reference.header.scalars.index(Scalar.SCORE_PNEUMONIA)]

    assert len(scores) == 6 + 12
    assert len(np.unique(scores[:6])) == 6
    assert set(scores[6:].tolist()) <= set(scores[:6].tolist())


def patients(studies: Sequence[Study]) -> set[str]:
    return {study.patient_id for study in studies}


def test_every_shift_is_measured_on_some_of_the_images(pool: Pool) -> None:
    scalars = len(pool.reference.header.scalars)

    assert pool.values[CLEAN].shape == (18, scalars)
    assert pool.flags[CLEAN].shape[0] == len(pool.unseen_weights) == 6
    assert {pool.values[shift].shape for shift in SHIFTS} == {(2, scalars)}
    for weights in (pool.weights, pool.unseen_weights, pool.shown_weights):
        assert weights.sum() == pytest.approx(1)
    assert not np.array_equal(pool.values["invert:1"], pool.values[CLEAN][:2])


def test_cache_is_used_for_the_same_model_and_plan_alone(
    pool: Pool, plan: Plan, artifact: Artifact, cache: Path, tmp_path: Path
) -> None:
    nowhere = replace(plan, data=tmp_path)
    other = load_current(build_tiny_artifact(tmp_path / "store", TinyChoices(seed=5)))

    again = measure_pool(nowhere, artifact, cache)

    np.testing.assert_array_equal(again.values[CLEAN], pool.values[CLEAN])
    for changed, model in ((nowhere, other), (replace(nowhere, shown=3), artifact)):
        with pytest.raises(ValueError, match="no studies"):
            measure_pool(changed, model, cache)
