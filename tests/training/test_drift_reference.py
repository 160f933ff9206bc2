"""A run's images -> the drift reference that its release carries."""

from collections import Counter
from pathlib import Path

import pytest

from service.core.drift import Detector
from service.core.drift_reference import Reference
from service.core.drift_scalars import Scalar, Stage
from service.core.drift_shifts import parse_shift
from service.core.findings import FINDINGS, Finding
from service.core.inference import Recipe
from service.core.tta import TtaView
from tests.support.tiny_network import SPEC, build_onnx, draw_weights, reference_forward
from tests.training.study_folders import write_manifest_folder
from training.data.index import index_studies
from training.data.studies import Split, Study
from training.drift.reference import Effort, TooFewImages, build_reference, choose_studies
from training.drift.signatures import Subject

COUNTS = {split: dict.fromkeys(FINDINGS, 6) for split in ("train", "val", "test")}
CREATED = "2025-01-01T00:00:00+00:00"
EFFORT = Effort(
    training_per_group=5, held_out_per_group=2, signature_images=3, streams=20, run_images=100
)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = write_manifest_folder(tmp_path_factory.mktemp("drift") / "data", COUNTS)
    shifts = (parse_shift("invert:1"), parse_shift("blur:1"))
    subject = Subject(
        reference_forward(build_onnx(draw_weights(0))),
        Recipe(SPEC, (TtaView.IDENTITY,), 1.0),
        shifts=shifts,
    )
    chosen = choose_studies(of_training(folder), EFFORT)
    return build_reference(folder, chosen, subject, EFFORT, created=CREATED)


def of_training(folder: Path) -> list[Study]:
    """Studies that a run may learn from."""
    studies = index_studies(folder)
    return [study for study in studies if study.split is not Split.TEST]


def test_trained_images_borrow_their_scores_from_held_out_ones(reference: Reference) -> None:
    scalars = reference.header.scalars
    scores = reference.values[:, scalars.index(Scalar.SCORE_PNEUMONIA)]

    assert len(scores) == 12 + 18
    assert set(scores[12:].tolist()) <= set(scores[:12].tolist())
    assert {name.stage for name in scalars} == set(Stage)
    assert sum(reference.header.sources.values()) == pytest.approx(1)


def test_signature_of_inversion_turns_the_polarity(reference: Reference) -> None:
    header = reference.header
    place = header.scalars.index(Scalar.RAW_POLARITY)

    assert header.shifts == ("invert:1", "blur:1")
    assert reference.signatures[0, place] < -1


def test_reference_serves_a_detector(reference: Reference) -> None:
    detector = Detector(reference)
    track = detector.start()

    detector.update(track, reference.values[0], 1.0)

    assert detector.ratios(track).shape == (len(reference.header.scalars),)
    assert (detector.ratios(track) < 1).all()


def test_no_group_is_drawn_beyond_its_share(tmp_path: Path) -> None:
    counts = {"train": dict.fromkeys(FINDINGS, 3), "val": {Finding.NORMAL: 9}}
    folder = write_manifest_folder(tmp_path / "data", counts)

    chosen = choose_studies(of_training(folder), EFFORT)

    groups = Counter((study.source, study.finding) for study in chosen.held_out)
    assert set(groups.values()) == {2}
    assert len(chosen.trained) == 9
    assert set(chosen.shown) <= set(chosen.held_out)


def test_without_validation_images_there_is_no_reference(tmp_path: Path) -> None:
    folder = write_manifest_folder(tmp_path / "data", {"train": dict.fromkeys(FINDINGS, 3)})

    with pytest.raises(TooFewImages, match="validation"):
        choose_studies(of_training(folder), EFFORT)
