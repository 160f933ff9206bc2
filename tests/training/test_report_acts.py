"""The report of a run folder, and the simulation as a command prints it."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.training.study_folders import quiet
from training.acts.report import run_simulate, write_report
from training.data.studies import Split
from training.measures.results import (
    EVALUATION,
    TUNING,
    Evaluation,
    RunIncomplete,
    Tuning,
    dump_record,
    file_digest,
)
from training.search.recipes import SEARCH, Fold, Search


def write_run(folder: Path, tuning: Tuning, evaluation: Evaluation) -> Path:
    """A run folder as `tune` and `evaluate` leave it."""
    (folder / TUNING).write_bytes(dump_record(tuning))
    record = json.loads(dump_record(evaluation))
    record["tuning_digest"] = file_digest(folder / TUNING)
    (folder / EVALUATION).write_text(json.dumps(record))
    return folder


def test_report_stands_beside_the_evaluation(
    tmp_path: Path, tuning: Tuning, evaluation: Evaluation
) -> None:
    run = write_run(tmp_path, tuning, evaluation)

    path = write_report(run, Split.TEST)

    assert path == run / "report.html"
    assert f"Evaluation of {run.name}" in path.read_text()
    assert "Confounding audit" not in path.read_text()


def test_what_other_acts_left_is_in_the_report(
    tmp_path: Path, tuning: Tuning, evaluation: Evaluation
) -> None:
    run = write_run(tmp_path, tuning, evaluation)
    (run / "audit.json").write_text('{"verdict": "warn", "checks": [{"name": "corner boxes"}]}')
    folds = tuple(
        Fold("densenet-mild", "", seed, "nih", 100, 60.0, 0.5, {"a: b": 0.9}, {"nih: p": area})
        for seed, area in ((1, 0.61), (2, 0.65))
    )
    (run / SEARCH).write_bytes(dump_record(Search(folds)))

    page = write_report(run, Split.TEST).read_text()

    for words in ("Confounding audit", "corner boxes", "Recipe search", "densenet-mild", "0.630"):
        assert words in page


def test_report_of_another_tuning_is_refused(
    tmp_path: Path, tuning: Tuning, evaluation: Evaluation
) -> None:
    run = write_run(tmp_path, tuning, evaluation)
    (run / TUNING).write_bytes(dump_record(tuning) + b"\n")

    with pytest.raises(RunIncomplete, match="cxr-train evaluate"):
        write_report(run, Split.TEST)


def test_report_without_an_evaluation_names_the_act(tmp_path: Path) -> None:
    with pytest.raises(RunIncomplete, match="cxr-train evaluate"):
        write_report(tmp_path, Split.VAL)


def test_simulation_prints_targets_positives_and_outcome(tmp_path: Path, tuning: Tuning) -> None:
    (tmp_path / TUNING).write_bytes(dump_record(tuning))
    printed = io.StringIO()

    run_simulate(Console(file=printed, width=240), run=tmp_path, draws=20)

    text = printed.getvalue()
    for words in ("348", "no certifiable threshold", "pneumonia flag", "tuberculosis refer"):
        assert words in text


def test_simulation_of_a_run_that_was_not_tuned_names_the_act(tmp_path: Path) -> None:
    with pytest.raises(RunIncomplete, match="cxr-train tune"):
        run_simulate(quiet(), run=tmp_path, draws=5)
