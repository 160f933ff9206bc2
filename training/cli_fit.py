"""Commands up to the evaluation: fit, search, tune, evaluate, report, simulate."""

from pathlib import Path
from typing import Annotated

import typer

from training.acts.report import run_simulate, write_report
from training.acts.search import run_search
from training.acts.steps import run_evaluate, run_fit, run_tune
from training.cli_options import (
    AgainstOption,
    ConfigOption,
    DataOption,
    LeaksOption,
    ModelsOption,
    RunOption,
    ThreadsOption,
    add_act,
    app,
    wide_console,
    workplace,
)
from training.config import read_config
from training.data.studies import Split
from training.evaluate import DRAWS
from training.measures.simulation import DRAWS as SIMULATION_DRAWS
from training.measures.simulation import SEED as SIMULATION_SEED


@app.command("fit")
def fit_command(
    *,
    config: Annotated[Path, typer.Option("--config", help="TOML of the run.")],
    data: DataOption = None,
    models: ModelsOption = None,
    run: RunOption = None,
    threads: ThreadsOption = None,
    drop_leaks: LeaksOption = False,
    member: Annotated[
        int | None,
        typer.Option("--member", help="Train only this one, by its seed: members share nothing."),
    ] = None,
) -> None:
    """Act 1: train a run, or resume it where it was interrupted; also under `torchrun`."""
    settings = read_config(config)
    run_fit(workplace(settings, data, models, run, threads, drop_leaks), settings, member)


@app.command("search")
def search_command(
    *,
    config: Annotated[list[Path], typer.Option("--config", help="TOML of a candidate; repeat.")],
    seed: Annotated[list[int] | None, typer.Option("--seed", help="Repeatable; 1, 2, 3.")] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="Source to leave out; default each.")
    ] = None,
    data: DataOption = None,
    models: ModelsOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Run name or folder; default `search`.")
    ] = None,
    threads: ThreadsOption = None,
    drop_leaks: LeaksOption = False,
) -> None:
    """Compare recipes by what they are worth on a source that they did not learn from."""
    candidates = [read_config(path) for path in config]
    place = workplace(candidates[0], data, models, run or "search", threads, drop_leaks)
    run_search(place, candidates, seed or [1, 2, 3], without or ())


add_act("tune", run_tune, "Act 2: calibrate, and certify thresholds on the validation split.")


@app.command("evaluate")
def evaluate_command(
    *,
    config: ConfigOption = None,
    data: DataOption = None,
    models: ModelsOption = None,
    run: RunOption = None,
    threads: ThreadsOption = None,
    drop_leaks: LeaksOption = False,
    split: Annotated[Split, typer.Option("--split", help="`test` or `val`.")] = Split.TEST,
    draws: Annotated[int, typer.Option("--draws", min=20, help="Bootstrap draws.")] = DRAWS,
    against: AgainstOption = None,
) -> None:
    """Act 3: measure the tuned run, beside a trivial baseline, and write report.html."""
    if split not in (Split.TEST, Split.VAL):
        raise typer.BadParameter("a run is measured on `test` or `val`")
    settings = read_config(config) if config else None
    place = workplace(settings, data, models, run, threads, drop_leaks)
    run_evaluate(place, settings, split, draws, against)


@app.command("report")
def report_command(
    *,
    config: ConfigOption = None,
    models: ModelsOption = None,
    run: RunOption = None,
    split: Annotated[Split, typer.Option("--split", help="`test` or `val`.")] = Split.TEST,
) -> None:
    """Write report.html anew from what the acts left, the audit and the search included."""
    settings = read_config(config) if config else None
    place = workplace(settings, None, models, run, None, drop_leaks=False)
    place.console.print(str(write_report(place.run, split)), soft_wrap=True)


@app.command("simulate")
def simulate_command(
    *,
    models: ModelsOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Also show what `tune` found in this run.")
    ] = None,
    draws: Annotated[
        int, typer.Option("--draws", min=20, help="Samples a row.")
    ] = SIMULATION_DRAWS,
    seed: Annotated[int, typer.Option("--seed", help="Of the samples.")] = SIMULATION_SEED,
) -> None:
    """Show how often a certified threshold misses its target, beside the naive one."""
    folder = None if run is None else workplace(None, None, models, run, None, drop_leaks=False).run
    run_simulate(wide_console(), run=folder, draws=draws, seed=seed)
