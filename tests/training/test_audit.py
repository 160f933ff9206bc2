"""Each of the seven tests finds the fault that was planted, and passes a network without it."""

import numpy as np
import pytest

from service.core.artifact import AuditVerdict, MetricInterval
from service.core.findings import FINDINGS, Finding
from service.core.inference import Forward
from tests.training.audit_cases import (
    CORNER_CELLS,
    LUNG_CELLS,
    draw_dataset,
    known_lungs,
    make_studies,
    reader_of,
    seen_by,
)
from training.audit.attention_share import (
    judge_attention,
    label_shares,
    rank_correlation,
    share_inside,
)
from training.audit.hiding import HIDDEN, ONLY, WHOLE, judge_covering, judge_hiding
from training.audit.results import AuditTest, Terms, Trial, overall
from training.audit.scores import Seen, kept_share, log_odds, say_share
from training.audit.shortcuts import adjusted_area, judge_baseline, judge_strata
from training.audit.verdict import CORNERS, Exhibits, choose_images, gather, judge
from training.data.dataset import Dataset
from training.measures.results import Discrimination
from training.measures.statistics import Indices, Mask, Numbers, patient_draws

DRAWS = 60
STUDIES = make_studies(20)
HONEST = reader_of(LUNG_CELLS, 40.0)
CHEAT = reader_of(CORNER_CELLS, 40.0)


@pytest.fixture(scope="module")
def marked() -> Dataset:
    return draw_dataset(STUDIES, marked=Finding.PNEUMONIA)


@pytest.fixture(scope="module")
def plain() -> Dataset:
    return draw_dataset(STUDIES)


def exhibits_of(dataset: Dataset, reader: Forward, random: Forward = CHEAT) -> Exhibits:
    fields = known_lungs(dataset.studies)
    return gather(
        dataset,
        fields,
        lambda pixels, _: seen_by(reader, pixels),
        [lambda pixels, _: seen_by(random, pixels)],
    )


def hide(exhibits: Exhibits) -> AuditTest:
    seen = {name: one.probabilities_nf for name, one in exhibits.masked.items()}
    seen[WHOLE] = exhibits.whole.probabilities_nf
    return judge_hiding(STUDIES, exhibits.fields, seen, draws_of())


def cover(exhibits: Exhibits) -> AuditTest:
    covered = {name: one.probabilities_nf for name, one in exhibits.covered.items()}
    return judge_covering(STUDIES, exhibits.whole.probabilities_nf, covered, draws_of())


def draws_of() -> tuple[Indices, ...]:
    return patient_draws([study.patient_id for study in STUDIES], DRAWS, 1)


def value_of(test: AuditTest, where: str, what: str) -> MetricInterval:
    return next(m.value for m in test.measured if m.where == where and m.what == what)


def scores_of(probability: Numbers) -> Numbers:
    scores = np.zeros((len(probability), len(FINDINGS)))
    scores[:, FINDINGS.index(Finding.PNEUMONIA)] = probability
    scores[:, 0] = 1 - probability
    return scores


def is_ill() -> Mask:
    return np.array([study.finding is Finding.PNEUMONIA for study in STUDIES])


def test_a_network_that_reads_a_corner_marker_fails_the_covering(marked: Dataset) -> None:
    test = cover(exhibits_of(marked, CHEAT))

    assert test.verdict is AuditVerdict.FAIL
    fall = value_of(test, "east: pneumonia vs normal", f"fall of the AUC, {CORNERS} covered")
    assert fall.value > 0.2


def test_a_network_that_reads_lungs_passes_the_covering(marked: Dataset) -> None:
    test = cover(exhibits_of(marked, HONEST))

    assert test.verdict is AuditVerdict.PASS
    assert test.reasons == ()


def test_a_network_that_reads_a_marker_fails_with_the_lungs_hidden(marked: Dataset) -> None:
    test = hide(exhibits_of(marked, CHEAT))

    assert test.verdict is AuditVerdict.FAIL
    assert "lungs hidden" in test.reasons[0]


def test_a_network_that_reads_lungs_loses_without_them(plain: Dataset) -> None:
    test = hide(exhibits_of(plain, HONEST))

    where = "east: pneumonia vs normal"
    assert value_of(test, where, f"AUC, {WHOLE}").value > 0.95
    assert value_of(test, where, f"AUC, {ONLY}").value > 0.9
    # Drawn opacities reach beyond the drawn lungs, so a little is left to see.
    assert value_of(test, where, f"AUC, {HIDDEN}").value < 0.85
    assert test.verdict is not AuditVerdict.FAIL


def test_attention_in_the_lungs_passes_and_in_a_corner_fails(marked: Dataset) -> None:
    fields = known_lungs(marked.studies)
    honest, cheat = seen_by(HONEST, marked.pixels), seen_by(CHEAT, marked.pixels)

    passed = judge_attention(STUDIES, fields, honest, [cheat], draws_of())
    failed = judge_attention(STUDIES, fields, cheat, [honest], draws_of())

    assert passed.verdict is AuditVerdict.PASS
    assert failed.verdict is AuditVerdict.FAIL


def test_shares_are_of_positive_evidence_and_of_abnormal_images(marked: Dataset) -> None:
    fields = known_lungs(marked.studies)
    lungs = np.zeros((8, 8), np.bool_)
    lungs[:, :4] = True

    shares = label_shares(STUDIES, fields, seen_by(HONEST, marked.pixels))

    assert np.array_equal(np.isfinite(shares), is_ill())
    assert share_inside(np.full((8, 8), 2.0, np.float32), lungs) == pytest.approx(0.5)
    assert share_inside(np.where(lungs, 1, -5).astype(np.float32), lungs) == pytest.approx(1.0)
    assert np.isnan(share_inside(-np.ones((8, 8), np.float32), lungs))


def test_rank_correlation_knows_order_only() -> None:
    one = np.random.default_rng(0).random((6, 6)).astype(np.float32)

    assert rank_correlation(one, one**3) == pytest.approx(1.0)
    assert rank_correlation(one, -one) == pytest.approx(-1.0)
    assert rank_correlation(one, np.ones_like(one)) == 0.0


@pytest.mark.parametrize(
    ("baseline", "low", "verdict"),
    [
        (0.52, 0.3, AuditVerdict.PASS),
        (0.80, 0.1, AuditVerdict.WARN),
        (0.55, -0.1, AuditVerdict.WARN),
        (0.94, 0.0, AuditVerdict.FAIL),
    ],
)
def test_baseline_is_judged_by_what_it_reaches(
    baseline: float, low: float, verdict: AuditVerdict
) -> None:
    network = MetricInterval(value=0.95, low=0.9, high=0.98)
    reached = MetricInterval(value=baseline, low=baseline, high=baseline)
    difference = MetricInterval(value=0.95 - baseline, low=low, high=0.5)
    measured = Discrimination(20, 20, 40, network, network, reached, difference)

    test = judge_baseline({"east: pneumonia vs normal": measured, "normal vs rest": measured})

    assert test.verdict is verdict
    assert {one.where for one in test.measured} == {"east: pneumonia vs normal"}


def test_a_score_that_holds_in_every_stratum_passes() -> None:
    generator = np.random.default_rng(5)
    scores = scores_of(np.clip(0.8 * is_ill() + generator.uniform(0, 0.15, len(STUDIES)), 0, 1))

    test = judge_strata(STUDIES, scores, draws_of())

    assert test.verdict is AuditVerdict.PASS
    assert any("view AP" in measured.where for measured in test.measured)


def test_a_score_that_is_blind_in_one_view_is_caught() -> None:
    generator = np.random.default_rng(6)
    is_ap = np.array([study.view == "AP" for study in STUDIES])
    chance = generator.uniform(0, 1, len(STUDIES))
    scores = scores_of(np.where(is_ap, 1 - is_ill() * 0.9, 0.8 * is_ill() + 0.1 * chance))

    test = judge_strata(STUDIES, scores, draws_of())

    assert test.verdict is AuditVerdict.FAIL
    assert any("view AP" in reason for reason in test.reasons)


def test_adjusting_takes_what_the_view_alone_gives() -> None:
    views = ["AP"] * 40 + ["PA"] * 40
    positive = np.array(
        [number % 4 != 0 for number in range(40)] + [number % 4 == 0 for number in range(40)]
    )
    is_ap = np.array([float(view == "AP") for view in views])

    assert adjusted_area(is_ap, positive, views) == pytest.approx(0.5)
    assert adjusted_area(positive.astype(float), positive, views) == 1.0


def test_kept_share_is_of_what_lies_above_chance() -> None:
    assert kept_share(0.9, 0.7) == pytest.approx(0.5)
    assert np.isnan(kept_share(0.5, 0.7))


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.931, "93% is left"),
        (-1.79, "0% is left"),
        (float("nan"), "the AUC is not above 0.5, so no share of it can be told"),
    ],
)
def test_share_of_an_area_is_a_percentage_or_said_to_be_none(share: float, told: str) -> None:
    assert say_share(share, "{share} is left") == told


def test_objection_is_told_once_and_at_its_gravest() -> None:
    trial = Trial(Terms("1 one", "?", "."))
    trial.note("here", "AUC", MetricInterval(value=1, low=1, high=1), 1)
    for fails in (False, False, True, False):
        trial.object("it is so", fails=fails, warns=True)

    found = trial.conclude()

    assert found.verdict is AuditVerdict.FAIL
    assert found.reasons[0] == "it is so"
    assert len(found.reasons) == 2


def test_log_odds_are_against_normal() -> None:
    assert log_odds(np.array([[0.2, 0.6, 0.2]])) == pytest.approx(np.log([[3.0, 1.0]]))


def test_images_are_held_out_capped_and_chosen_whatever_the_order() -> None:
    chosen = choose_images(STUDIES, 7)

    assert len(chosen) == 7 * 4
    assert choose_images(STUDIES[::-1], 7) == chosen


def test_seven_tests_come_in_the_order_of_their_numbers(plain: Dataset) -> None:
    skipped = Trial(Terms("3 leave one source out", "", "")).skip("no fold was trained")

    tests = judge(exhibits_of(plain, HONEST), {}, skipped, DRAWS)

    assert [test.name[0] for test in tests] == list("1234567")
    assert tests[0].verdict is AuditVerdict.NOT_RUN


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ("pass pass", AuditVerdict.PASS),
        ("pass warn", AuditVerdict.WARN),
        ("pass not_run", AuditVerdict.WARN),
        ("warn fail", AuditVerdict.FAIL),
    ],
)
def test_the_worst_test_decides_and_not_run_is_not_passed(
    verdicts: str, expected: AuditVerdict
) -> None:
    tests = [AuditTest("", "", "", AuditVerdict(verdict), (), ()) for verdict in verdicts.split()]

    assert overall(tests) is expected


def test_seen_has_a_row_for_every_image(plain: Dataset) -> None:
    seen = seen_by(HONEST, plain.pixels)

    assert isinstance(seen, Seen)
    assert len(seen.probabilities_nf) == len(seen.attention_nfhw) == len(seen.features_nd) == 80
