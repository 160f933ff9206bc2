"""`audit` and `explain` on a tiny run: folds, files, and the refusal to mix runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from service.core.artifact import AuditVerdict
from service.core.findings import Finding
from tests.training.study_folders import quiet, tiny_config, write_manifest_folder
from training.acts.audit import AuditOptions, run_audit, run_explain
from training.acts.steps import Workplace, run_evaluate, run_fit, run_tune
from training.audit.results import AUDIT, Audit
from training.audit.tables import audit_tables
from training.checkpoint import WEIGHTS
from training.data.studies import Split
from training.explain import EXPLANATION, SHEET, Explanation
from training.measures.results import (
    EVALUATION,
    TUNING,
    Evaluation,
    RunIncomplete,
    Tuning,
    dump_record,
    file_digest,
    load_record,
)

COUNTS = {
    split: {Finding.NORMAL: 14, Finding.PNEUMONIA: 14, Finding.TUBERCULOSIS: 12}
    for split in ("train", "val", "test")
}
OPTIONS = AuditOptions(fold_epochs=1, images_per_group=10, draws=30, altered_images=6)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("audited")
    data = write_manifest_folder(folder / "data", COUNTS)
    place = Workplace(data, folder / "run", quiet())
    run_fit(place, tiny_config())
    run_tune(place, None)
    run_evaluate(place, None, Split.TEST, 30)
    return place


@pytest.fixture(scope="module")
def audited(place: Workplace) -> Audit:
    return run_audit(place, None, OPTIONS)


def test_audit_is_written_and_bound_to_the_run(place: Workplace, audited: Audit) -> None:
    tuning = load_record(place.run, TUNING, Tuning, "tune")

    assert load_record(place.run, AUDIT, Audit, "audit") == audited
    assert audited.weights_digest == tuning.weights_digest == file_digest(place.run / WEIGHTS)
    assert audited.config_digest == tuning.config_digest
    assert audited.split_digest == tuning.split_digest
    assert audited.tuning_digest == file_digest(place.run / TUNING)


def test_all_seven_tests_were_run(audited: Audit) -> None:
    assert [test.name[0] for test in audited.tests] == list("1234567")
    assert all(test.measured for test in audited.tests)
    assert all(test.criterion for test in audited.tests)
    assert audited.verdict in (AuditVerdict.PASS, AuditVerdict.WARN, AuditVerdict.FAIL)
    assert audited.images["east"]["normal"] == 10


def test_folds_learned_nothing_from_the_source_and_say_how_long(
    place: Workplace, audited: Audit
) -> None:
    transfer = audited.tests[2]

    assert (place.run / "without-east" / WEIGHTS).is_file()
    assert (place.run / "without-west" / WEIGHTS).is_file()
    assert any("1 of 3 epochs, 20 training images" in m.what for m in transfer.measured)


def test_a_second_audit_uses_the_folds_again_and_finds_the_same(
    place: Workplace, audited: Audit
) -> None:
    weights = place.run / "without-east" / WEIGHTS
    before = weights.stat().st_mtime_ns

    again = run_audit(place, None, OPTIONS)

    assert weights.stat().st_mtime_ns == before
    assert again == audited


def test_without_folds_the_audit_cannot_pass(place: Workplace) -> None:
    found = run_audit(place, None, replace(OPTIONS, with_folds=False))

    assert found.tests[2].verdict is AuditVerdict.NOT_RUN
    assert found.verdict is not AuditVerdict.PASS


def test_tables_show_every_test(audited: Audit) -> None:
    titles = [str(table.title) for table in audit_tables(audited)]

    assert str(audited.verdict) in titles[0]
    assert sum(title[:1].isdigit() for title in titles) == 7


def test_evaluation_of_another_tuning_is_refused(place: Workplace, tmp_path: Path) -> None:
    other = tmp_path / "run"
    other.mkdir()
    for path in place.run.iterdir():
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes())
    evaluation = load_record(other, EVALUATION, Evaluation, "evaluate")
    stale = replace(evaluation, tuning_digest="sha256:" + "0" * 64)
    (other / EVALUATION).write_bytes(dump_record(stale))

    with pytest.raises(RunIncomplete, match="another tuning"):
        run_audit(replace(place, run=other), None, OPTIONS)


def test_explain_writes_the_panel_and_the_sheet(place: Workplace) -> None:
    explanation = run_explain(place, None, 2)

    assert load_record(place.run, EXPLANATION, Explanation, "explain") == explanation
    assert (place.run / SHEET).read_bytes().startswith(b"\x89PNG")
    assert len(explanation.panel) == 2 * 2 * 3
    assert list(explanation.correlation) == ["head", "2", "0"]
    assert "first 2 test images" in explanation.rule
