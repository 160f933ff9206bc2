"""`cxr-triage serve | demo | predict | model ... | shadow ...`."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from service import (
    backup_cli,
    demo,
    drift_cli,
    keys_cli,
    model_cli,
    offline,
    pacs_cli,
    selfcheck_cli,
    shadow_cli,
)
from service.access.options import AccessSettings
from service.answers import NOTICE
from service.app import create_app
from service.banner import banner_of
from service.core.artifact import load_current
from service.cores import count_cores
from service.environment import read_settings, refuse_changed, refuse_other_release, refuse_unknown
from service.logs import set_up_logs
from service.record import Mode
from service.serve_cli import Host, Port, open_command_line, run, serve, with_options
from service.settings import (
    PacsSettings,
    RecordSettings,
    Settings,
    TracingSettings,
    find_model_store,
)
from service.site import log_address
from service.site_secrets import make_missing_secrets
from service.tables import table_of
from service.verified_engine import open_verified_engine, open_whole_engine, trust_of

DEMO_PER_DAY = 60
"""Radiographs of a drawn day; three months are ready in some seconds."""

app = open_command_line()
app.command()(serve)


def main() -> None:
    """Run the whole command line."""
    run(app)


@app.command(name="demo")
def run_demo(
    host: Host = None,
    port: Port = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after the answers.")] = False,
    history: Annotated[
        float, typer.Option(min=0, max=60, help="Months of drawn traffic for the review pages.")
    ] = 0,
) -> None:
    """Serve, read a real chest radiograph in three formats, and show what came out."""
    settings = with_options(read_settings(), host, port, Mode.LIVE)
    set_up_logs("error")
    with demo.workplace() as folder:
        settings = _apart_from_site(settings, folder)
        if history:
            key = settings.record.site_key_file
            shadow_cli.fill(settings.record.url, key, months=history, per_day=DEMO_PER_DAY, seed=1)
        console, application = Console(), create_app(settings)
        with demo.serving(application, settings.server.host, settings.server.port) as at:
            console.print(banner_of(settings, application.state.runtime.model.stamp, at.port))
            is_good = demo.show(console, at, folder)
            if not once:
                demo.wait_for_interrupt(console)
    raise typer.Exit(0 if is_good else 1)


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Files, folders or quoted globs.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write there instead.")] = None,
) -> None:
    """Read files without a server; nothing is recorded."""
    settings = read_settings()
    set_up_logs("error")
    found = offline.expand(files)
    if not found:
        raise typer.BadParameter("no file matches")
    results = _score_with_progress(settings, found)
    with _writing_to(out) as console:
        if as_json or out is not None:
            for result in results:
                console.file.write(json.dumps(result.as_json()) + "\n")
        else:
            console.print(table_of([offline.line_of(result) for result in results]))
            console.print(NOTICE, style="dim")
    raise typer.Exit(0 if all(result.has_answer for result in results) else 1)


def _address_model(context: typer.Context) -> None:
    settings = read_settings()
    context.obj = model_cli.ModelAddress(
        find_model_store(settings.model.store), partial(open_whole_engine, settings),
        trust_of(settings).is_asked_for,
    )  # fmt: skip


def _address_log(context: typer.Context) -> None:
    context.obj = log_address(read_settings())


def _address_drift(context: typer.Context) -> None:
    """What the scanners send, against the model's reference."""
    settings = read_settings()
    context.obj = drift_cli.DriftAddress(
        find_model_store(settings.model.store),
        settings.record.site_key_file.parent,
        settings.scanners,
    )


def _address_queue(context: typer.Context) -> None:
    """What waits on its way in from the PACS."""
    pacs = read_settings().pacs
    context.obj = pacs_cli.QueueAddress(pacs.queue_file, pacs.url is not None)


def _address_keys(context: typer.Context) -> None:
    context.obj = read_settings().access.keys_file


app.add_typer(keys_cli.app, name="keys", callback=_address_keys)
app.add_typer(model_cli.app, name="model", callback=_address_model)
shadow_cli.app.add_typer(backup_cli.app)
app.add_typer(selfcheck_cli.app)
app.add_typer(shadow_cli.app, name="shadow", callback=_address_log)
app.add_typer(drift_cli.app, name="drift", callback=_address_drift)
app.add_typer(pacs_cli.app, name="pacs", callback=_address_queue)


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="One folder below it per program.")]) -> None:
    """Make the secrets that a new site needs; what is there stays as it is."""
    made = make_missing_secrets(folder)
    typer.echo("made " + ", ".join(made) if made else "nothing is missing")


@app.command(name="settings")
def check_settings(
    besides: Annotated[list[str] | None, typer.Option(help="Name that others read.")] = None,
    fixed: Annotated[
        list[str] | None, typer.Option(help="NAME or NAME=VALUE that may not be changed.")
    ] = None,
    release: Annotated[str | None, typer.Option(help="What this program has to be.")] = None,
) -> None:
    """Refuse misspelt variables of the environment; values are not judged, and none is shown."""
    if release is not None:
        refuse_other_release(release)
    refuse_unknown(set(os.environ) - set(besides or ()), in_capitals=True)
    refuse_changed(os.environ, fixed or ())


def _score_with_progress(settings: Settings, found: Sequence[Path]) -> list[offline.FileResult]:
    artifact = load_current(find_model_store(settings.model.store))
    engine = open_verified_engine(settings, artifact)
    reader = offline.OfflineReader(
        artifact=artifact, engine=engine,
        decode_threads=settings.decode.threads or count_cores(),
    )  # fmt: skip
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            results = reader.read(found)
            return list(progress.track(results, total=len(found), description="reading"))
    finally:
        engine.close()


def _apart_from_site(settings: Settings, folder: Path) -> Settings:
    """The same service with a log in this folder, and without the site's keys, PACS and collector.

    A demo that pulled from the site's PACS would take instances whose rows end with the folder.
    """
    record = RecordSettings(url=f"sqlite:///{folder}/shadow.db", site_key_file=folder / "site.key")
    return settings.model_copy(
        update={
            "record": record,
            "access": AccessSettings(),
            "pacs": PacsSettings(queue_file=folder / "pacs.db"),
            "tracing": TracingSettings(),
        }
    )


@contextmanager
def _writing_to(out: Path | None) -> Iterator[Console]:
    if out is None:
        yield Console()
        return
    with out.open("w", encoding="utf-8") as file:
        yield Console(file=file)
