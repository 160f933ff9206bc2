"""The benchmark measures a model on patients that its reference, and its developers, never saw."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.drift_pool import CLEAN, SHIFTS, Half, Plan, Pool, measure_pool, split_studies
from service.core.artifact import Artifact, load_current
from service.core.findings import FINDINGS
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.training.study_folders import write_manifest_folder
from training.data import index_studies
from training.drift.reference import Effort

COUNTS = {split: dict.fromkeys(FINDINGS, 8) for split in ("train", "val", "test")}
EFFORT = Effort(training_per_group=3, signature_images=2, streams=20, run_images=100)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = write_manifest_folder(tmp_path_factory.mktemp("pool") / "data", COUNTS)
    return Plan(folder, EFFORT, images=6, shown=2, tuning_images=8)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return load_current(build_tiny_artifact(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "pool.npz"


@pytest.fixture(scope="module")
def pool(plan: Plan, artifact: Artifact, cache: Path) -> Pool:
    return measure_pool(plan, artifact, cache)


def test_reference_development_and_judgement_have_patients_of_their_own(plan: Plan) -> None:
    studies = index_studies(plan.data)

    chosen, judged = split_studies(studies, replace(plan, images=99))
    _, tuned = split_studies(studies, replace(plan, images=99, half=Half.TUNE))

    parts = [{s.patient_id for s in part} for part in (chosen.studies, judged, tuned)]
    assert all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_every_shift_is_measured_on_some_of_the_images(pool: Pool) -> None:
    scalars = len(pool.reference.header.scalars)

    assert pool.values[CLEAN].shape == (6, scalars)
    assert {pool.values[shift].shape for shift in SHIFTS} == {(2, scalars)}
    assert pool.weights.sum() == pytest.approx(1)
    assert pool.shown_weights.sum() == pytest.approx(1)
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
