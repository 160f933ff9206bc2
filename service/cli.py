"""`cxr-triage serve | demo | predict | model ... | shadow ...`."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import structlog
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.panel import Panel
from rich.progress import Progress

from service import __version__, demo, drift_cli, model_cli, offline, shadow_cli
from service.answers import NOTICE
from service.app import create_app
from service.core.artifact import Artifact, load_current
from service.core.errors import CxrError
from service.engine.base import Engine
from service.engine.loading import open_engine
from service.logs import set_up_logs
from service.record import Mode
from service.server import build_server
from service.settings import Settings, UnknownSetting, find_model_store, read_settings
from service.tables import table_of

app = typer.Typer(
    name="cxr-triage",
    help=f"Reads frontal chest radiographs and says which to open first. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger()

REFUSED_EXIT = 2
"""Settings or model are not as they must be; nothing was started."""

DEMO_PER_DAY = 60
"""Radiographs of a drawn day; three months are ready in some seconds."""

START_TIME_FIELD = 19
"""Place of `starttime` in /proc/self/stat, counted after the name of the process."""

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
]


def main() -> None:
    """Run the command line; a mistake of the operator is one line, not a stack trace."""
    try:
        app()
    except (CxrError, UnknownSetting) as error:
        code = getattr(error, "code", "UNKNOWN_SETTING")
        Console(stderr=True).print(f"[red]{code}[/red] {error}", soft_wrap=True, highlight=False)
        sys.exit(REFUSED_EXIT)
    except ValidationError as error:
        for item in error.errors():
            name = "__".join(map(str, item["loc"])).upper()
            Console(stderr=True).print(f"[red]CXR_{name}[/red] {item['msg']}", soft_wrap=True)
        sys.exit(REFUSED_EXIT)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"cxr-triage {__version__}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    mode: Annotated[Mode | None, typer.Option(help="`shadow` tells no prediction.")] = None,
) -> None:
    """Serve radiographs over HTTP until a signal ends it."""
    settings = _with_options(read_settings(), host, port, mode)
    set_up_logs(settings.log_level)
    artifact = load_current(find_model_store(settings.model.store))

    def announce(bound_port: int) -> None:
        log.info("server.listening", host=settings.server.host, port=bound_port)
        Console().print(_banner(settings, artifact, bound_port, _seconds_alive()))

    build_server(
        create_app(settings),
        host=settings.server.host,
        port=settings.server.port,
        drain_seconds=settings.server.drain_seconds,
        on_started=announce,
    ).run_to_end()


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
    settings = _with_options(read_settings(), host, port, Mode.LIVE)
    set_up_logs("error")
    with demo.workplace() as folder:
        private = settings.record.model_copy(
            update={"url": f"sqlite:///{folder}/shadow.db", "site_key_file": folder / "site.key"}
        )
        settings = settings.model_copy(update={"record": private})
        if history:
            shadow_cli.fill(private.url, months=history, per_day=DEMO_PER_DAY, seed=1)
        artifact = load_current(find_model_store(settings.model.store))
        console = Console()
        with demo.serving(create_app(settings), settings.server.host, settings.server.port) as at:
            ready_seconds = _seconds_alive()
            console.print(_banner(settings, artifact, at.port, ready_seconds))
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
    raise typer.Exit(1 if any(result.is_unreadable for result in results) else 0)


def _address_model(context: typer.Context) -> None:
    settings = read_settings()
    context.obj = model_cli.ModelAddress(
        find_model_store(settings.model.store), lambda artifact: _open(settings, artifact)
    )


def _address_log(context: typer.Context) -> None:
    record = read_settings().record
    context.obj = shadow_cli.LogAddress(record.url, record.site_key_file)


def _address_drift(context: typer.Context) -> None:
    """What the scanners send, against the model's reference."""
    settings = read_settings()
    context.obj = drift_cli.DriftAddress(
        find_model_store(settings.model.store),
        settings.record.site_key_file.parent,
        settings.scanners,
    )


app.add_typer(model_cli.app, name="model", callback=_address_model)
app.add_typer(shadow_cli.app, name="shadow", callback=_address_log)
app.add_typer(drift_cli.app, name="drift", callback=_address_drift)


def _open(settings: Settings, artifact: Artifact) -> Engine:
    return open_engine(
        artifact,
        engine=settings.engine.name,
        device=settings.engine.device,
        threads=settings.engine.threads,
        cache_dir=settings.model.cache_dir,
    )


def _with_options(
    settings: Settings, host: str | None, port: int | None, mode: Mode | None
) -> Settings:
    """Settings with what the command line says instead, checked by the same bounds."""
    server = {"host": host, "port": port}
    given = {name: value for name, value in server.items() if value is not None}
    changed = type(settings.server).model_validate(settings.server.model_dump() | given)
    return settings.model_copy(
        update={"server": changed, "mode": mode.value if mode else settings.mode}
    )


def _seconds_alive() -> float:
    """Age of this process, imports included, as an operator waits for it (proc(5))."""
    after_name = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    uptime_seconds = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return uptime_seconds - int(after_name[START_TIME_FIELD]) / os.sysconf("SC_CLK_TCK")


def _banner(settings: Settings, artifact: Artifact, port: int, ready_seconds: float) -> Panel:
    url = f"http://{settings.server.host}:{port}"
    return Panel.fit(
        f"[bold]{url}[/bold]   ready in {ready_seconds:.1f} s\n"
        f"model  {artifact.reference}  {artifact.digest[:19]}\n"
        f"mode   {settings.mode}\n"
        f"docs   {url}/docs\n"
        f"[yellow]{NOTICE}[/yellow]",
        title=f"cxr-triage {__version__}",
    )


def _score_with_progress(settings: Settings, found: Sequence[Path]) -> list[offline.FileResult]:
    artifact = load_current(find_model_store(settings.model.store))
    engine = _open(settings, artifact)
    reader = offline.OfflineReader(
        artifact=artifact, engine=engine, decode_threads=settings.decode.threads
    )
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            results = reader.read(found)
            return list(progress.track(results, total=len(found), description="reading"))
    finally:
        engine.close()


@contextmanager
def _writing_to(out: Path | None) -> Iterator[Console]:
    if out is None:
        yield Console()
        return
    with out.open("w", encoding="utf-8") as file:
        yield Console(file=file)
