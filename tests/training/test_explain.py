"""The panel is fixed, its numbers are those of the maps, and drawn weights give other maps."""

import cv2
import numpy as np
import pytest
import torch

from service.core.artifact import AuditVerdict, MetricInterval
from service.core.findings import FINDINGS, Finding
from service.core.network import Architecture, TriageNetwork, build_network
from tests.training.audit_cases import (
    CORNER_CELLS,
    LUNG_CELLS,
    RECIPE,
    SPEC,
    draw_dataset,
    known_lungs,
    make_studies,
    reader_of,
    seen_by,
)
from training.audit.randomise import cascade, randomise
from training.audit.scores import look_at
from training.data.dataset import Dataset
from training.data.studies import Split
from training.explain import (
    TILE_PX,
    choose_panel,
    draw_sheet,
    explain,
    judge_correlation,
    shown_for,
)
from training.scoring import torch_forward

STUDIES = make_studies(8)
DIGEST = "sha256:" + "1" * 64


@pytest.fixture(scope="module")
def panel() -> Dataset:
    return draw_dataset(choose_panel(STUDIES, 2))


@pytest.fixture
def network() -> TriageNetwork:
    torch.manual_seed(3)
    built = build_network(Architecture.TINY, findings=len(FINDINGS))
    torch.nn.init.normal_(built.head.weight)
    return built.eval()


def test_panel_is_of_test_images_and_does_not_depend_on_the_order() -> None:
    chosen = choose_panel(STUDIES, 2)

    assert len(chosen) == 2 * 4
    assert {study.split for study in chosen} == {Split.TEST}
    assert choose_panel(STUDIES[::-1], 2) == chosen


def test_val_images_stand_in_where_there_is_no_test_image() -> None:
    val = [study for study in STUDIES if study.split is Split.VAL]

    assert {study.split for study in choose_panel(val, 2)} == {Split.VAL}


def test_a_map_that_does_not_depend_on_weights_fails(panel: Dataset) -> None:
    fields = known_lungs(panel.studies)
    seen = seen_by(reader_of(LUNG_CELLS, 10.0), panel.pixels)

    same = explain(panel, fields, seen, {"head": seen}, weights_digest=DIGEST, split_digest=DIGEST)

    assert same.verdict is AuditVerdict.FAIL
    assert same.correlation["head"].value == pytest.approx(1.0)


def test_shares_of_the_panel_are_those_of_the_maps(panel: Dataset) -> None:
    fields = known_lungs(panel.studies)
    seen = seen_by(reader_of(LUNG_CELLS, 10.0), panel.pixels)
    other = seen_by(reader_of(CORNER_CELLS, 10.0), panel.pixels)

    found = explain(
        panel, fields, seen, {"head": other}, weights_digest=DIGEST, split_digest=DIGEST
    )

    ill = [one for one in found.panel if one.finding == Finding.PNEUMONIA]
    assert len(ill) == 4
    for one in ill:
        assert one.share_inside_lungs is not None
        assert one.lungs_share_of_picture is not None
        assert one.share_inside_lungs > one.lungs_share_of_picture
        assert one.shown == Finding.PNEUMONIA
        assert set(one.rank_correlation) == {"head"}


def test_sheet_has_a_cell_for_each_image(panel: Dataset) -> None:
    fields = known_lungs(panel.studies)
    seen = seen_by(reader_of(LUNG_CELLS, 10.0), panel.pixels)
    found = explain(panel, fields, seen, {"head": seen}, weights_digest=DIGEST, split_digest=DIGEST)

    body = draw_sheet(panel, fields, seen, found)

    sheet = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert sheet is not None
    assert sheet.shape[1] == 8 * TILE_PX
    assert sheet.shape[0] > 2 * TILE_PX
    assert np.ptp(sheet, axis=2).max() > 100


@pytest.mark.parametrize(
    ("value", "high", "verdict"),
    [
        (0.1, 0.2, AuditVerdict.PASS),
        (0.35, 0.45, AuditVerdict.WARN),
        (0.8, 0.9, AuditVerdict.FAIL),
    ],
)
def test_correlation_is_judged(value: float, high: float, verdict: AuditVerdict) -> None:
    assert judge_correlation(MetricInterval(value=value, low=0.0, high=high)) is verdict


def test_normal_images_show_what_speaks_for_pneumonia() -> None:
    assert {shown_for(study) for study in STUDIES} == {Finding.PNEUMONIA}


def test_cascade_draws_from_the_head_down_and_keeps_the_rest(
    network: TriageNetwork, panel: Dataset
) -> None:
    steps = dict(cascade(network, SPEC, panel.pixels, seed=1))

    assert list(steps) == ["head", "2", "0"]
    stem = network.state_dict()["backbone.0.weight"]
    assert torch.equal(steps["2"].state_dict()["backbone.0.weight"], stem)
    assert not torch.equal(steps["0"].state_dict()["backbone.0.weight"], stem)
    assert not torch.equal(steps["head"].head.weight, network.head.weight)


def test_drawing_anew_is_repeatable_and_leaves_the_network_alone(
    network: TriageNetwork, panel: Dataset
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()

    first, second, other = (randomise(network, SPEC, panel.pixels, seed=seed) for seed in (1, 1, 2))

    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("architecture", [Architecture.TINY, Architecture.EFFICIENTNET_LITE0])
def test_a_drawn_network_still_tells_images_apart(
    architecture: Architecture, panel: Dataset
) -> None:
    built = build_network(architecture, findings=len(FINDINGS)).eval()

    drawn = randomise(built, SPEC, panel.pixels, seed=1)

    seen = look_at(panel.pixels, torch_forward(drawn), RECIPE)
    assert np.isfinite(seen.attention_nfhw).all()
    assert np.ptp(seen.attention_nfhw, axis=0).max() > 1e-4
