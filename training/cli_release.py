"""Commands from the evaluation to a version: ood, audit, explain, drift, release, make."""

from pathlib import Path
from typing import Annotated

import typer

from training.acts.audit import AuditOptions, run_audit, run_explain
from training.acts.drift import run_drift_reference
from training.acts.make import run_make
from training.acts.ood import run_ood
from training.acts.release import Wish, run_release
from training.cli_options import (
    AcceptOption,
    AgainstOption,
    ConfigOption,
    DataOption,
    FoldEpochsOption,
    LeaksOption,
    ModelsOption,
    NameOption,
    NoteOption,
    PromoteOption,
    RunOption,
    StoreOption,
    ThreadsOption,
    VersionOption,
    add_act,
    app,
    workplace,
)
from training.config import read_config
from training.manifest import Version

add_act("ood", run_ood, "Fit, certify and measure the detector of what is no chest radiograph.")


@app.command("audit")
def audit_command(
    *,
    config: ConfigOption = None,
    data: DataOption = None,
    models: ModelsOption = None,
    run: RunOption = None,
    threads: ThreadsOption = None,
    drop_leaks: LeaksOption = False,
    fold_epochs: FoldEpochsOption = None,
    without_folds: Annotated[
        bool, typer.Option("--without-folds", help="Leave out test 3; the verdict says so.")
    ] = False,
) -> None:
    """Act 4: seven tests for confounding, and a verdict."""
    settings = read_config(config) if config else None
    options = AuditOptions(with_folds=not without_folds, fold_epochs=fold_epochs)
    run_audit(workplace(settings, data, models, run, threads, drop_leaks), settings, options)


add_act(
    "explain",
    run_explain,
    "Act 5: attention maps of a fixed panel, and whether they depend on what was learned.",
)


add_act(
    "drift", run_drift_reference, "Measure what the monitoring compares a scanner's images with."
)


@app.command("release")
def release_command(
    *,
    version: VersionOption,
    name: NameOption = "cxr-triage",
    store: StoreOption = Path("model_store"),
    promote: PromoteOption = False,
    note: NoteOption = None,
    accept_audit: AcceptOption = "",
    config: ConfigOption = None,
    models: ModelsOption = None,
    run: RunOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Act 6: write, verify and optionally promote a version in the model store."""
    settings = read_config(config) if config else None
    place = workplace(settings, None, models, run, threads, drop_leaks=False)
    made = Version(store, name, version, tuple(note or ()))
    run_release(place, settings, Wish(made, is_promoted=promote, accepted_because=accept_audit))


@app.command("make")
def make_command(  # noqa: PLR0913 - each is an option of the command
    *,
    config: Annotated[Path, typer.Option("--config", help="TOML of the run.")],
    version: VersionOption,
    store: StoreOption = Path("model_store"),
    promote: PromoteOption = False,
    note: NoteOption = None,
    accept_audit: AcceptOption = "",
    against: AgainstOption = None,
    fold_epochs: FoldEpochsOption = None,
    data: DataOption = None,
    models: ModelsOption = None,
    drop_leaks: LeaksOption = False,
) -> None:
    """All acts of a run, from fit to release; the same command resumes an interrupted one."""
    settings = read_config(config)
    place = workplace(settings, data, models, None, None, drop_leaks)
    wish = Wish(
        Version(store, "cxr-triage", version, tuple(note or ())),
        is_promoted=promote,
        accepted_because=accept_audit,
        against=against,
        audit=AuditOptions(fold_epochs=fold_epochs),
    )
    run_make(place, settings, wish)
