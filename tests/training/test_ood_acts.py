"""The act `ood` on a small folder of drawn chests: what it leaves behind, and that it repeats."""

from dataclasses import dataclass

import numpy as np
import pytest

from service.core.artifact import digest_of
from service.core.findings import FINDINGS, Finding
from service.core.inference import describe_first_view
from service.core.ood import OOD, read_detector
from tests.training.study_folders import quiet, tiny_config, write_manifest_folder
from training.acts.ood import run_ood
from training.acts.steps import Workplace, run_fit
from training.measures.results import load_record
from training.onnx_export import precisions_here
from training.ood.features import depth_channels
from training.ood.measure import OOD_EVALUATION, OodEvaluation
from training.ood.strangers import Group
from training.ood.tables import ood_tables
from training.scoring import load_run, torch_forward

COUNTS = {
    "train": dict.fromkeys(FINDINGS, 30),
    "val": {Finding.NORMAL: 120, Finding.PNEUMONIA: 100, Finding.TUBERCULOSIS: 100},
    "test": dict.fromkeys(FINDINGS, 8),
}
"""Enough patients in val to certify that at most 1 % go to review."""


@dataclass(frozen=True, slots=True)
class Done:
    """What the act left behind."""

    place: Workplace
    evaluation: OodEvaluation


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("ood")
    place = Workplace(write_manifest_folder(folder / "data", COUNTS), folder / "run", quiet())
    run_fit(place, tiny_config())
    return Done(place, run_ood(place, None))


def test_record_is_the_one_of_the_stored_detector(done: Done) -> None:
    body = (done.place.run / OOD).read_bytes()
    record = load_record(done.place.run, OOD_EVALUATION, OodEvaluation, "ood")

    assert record == done.evaluation
    assert record.detector_digest == digest_of(body)
    assert record.detector_bytes == len(body)
    assert record.weights_digest == load_run(done.place.run).weights_digest


def test_same_run_gives_the_same_detector(done: Done) -> None:
    before = (done.place.run / OOD).read_bytes()

    again = run_ood(done.place, None)

    assert (done.place.run / OOD).read_bytes() == before
    assert again.point == done.evaluation.point


def test_every_kind_is_measured_or_named_as_absent(done: Done) -> None:
    kinds = done.evaluation.kinds

    assert {kind.group for kind in kinds} == set(Group)
    for kind in kinds:
        assert (kind.alarms is None) == (kind.absent is not None)
    measured = [kind for kind in kinds if kind.alarms is not None]
    assert {"noise", "inverted", "gamma 0.6"} <= {kind.name for kind in measured}
    assert all(kind.auc is not None and 0 <= kind.auc.value <= 1 for kind in measured)


def test_pool_holds_what_is_no_chest_and_nothing_else(done: Done) -> None:
    strangers = [
        kind.alarms.images
        for kind in done.evaluation.kinds
        if kind.alarms is not None and kind.group is Group.NOT_A_CHEST
    ]

    assert done.evaluation.strangers.alarms.images == sum(strangers)


def test_blank_pictures_are_refused_before_the_network_looks(done: Done) -> None:
    (blank,) = (kind for kind in done.evaluation.kinds if kind.name == "blank")

    assert blank.alarms is not None
    assert blank.content_refused == blank.alarms.images


def test_false_alarms_are_counted_in_every_split(done: Done) -> None:
    evaluation = done.evaluation

    assert evaluation.validation["all"].images == 320
    assert evaluation.test["all"].images == 24
    assert evaluation.unknown_sources["all"].images == evaluation.training_images == 90
    assert evaluation.validation["all"].reviewed == evaluation.point.reviewed
    assert set(evaluation.test) == {"east", "west", "all"}


def test_engines_agree_within_the_tolerance_on_the_golden_uploads(done: Done) -> None:
    engines, point = done.evaluation.engines, done.evaluation.point

    assert set(engines) == {"torch f32", *(f"openvino {name}" for name in precisions_here())}
    assert engines["torch f32"].largest_difference < 1e-3
    assert engines["openvino f32"].largest_difference < 0.01
    assert point.distance_tolerance >= 0.25


def test_detector_scores_what_the_served_pipeline_sees(done: Done) -> None:
    run = load_run(done.place.run)
    detector = read_detector((done.place.run / OOD).read_bytes())
    noise = np.random.default_rng(0).random((4, 1, 64, 64), dtype=np.float32)

    described = describe_first_view(noise, torch_forward(run.network), run.recipe())

    assert described.shape[1] == sum(detector.depth_channels)
    assert detector.depth_channels == depth_channels(run.network, 64)
    assert (detector.scores(described) > 0.99).all()


def test_tables_show_every_kind(done: Done) -> None:
    tables = ood_tables(done.evaluation)

    rows = sum(table.row_count for table in tables[2:5])
    assert rows == len(done.evaluation.kinds)
