"""`cxr-train`: the acts as commands; every expected failure is one line and exit code 1."""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated
from urllib.error import URLError

import torch
import typer
from pydantic import ValidationError
from rich.console import Console

from service.core.artifact import Manifest
from service.core.errors import CxrError
from training.acts import Workplace, run_evaluate, run_fit, run_release, run_tune
from training.config import Places, RunConfig, read_config
from training.data import NoStudies, Split, SplitLeak, StudyUnreadable
from training.evaluate import DRAWS
from training.fit import RunDiverged, RunMismatch
from training.onnx_export import OnnxDiffers
from training.release import ReleaseRefused, Version
from training.results import RunIncomplete

EXPECTED = (
    CxrError, NoStudies, OnnxDiffers, OSError, ReleaseRefused, RunDiverged, RunIncomplete,
    RunMismatch, SplitLeak, StudyUnreadable, tomllib.TOMLDecodeError, ValidationError,
)  # fmt: skip
EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
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


@app.command("fit")
def fit_command(
    *,
    config: Annotated[Path, typer.Option("--config", help="TOML of the run.")],
    data: DataOption = None,
    models: ModelsOption = None,
    run: RunOption = None,
    threads: ThreadsOption = None,
    drop_leaks: LeaksOption = False,
) -> None:
    """Act 1: train a run, or resume it where it was interrupted."""
    settings = read_config(config)
    run_fit(_workplace(settings, data, models, run, threads, drop_leaks), settings)


@app.command("tune")
def tune_command(
    *,
    config: ConfigOption = None,
    data: DataOption = None,
    models: ModelsOption = None,
    run: RunOption = None,
    threads: ThreadsOption = None,
    drop_leaks: LeaksOption = False,
) -> None:
    """Act 2: calibrate, and certify thresholds on the validation split."""
    settings = read_config(config) if config else None
    run_tune(_workplace(settings, data, models, run, threads, drop_leaks), settings)


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
) -> None:
    """Act 3: measure the tuned run, beside a trivial baseline."""
    if split not in (Split.TEST, Split.VAL):
        raise typer.BadParameter("a run is measured on `test` or `val`")
    settings = read_config(config) if config else None
    place = _workplace(settings, data, models, run, threads, drop_leaks)
    run_evaluate(place, settings, split, draws)


@app.command("release")
def release_command(
    *,
    version: Annotated[str, typer.Option("--version", help="For example 0.1.0.")],
    name: Annotated[str, typer.Option("--name", help="Model name.")] = "cxr-triage",
    store: Annotated[Path, typer.Option("--store", help="Model store.")] = Path("model_store"),
    promote: Annotated[bool, typer.Option("--promote", help="Let it serve.")] = False,
    note: Annotated[
        list[str] | None, typer.Option("--note", help="A limit for the model card; repeatable.")
    ] = None,
    config: ConfigOption = None,
    models: ModelsOption = None,
    run: RunOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Act 6: write, verify and optionally promote a version in the model store."""
    settings = read_config(config) if config else None
    place = _workplace(settings, None, models, run, threads, drop_leaks=False)
    run_release(
        place, settings, Version(store, name, version, tuple(note or ())), is_promoted=promote
    )


@app.command("schema")
def schema_command(
    output: Annotated[Path | None, typer.Option("--output", help="File; default stdout.")] = None,
) -> None:
    """JSON Schema of the manifest."""
    text = manifest_schema()
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def manifest_schema() -> str:
    """The text of `docs/manifest.schema.json`."""
    return json.dumps(Manifest.model_json_schema(), indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Run a command; an expected failure is one line on stderr."""
    try:
        app()
    except URLError as error:
        _fail(
            f"ImageNet weights cannot be reached ({error.reason}): set `imagenet = false` in the "
            "run's TOML, or put them into the torch hub cache"
        )
    except EXPECTED as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command resumes\n")
        sys.exit(EXIT_INTERRUPTED)


def _fail(message: str) -> None:
    Console(stderr=True).print(f"[red]cxr-train:[/] {message}", soft_wrap=True)
    sys.exit(EXIT_FAILED)


def _workplace(
    config: RunConfig | None,
    data: Path | None,
    models: Path | None,
    run: str | None,
    threads: int | None,
    drop_leaks: bool,
) -> Workplace:
    if threads:
        torch.set_num_threads(threads)
    places = Places()
    name = run or (config.name if config else None)
    if name is None:
        raise typer.BadParameter("which run? pass --run or --config")
    named_folder = os.sep in name or Path(name).is_dir()
    folder = Path(name) if named_folder else (models or places.models_dir) / name
    return Workplace(data or places.data_dir, folder, _wide_console(), drop_leaks)


def _wide_console() -> Console:
    """A terminal as it is; anything else wide enough that no number is cut off."""
    console = Console()
    return console if console.is_terminal else Console(width=REPORT_COLUMNS)
