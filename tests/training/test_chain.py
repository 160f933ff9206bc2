"""fit -> tune -> evaluate -> release on small folders of drawn chests, in both layouts."""

from pathlib import Path

import numpy as np
import pytest
from openvino import Core
from PIL import Image

from service.core.artifact import Purpose, load_artifact, load_current
from service.core.findings import FINDINGS, Finding
from service.core.golden import read_golden
from service.core.precision import Precision
from service.core.self_test import self_test
from tests.training.chains import DRAWS, NOTE, Chain, copy_run, run_chain
from tests.training.study_folders import CERTIFIABLE, FEW, tiny_config, write_class_folders
from training.acts.steps import run_evaluate
from training.checkpoint import WEIGHTS
from training.data.studies import Split
from training.measures.results import EVALUATION, RunIncomplete
from training.onnx_export import openvino_forward, precisions_here
from training.scoring import load_run, torch_forward

FIGURES = {"confusion.png", "reliability.png", "roc.png", "roc_sources.png", "scores.png"}


def test_class_folders_go_through_the_whole_chain(tmp_path: Path) -> None:
    counts = {**FEW, "val": CERTIFIABLE["val"]}
    chain = run_chain(tmp_path, write_class_folders(tmp_path / "chests", counts), tiny_config())

    assert chain.evaluation.images == {"chests": dict.fromkeys(FINDINGS, 12)}
    assert load_current(chain.version.store).reference == "cxr-tiny/0.0.1"


def test_released_files_verify_and_current_serves_them(chain: Chain) -> None:
    artifact = load_current(chain.version.store)

    assert artifact.digest == chain.artifact.digest
    assert set(artifact.files) >= FIGURES | {WEIGHTS, EVALUATION, "MODEL_CARD.md"}
    assert artifact.files[WEIGHTS] == (chain.place.run / WEIGHTS).read_bytes()


def test_golden_scores_are_repeated_by_torch_and_by_openvino(chain: Chain) -> None:
    artifact = load_artifact(chain.version.folder)
    onnx_body = artifact.files["model.onnx"]
    engines = [torch_forward(load_run(chain.place.run).network)]
    engines += [openvino_forward(onnx_body, precision) for precision in precisions_here()]

    differences = [self_test(artifact, forward) for forward in engines]

    assert differences[0] < 1e-5
    assert differences[1] < 1e-4
    assert max(differences) <= artifact.manifest.tolerance.probability


def test_tolerance_is_within_its_bounds(chain: Chain) -> None:
    assert 0.01 <= chain.artifact.manifest.tolerance.probability <= 0.05


def test_golden_uploads_give_different_answers(chain: Chain) -> None:
    golden = read_golden(chain.artifact.files["golden.npz"])

    assert len(golden.uploads) >= 4
    assert np.ptp(golden.probabilities, axis=0).max() > 0.05


def test_thresholds_are_certified_where_positives_suffice(chain: Chain) -> None:
    points = {
        (point.finding, point.purpose): point for point in chain.artifact.manifest.operating_points
    }

    assert points[Finding.TUBERCULOSIS, Purpose.FLAG].threshold is not None
    assert points[Finding.PNEUMONIA, Purpose.FLAG].threshold is None
    assert {point.weights_digest for point in points.values()} == {
        chain.artifact.manifest.files[WEIGHTS].sha256
    }


def test_network_learns_the_drawn_findings(chain: Chain) -> None:
    assert chain.evaluation.macro_auc.network.value > 0.8


def test_evaluation_compares_with_the_baseline_within_each_source(chain: Chain) -> None:
    asked = chain.evaluation.discrimination

    assert {
        "pneumonia vs rest",
        "east: pneumonia vs normal",
        "west: tuberculosis vs normal",
    } <= set(asked)
    for found in asked.values():
        assert found.network.low <= found.network.value <= found.network.high
        gap = found.network.value - found.baseline.value
        assert found.difference.value == pytest.approx(gap)


def test_every_image_is_counted_once(chain: Chain) -> None:
    evaluation = chain.evaluation
    images = sum(CERTIFIABLE["test"].values())

    assert sum(map(sum, evaluation.confusion)) == images
    assert sum(sum(counts.values()) for counts in evaluation.priorities.values()) == images
    assert sum(part.images for part in evaluation.calibration["normal"].bins) == images


def test_engines_that_serve_agree_with_the_reference(chain: Chain) -> None:
    engines = chain.evaluation.engines

    assert set(engines) == {f"openvino {precision}" for precision in precisions_here()}
    assert engines["openvino f32"].largest_difference < 1e-4
    assert engines["openvino f32"].other_priority == 0
    assert all(engine.largest_difference < 0.05 for engine in engines.values())


def test_release_bears_no_format_that_its_cpu_did_not_compute(chain: Chain) -> None:
    computed = set()
    for precision in Precision:
        options = {"INFERENCE_PRECISION_HINT": precision.value}
        model = Core().read_model(chain.artifact.files["model.onnx"], b"")
        done_in = Core().compile_model(model, "CPU", options)
        element = done_in.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        computed.add(Precision(element))

    assert set(precisions_here()) == computed
    assert set(chain.artifact.manifest.tolerance.precisions) <= computed
    is_told = any("bf16 was not measured" in text for text in chain.evaluation.caveats)
    assert is_told == (Precision.BF16 not in computed)


def test_strata_name_age_sex_and_view(chain: Chain) -> None:
    names = {stratum.name.split()[0] for stratum in chain.evaluation.strata}

    assert names == {"age", "sex", "view"}


def test_predictive_values_are_given_at_four_prevalences(chain: Chain) -> None:
    flag = next(r for r in chain.evaluation.points if r.point.finding is Finding.TUBERCULOSIS)

    assert [at.prevalence for at in flag.prevalence] == [0.30, 0.10, 0.05, 0.01]


def test_figures_are_pictures_that_show_something(chain: Chain) -> None:
    for name in FIGURES:
        with Image.open(chain.version.folder / name) as picture:
            levels = np.asarray(picture.convert("L"))
        assert min(levels.shape) > 300
        assert np.unique(levels).size > 20


def test_model_card_holds_numbers_limits_and_licences(chain: Chain) -> None:
    card = (chain.version.folder / "MODEL_CARD.md").read_text()
    macro = chain.evaluation.macro_auc.network

    assert f"{macro.value:.3f} ({macro.low:.3f} to {macro.high:.3f})" in card
    for words in (
        "Not a medical device",
        "none certifiable",
        "east",
        "not_run",
        "trivial baseline",
        "The training began with random weights.",
        f"- {NOTE}",
    ):
        assert words in card


def test_tuning_of_other_weights_is_not_evaluated(chain: Chain, tmp_path: Path) -> None:
    place = copy_run(chain.place, tmp_path)
    weights = bytearray((place.run / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (place.run / WEIGHTS).write_bytes(weights)

    with pytest.raises(RunIncomplete, match="cxr-train tune"):
        run_evaluate(place, None, Split.TEST, DRAWS)
