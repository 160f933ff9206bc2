"""Out of distribution, from the artifact to the answer, the row and the metrics."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from service.batch_scoring import score_each
from service.cli import app
from service.core.artifact import load_artifact, load_current
from service.core.errors import ArtifactInvalid, EngineFailed, SelfTestFailed
from service.core.inference import recipe_of, score_batch
from service.core.ood import OOD
from service.engine.loading import open_engine
from service.logs import set_up_logs
from service.record import Outcome
from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.detectors import TinyDetector
from tests.support.engines import radiograph, scores_of
from tests.support.models import (
    TinyChoices,
    build_files,
    build_tiny_artifact,
    describe,
    write_version,
)
from tests.support.radiographs import dicom_bytes, png_bytes
from tests.support.tiny_network import (
    SPEC,
    build_onnx,
    chest_pixels,
    draw_weights,
    reference_forward,
)

ALWAYS_REVIEW = TinyDetector(review_threshold=0.0, refuse_threshold=1.0)
ALWAYS_REFUSE = TinyDetector(review_threshold=0.0, refuse_threshold=0.0)
NEVER = TinyDetector(review_threshold=1.0, refuse_threshold=1.0)


def store_of(folder: Path, detector: TinyDetector | None) -> Path:
    """A store whose only version has this detector."""
    return build_tiny_artifact(folder / "store", TinyChoices(detector=detector))


@pytest.fixture
async def wary(tmp_path: Path) -> AsyncIterator[OpenApp]:
    """A service that finds every image unusual."""
    store = store_of(tmp_path, ALWAYS_REVIEW)
    async with open_app(tiny_settings(store, tmp_path)) as opened:
        yield opened


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[OpenApp]:
    """A service that refuses every image."""
    store = store_of(tmp_path, ALWAYS_REFUSE)
    async with open_app(tiny_settings(store, tmp_path)) as opened:
        yield opened


async def test_answer_states_how_unusual_the_image_is(tmp_path: Path) -> None:
    settings = tiny_settings(store_of(tmp_path, NEVER), tmp_path)
    async with open_app(settings) as service:
        answer = (await service.client.post("/predict", content=png_bytes())).json()

    assert 0 <= answer["uncertainty"]["out_of_distribution"] <= 1
    assert "OUT_OF_DISTRIBUTION" not in [warning["code"] for warning in answer["warnings"]]


async def test_model_without_a_detector_states_nothing(tiny_store: Path, tmp_path: Path) -> None:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as service:
        answer = (await service.client.post("/predict", content=png_bytes())).json()

    assert answer["status"] == "evaluated"
    assert answer["uncertainty"]["out_of_distribution"] is None


async def test_unusual_image_is_never_routine_and_carries_a_warning(wary: OpenApp) -> None:
    answer = (await wary.client.post("/predict", content=png_bytes())).json()
    metrics = (await wary.client.get("/metrics")).text

    assert answer["status"] == "evaluated"
    assert answer["triage"]["priority"] != "routine"
    assert "OUT_OF_DISTRIBUTION" in [warning["code"] for warning in answer["warnings"]]
    assert 'cxr_warnings_total{code="OUT_OF_DISTRIBUTION"} 1.0' in metrics
    assert "cxr_out_of_distribution_ratio_count 1.0" in metrics


async def test_what_is_no_chest_is_not_evaluated(strict: OpenApp) -> None:
    answer = (await strict.client.post("/predict", content=dicom_bytes())).json()
    metrics = (await strict.client.get("/metrics")).text

    (logged,) = strict.runtime.record.reader.rows()
    assert (answer["status"], answer["reason"]) == ("not_evaluated", "NOT_A_CHEST")
    assert answer["probabilities"] is None
    assert answer["triage"] is None
    assert (logged.entry.outcome, logged.entry.reason) == (Outcome.NOT_EVALUATED, "NOT_A_CHEST")
    assert 'cxr_not_evaluated_total{reason="NOT_A_CHEST"} 1.0' in metrics
    assert "cxr_out_of_distribution_ratio_count 0.0" in metrics


@pytest.mark.parametrize(
    ("detector", "outcome"),
    [(ALWAYS_REVIEW, Outcome.EVALUATED), (ALWAYS_REFUSE, Outcome.NOT_EVALUATED)],
    ids=["evaluated", "refused"],
)
async def test_row_holds_how_unusual_the_image_was(
    tmp_path: Path, detector: TinyDetector, outcome: Outcome
) -> None:
    store = store_of(tmp_path, detector)
    async with open_app(tiny_settings(store, tmp_path)) as service:
        await service.client.post("/predict", content=png_bytes())
        (logged,) = service.runtime.record.reader.rows()

    assert logged.entry.outcome is outcome
    assert logged.entry.out_of_distribution is not None
    assert 0 <= logged.entry.out_of_distribution <= 1


async def test_no_map_is_drawn_of_what_is_no_chest(strict: OpenApp) -> None:
    response = await strict.client.post("/explain", content=png_bytes())

    assert response.status_code == 422
    assert response.json()["code"] == "NOT_EVALUATED"


async def test_shadow_mode_tells_nothing_and_counts_no_warning(tmp_path: Path) -> None:
    lines = io.StringIO()
    set_up_logs("debug", lines)
    settings = tiny_settings(store_of(tmp_path, ALWAYS_REVIEW), tmp_path, mode="shadow")
    async with open_app(settings) as service:
        answer = (await service.client.post("/predict", content=png_bytes())).json()
        metrics = (await service.client.get("/metrics")).text
        (logged,) = service.runtime.record.reader.rows()

    assert set(answer) == {"id", "mode", "notice"}
    assert 'cxr_warnings_total{code="OUT_OF_DISTRIBUTION"} 0.0' in metrics
    assert "cxr_out_of_distribution_ratio_count 0.0" in metrics
    assert "OUT_OF_DISTRIBUTION" not in lines.getvalue()
    assert "OUT_OF_DISTRIBUTION" in logged.entry.cautions


def test_command_line_refuses_what_is_no_chest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_MODEL__STORE", str(store_of(tmp_path, ALWAYS_REFUSE)))
    (tmp_path / "a.png").write_bytes(png_bytes())

    result = CliRunner().invoke(app, ["predict", "--json", str(tmp_path / "a.png")])

    (line,) = (json.loads(text) for text in result.stdout.splitlines())
    assert (line["status"], line["code"]) == ("not_evaluated", "NOT_A_CHEST")
    assert line["priority"] is None


def test_command_line_states_how_unusual_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_MODEL__STORE", str(store_of(tmp_path, ALWAYS_REVIEW)))
    (tmp_path / "a.png").write_bytes(png_bytes())

    result = CliRunner().invoke(app, ["predict", "--json", str(tmp_path / "a.png")])

    (line,) = (json.loads(text) for text in result.stdout.splitlines())
    assert 0 <= line["out_of_distribution"] <= 1
    assert "OUT_OF_DISTRIBUTION" in line["warnings"]


def test_self_test_repeats_the_golden_distances(tmp_path: Path) -> None:
    artifact = load_current(store_of(tmp_path, NEVER))

    open_engine(artifact, engine="openvino").close()


def test_detector_of_another_network_fails_the_self_test(tmp_path: Path) -> None:
    artifact = load_current(store_of(tmp_path, replace(NEVER, golden_offset=1.0)))

    with pytest.raises(SelfTestFailed, match="distances"):
        open_engine(artifact, engine="openvino")


def test_detector_for_other_features_is_no_score() -> None:
    forward = reference_forward(build_onnx(draw_weights(0)))
    narrow = NEVER.fit(np.ones((6, 25), np.float32))
    narrower = replace(narrow, depths=narrow.depths[:1])
    recipe = replace(TinyChoices().recipe, detector=narrower)

    with pytest.raises(ValueError, match="features"):
        score_batch(chest_pixels(), forward, recipe)


def test_damaged_detector_is_refused(tmp_path: Path) -> None:
    choices = TinyChoices(detector=NEVER)
    files = build_files(choices) | {OOD: b"no detector"}
    artifact = write_version(tmp_path, describe(choices, files), files)

    with pytest.raises(ArtifactInvalid, match=r"ood\.npz"):
        recipe_of(artifact)


@pytest.mark.parametrize("changes", [{"out_of_distribution": None}, {"files": None}])
def test_thresholds_and_detector_go_together(tmp_path: Path, changes: dict[str, None]) -> None:
    choices = TinyChoices(detector=NEVER)
    files = build_files(choices)
    manifest = describe(choices, files)
    others = {name: entry for name, entry in manifest.files.items() if name != OOD}
    lacking = manifest.model_copy(update=changes if "files" not in changes else {"files": others})

    with pytest.raises(ArtifactInvalid, match=r"ood\.npz"):
        write_version(tmp_path, lacking, files)


def test_thresholds_for_other_weights_are_refused(tmp_path: Path) -> None:
    choices = TinyChoices(detector=NEVER)
    files = build_files(choices)
    manifest = describe(choices, files)
    other = NEVER.point("sha256:" + "1" * 64)

    with pytest.raises(ArtifactInvalid, match="weights"):
        write_version(tmp_path, manifest.model_copy(update={"out_of_distribution": other}), files)


def test_score_that_is_no_number_fails_its_radiograph_alone() -> None:
    usual, broken = scores_of(1), replace(scores_of(2), out_of_distribution=float("nan"))

    outcomes = score_each(lambda batch: [usual, broken], [radiograph(1), radiograph(2)])

    assert outcomes[0] is usual
    assert isinstance(outcomes[1], EngineFailed)


def test_released_model_without_a_detector_still_loads() -> None:
    folder = Path(__file__).parents[2] / "model_store" / "cxr-triage" / "0.1.0"

    artifact = load_artifact(folder)

    assert artifact.manifest.out_of_distribution is None
    assert recipe_of(artifact).detector is None


def test_unusual_features_give_a_high_score(tmp_path: Path) -> None:
    artifact = load_current(store_of(tmp_path, NEVER))
    forward = reference_forward(build_onnx(draw_weights(0)))
    recipe = recipe_of(artifact)

    chests = score_batch(chest_pixels(), forward, recipe)
    checkerboard = np.indices((SPEC.side_px, SPEC.side_px)).sum(axis=0) % 2
    strange = score_batch(checkerboard[None, None].astype(np.float32), forward, recipe)[0]

    assert strange.out_of_distribution is not None
    assert strange.out_of_distribution > max(one.out_of_distribution or 0 for one in chests)
