"""What needs no network: the HTML report of a run folder, and the simulation of the guarantee."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from training.checkpoint import write_atomically
from training.data import Split
from training.html_report import REPORT, write_html_report
from training.report import simulation_table
from training.results import (
    EVALUATION,
    TUNING,
    Evaluation,
    RunIncomplete,
    Tuning,
    file_digest,
    load_record,
)
from training.simulation import DRAWS, SEED, LogOddsNormal, simulate_table
from training.tables import Section, load_section

FURTHER = (
    (
        "audit.json",
        "Confounding audit",
        "Is it the lungs or the source? Tests of the network, the data and the labels.",
    ),
    (
        "search.json",
        "Recipe search",
        (
            "Candidates, each trained without one source and measured on its train and validation "
            "images; no test image takes part."
        ),
    ),
)
"""Files that other acts may have left in the run folder."""


def write_report(run: Path, split: Split, sections: Sequence[Section] = ()) -> Path:
    """Write `report.html` beside the evaluation, from what the acts left in the run folder.

    Parameters
    ----------
    sections
        Shown before those of the files that other acts left.

    Raises
    ------
    RunIncomplete
        Nothing was evaluated, or with another tuning.
    """
    folder = evaluation_folder(run, split)
    evaluation = load_record(folder, EVALUATION, Evaluation, "evaluate")
    tuning = load_record(run, TUNING, Tuning, "tune")
    if evaluation.tuning_digest != file_digest(run / TUNING):
        raise RunIncomplete("the evaluation is of another tuning: run `cxr-train evaluate`")
    page = write_html_report(
        evaluation,
        tuning,
        (*sections, *further_sections(run)),
        title=f"Evaluation of {run.resolve().name}",
    )
    write_atomically(folder / REPORT, page.encode())
    return folder / REPORT


def evaluation_folder(run: Path, split: Split) -> Path:
    """Where the numbers of a split are: those of the test split stand in the run folder itself."""
    return run if split is Split.TEST else run / split.value


def further_sections(run: Path) -> tuple[Section, ...]:
    """Of the files of other acts that are there."""
    found = (load_section(run / name, title, note) for name, title, note in FURTHER)
    return tuple(section for section in found if section is not None)


def run_simulate(
    console: Console, *, run: Path | None = None, draws: int = DRAWS, seed: int = SEED
) -> None:
    """Print how often thresholds miss their target where the truth is known.

    Parameters
    ----------
    run
        Also print what `tune` found for this run's own operating points.
    """
    with console.status(f"drawing {draws} samples a row"):
        simulations = simulate_table(LogOddsNormal(), draws=draws, seed=seed)
    console.print(simulation_table(simulations))
    if run is not None:
        tuning = load_record(run, TUNING, Tuning, "tune")
        console.print(simulation_table(tuning.simulations))
