"""What needs no network: the HTML report of a run folder, and the simulation of the guarantee."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from service.core.files import write_whole
from training.audit.results import AUDIT
from training.data.studies import Split
from training.measures.results import (
    EVALUATION,
    TUNING,
    Evaluation,
    RunIncomplete,
    Tuning,
    file_digest,
    load_record,
)
from training.measures.simulation import DRAWS, SEED, LogOddsNormal, simulate_table
from training.report.html import REPORT, write_html_report
from training.report.tables import Section, Table, load_section
from training.report.terminal import simulation_table
from training.search.recipes import SEARCH, Search, summarise

AUDIT_NOTE = "Is it the lungs or the source? Tests of the network, the data and the labels."
SEARCH_NOTE = (
    "Candidates, each trained without one source and measured on its train and validation images; "
    "no test image takes part. Mean and standard deviation over the seeds."
)


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
    write_whole(folder / REPORT, page.encode())
    return folder / REPORT


def evaluation_folder(run: Path, split: Split) -> Path:
    """Where the numbers of a split are: those of the test split stand in the run folder itself."""
    return run if split is Split.TEST else run / split.value


def further_sections(run: Path) -> tuple[Section, ...]:
    """Of the files of other acts that are there."""
    found = (load_section(run / AUDIT, "Confounding audit", AUDIT_NOTE), _search_section(run))
    return tuple(section for section in found if section is not None)


def _search_section(run: Path) -> Section | None:
    if not (run / SEARCH).is_file():
        return None
    heading, rows = summarise(load_record(run, SEARCH, Search, "search"))
    table = Table("AUC on a source that was left out, and on those kept", "", heading, tuple(rows))
    return Section("Recipe search", SEARCH_NOTE, (table,))


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
