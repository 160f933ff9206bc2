"""What the commands of `cxr-train` share: the application, options, and where a run is."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from training.acts.steps import Workplace
from training.config import RunConfig, read_config, read_places
from training.distributed import join_team

REPORT_COLUMNS = 140

app = typer.Typer(
    name="cxr-train",
    help="Makes the model versions that cxr-triage serves: fit, tune, evaluate, release.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML of the run.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder; default DATA_DIR, also from .env.")
]
ModelsOption = Annotated[
    Path | None, typer.Option("--models", help="Folder of runs; default MODELS_DIR.")
]
RunOption = Annotated[
    str | None, typer.Option("--run", help="Run name or folder; default the config's name.")
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.")]
LeaksOption = Annotated[
    bool,
    typer.Option("--drop-leaks", help="Leave out of training what is also in val or test."),
]


FoldEpochsOption = Annotated[
    int | None,
    typer.Option("--fold-epochs", min=1, help="Epochs without a source; default the run's."),
]
AgainstOption = Annotated[
    Path | None,
    typer.Option("--against", help="Version folder of an earlier release to compare with."),
]
VersionOption = Annotated[str, typer.Option("--version", help="For example 1.0.0.")]
NameOption = Annotated[str, typer.Option("--name", help="Model name.")]
StoreOption = Annotated[Path, typer.Option("--store", help="Model store.")]
PromoteOption = Annotated[bool, typer.Option("--promote", help="Have it serve, if it fits.")]
NoteOption = Annotated[
    list[str] | None, typer.Option("--note", help="A limit for the model card; repeatable.")
]
AcceptOption = Annotated[
    str, typer.Option("--accept-audit", help="Why it is released though the audit did not pass.")
]


def add_act(name: str, act: Callable[[Workplace, RunConfig | None], object], words: str) -> None:
    """Make a command of an act that is asked for by its run and nothing else."""

    @app.command(name, help=words)
    def command(
        *,
        config: ConfigOption = None,
        data: DataOption = None,
        models: ModelsOption = None,
        run: RunOption = None,
        threads: ThreadsOption = None,
        drop_leaks: LeaksOption = False,
    ) -> None:
        settings = read_config(config) if config else None
        act(workplace(settings, data, models, run, threads, drop_leaks), settings)


def workplace(
    config: RunConfig | None,
    data: Path | None,
    models: Path | None,
    run: str | None,
    threads: int | None,
    drop_leaks: bool,
) -> Workplace:
    """Where the run is and its data are, and how many threads work on it."""
    if chosen := threads or (config.threads if config else 0):
        torch.set_num_threads(chosen)
    places = read_places()
    name = run or (config.name if config else None)
    if name is None:
        raise typer.BadParameter("which run? pass --run or --config")
    # The name of a configuration is no path: a folder of data may be called the same.
    is_folder = run is not None and (os.sep in run or Path(run).is_dir())
    folder = Path(name) if is_folder else (models or places.models_dir) / name
    return Workplace(data or places.data_dir, folder, wide_console(), drop_leaks)


def wide_console() -> Console:
    """A terminal as it is; anything else wide enough that no number is cut off.

    Brackets and colons are printed as they stand: what is printed names sources, and those are of
    a manifest, where `Site [CR]` is a name.
    """
    is_quiet = not join_team().is_leader
    console = Console(quiet=is_quiet, markup=False, emoji=False)
    if console.is_terminal:
        return console
    return Console(width=REPORT_COLUMNS, quiet=is_quiet, markup=False, emoji=False)
