"""An earlier release scores the images of an evaluation as it scored requests."""

from pathlib import Path

import numpy as np
import pytest

from service.core.artifact import ONNX, WEIGHTS, load_artifact
from service.core.errors import DigestMismatch
from service.core.inference import recipe_of, score_batch
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.training.study_folders import FEW, write_manifest_folder
from training.data.dataset import load_dataset
from training.data.index import index_studies
from training.data.studies import Split, select
from training.onnx_export import openvino_forward
from training.previous import score_previous


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return build_tiny_artifact(tmp_path / "store", TinyChoices(temperature=2.5)) / "tiny" / "0.0.1"


def test_release_is_scored_with_its_own_recipe(release: Path, tmp_path: Path) -> None:
    data = write_manifest_folder(tmp_path / "data", FEW)
    studies = select(index_studies(data), Split.TEST)
    artifact = load_artifact(release)
    recipe, forward = recipe_of(artifact), openvino_forward(artifact.files[ONNX], "f32")
    dataset = load_dataset(data, studies, recipe.preprocess)
    served = score_batch(dataset.pixels, forward, recipe)
    told: list[int] = []

    found = score_previous(release, data, studies, told.append)

    expected = np.stack([scores.probabilities for scores in served])
    assert found.probabilities_nf == pytest.approx(expected, abs=1e-4)
    assert found.name == "tiny/0.0.1"
    assert found.digest == artifact.digest
    assert found.points == artifact.manifest.operating_points
    assert sum(told) == 2 * len(studies)


def test_release_with_changed_weights_is_not_compared_with(release: Path, tmp_path: Path) -> None:
    body = bytearray((release / WEIGHTS).read_bytes())
    body[-1] ^= 1
    (release / WEIGHTS).write_bytes(body)

    with pytest.raises(DigestMismatch, match=WEIGHTS):
        score_previous(release, tmp_path, ())
