"""`cxr-triage drift status | drill`: where every scanner stands, and a fire drill."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service import offline
from service.core.artifact import load_current
from service.core.drift import Detector
from service.core.drift_shifts import UnknownShift, parse_shift
from service.drift_drill import Drill, find_device, run_drill
from service.drift_sighting import open_comparison
from service.drift_state import STATE, ScannerState, load_state
from service.scanners import Scanners

app = typer.Typer(
    help="What the scanners send, against the model's reference.", no_args_is_help=True
)

DRIFTING_EXIT = 3
"""A scanner drifts: for scripts."""


@dataclass(frozen=True, slots=True)
class DriftAddress:
    """Where model and state are; the command line makes it from the settings."""

    store: Path
    state_folder: Path
    scanners: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScannerStatus:
    """One line of the table."""

    scanner: str
    images: int
    last: str
    drifts: bool
    scalar: str
    ratio: float
    since: str
    kind: str
    cause: str
    sensitivity: dict[str, float]
    is_listed: bool = True
    """Whether `CXR_SCANNERS` names it still; of another one nothing new comes."""


@app.command()
def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show every scanner: worst scalar, since when, kind, cause and what it may cost."""
    address: DriftAddress = context.obj
    comparison = open_comparison(load_current(address.store).files)
    if comparison.detector is None:
        typer.echo("the model that serves was released without a drift reference", err=True)
        raise typer.Exit(1)
    path = address.state_folder / STATE
    state = load_state(path, comparison.digest, comparison.detector)
    if path.is_file() and not state.scanners:
        typer.echo(f"{STATE} cannot be read: whether a scanner drifts is not known", err=True)
        raise typer.Exit(1)
    # Without the site's settings nothing tells which aliases were taken off the list.
    listed = Scanners(address.scanners).names if address.scanners else (*state.scanners,)
    lines = list(describe_scanners(comparison.detector, state.scanners, listed))
    if as_json:
        for line in lines:
            typer.echo(json.dumps(asdict(line)))
    else:
        _print(Console(), lines)
    raise typer.Exit(DRIFTING_EXIT if any(line.drifts and line.is_listed for line in lines) else 0)


@app.command()
def drill(
    context: typer.Context,
    scanner: Annotated[str, typer.Option(help="Alias out of CXR_SCANNERS.")],
    shift: Annotated[str, typer.Option(help="Change and amount, for example gamma:1.3.")],
    radiographs: Annotated[Path, typer.Option(help="Folder of chest radiographs to change.")],
    service: Annotated[str, typer.Option(help="Staging service.")] = "http://127.0.0.1:8000",
    key_file: Annotated[
        Path | None, typer.Option(exists=True, help="API key with the scope predict.")
    ] = None,
    listen: Annotated[int, typer.Option(help="Port that Alertmanager notifies.")] = 9099,
    images: Annotated[int, typer.Option(min=1, help="How many are sent.")] = 60,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait for the alert.")] = 120,
) -> None:
    """Send one scanner's changed radiographs to a staging service; succeed if the alert arrives."""
    address: DriftAddress = context.obj
    paths = offline.expand([radiographs])
    if not paths:
        raise typer.BadParameter("the folder holds no radiograph")
    try:
        change = parse_shift(shift)
    except UnknownShift as error:
        raise typer.BadParameter(str(error)) from error
    plan = Drill(
        service=service, scanner=scanner, device=find_device(address.scanners, scanner),
        shift=change, images=images, patience_seconds=patience,
        key=None if key_file is None else key_file.read_text("utf-8").strip(),
    )  # fmt: skip
    console = Console(stderr=True)
    with console.status("sending") as bar:
        alert = run_drill(plan, paths, listen, bar.update)
    typer.echo(alert.annotations.get("description", ""))
    typer.echo(alert.annotations.get("runbook_url", ""))


def describe_scanners(
    detector: Detector, scanners: dict[str, ScannerState], listed: Collection[str]
) -> Iterator[ScannerStatus]:
    """Where each scanner that sent something stands, in the order of their aliases."""
    for alias, scanner in sorted(scanners.items()):
        if scanner.track is None:
            continue
        ratios = detector.ratios(scanner.track)
        worst = int(ratios.argmax())
        alarm = detector.alarm(scanner.track)
        diagnosis = None if alarm is None else detector.diagnose(scanner.track, alarm)
        yield ScannerStatus(
            scanner=alias,
            images=scanner.images,
            last=_time(scanner.last_seconds),
            drifts=alarm is not None,
            scalar=(alarm.scalar if alarm else detector.scalars[worst]).value,
            ratio=round(float(ratios[worst]), 3),
            since="" if alarm is None else _time(alarm.since_seconds),
            kind="" if diagnosis is None else diagnosis.verdict.kind.value,
            cause="" if diagnosis is None else diagnosis.cause.words,
            sensitivity={} if diagnosis is None else diagnosis.cause.sensitivity,
            is_listed=alias in listed,
        )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _print(console: Console, lines: list[ScannerStatus]) -> None:
    """A table that fits a terminal, and a paragraph on each scanner that drifts."""
    table = Table("scanner", "images", "S/h", "scalar", "since (UTC)", "kind", box=SIMPLE)
    for line in lines:
        colour = "red" if line.drifts else "green"
        table.add_row(
            Text(line.scanner), str(line.images), Text(f"{line.ratio:.2f}", style=colour),
            line.scalar, line.since[:16].replace("T", " "), line.kind,
        )  # fmt: skip
    console.print(table)
    for line in lines:
        if line.drifts:
            told = ", ".join(f"{name} {change:+.2f}" for name, change in line.sensitivity.items())
            forecast = f" Forecast of the sensitivity: {told}." if told else ""
            words = f"{line.scanner}: {line.cause or 'no cause is known'}.{forecast}"
            console.print(words, markup=False, emoji=False)
        if not line.is_listed:
            words = f"{line.scanner}: not in CXR_SCANNERS any more; last radiograph {line.last}."
            console.print(words, markup=False, emoji=False)
