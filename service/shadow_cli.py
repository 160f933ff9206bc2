"""`cxr-triage shadow ...`: verify, simulate, reports in, rows out, look-ups, retention."""

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Table

from service.answers import NOTICE
from service.case import serve_model
from service.core.artifact import load_current
from service.core.findings import Finding
from service.core.plain_text import is_plain
from service.ops.address import LogAddress
from service.record import (
    Evidence,
    Head,
    Identifier,
    Kind,
    Pseudonymiser,
    load_signer,
    open_reader,
    open_site_key,
)
from service.record.bulk import append_rows
from service.record.criteria import DEFAULT_CRITERIA, Criteria, FindingCriteria, usual
from service.record.database import open_engine
from service.record.evidence import evidence_columns
from service.record.export import check_parquet, count_rows, export_csv, export_parquet
from service.record.gaps import purge
from service.record.queries import find_by_pseudonym
from service.record.record import anchors_beside
from service.record.schema import migrate
from service.record.tables import CHAINED, evidence_log
from service.report_import import is_unclear, read_file
from service.review.desk import ReviewDesk
from service.shadow_checks import (
    check_index,
    describe_breaks,
    describe_chain,
    noted_heads,
    opened_index,
)
from service.simulate import simulate

app = typer.Typer(help="The shadow log.", no_args_is_help=True)


class Format(StrEnum):
    """What `export` writes."""

    CSV = "csv"
    PARQUET = "parquet"


DAYS_PER_MONTH = 30.4
PIPE = Path("-")


def _checked(actor: str) -> str:
    if not is_plain(actor):
        raise typer.BadParameter("holds control characters")
    return actor


By = Annotated[str, typer.Option(help="Who does it; stands in the row.", callback=_checked)]


def _me() -> str:
    return getpass.getuser()


@app.command()
def verify(
    context: typer.Context,
    head: Annotated[
        list[str] | None,
        typer.Option(help="A head noted earlier, as it was printed; may be repeated."),
    ] = None,
    has_index: Annotated[
        bool, typer.Option("--index", help="Compare the index of the pages too; slow.")
    ] = False,
) -> None:
    """Walk both chains from their first row to their last, and check what was purged."""
    log: LogAddress = context.obj
    signer = _signer(log) if log.key.exists() else None
    noted = _noted(head or [])
    with closing(open_reader(context.obj.url)) as reader:
        reports = {
            table: reader.verify(*noted[table], table=table, signer=signer) for table in CHAINED
        }
        for table, report in reports.items():
            for line in describe_chain(reader, table, report.head, signer, noted[table]):
                typer.echo(line)
    faults = describe_breaks(list(reports.values()))
    forged = check_index(log.url) if has_index and not faults else None
    for fault in (*faults, *filter(None, [forged])):
        typer.echo(fault, err=True)
    if faults or forged:
        raise typer.Exit(1)


@app.command(name="simulate")
def simulate_traffic(
    context: typer.Context,
    months: Annotated[float, typer.Option(min=0.1, max=60, help="How long.")] = 6,
    per_day: Annotated[float, typer.Option(min=1, max=20_000, help="Radiographs a day.")] = 120,
    seed: Annotated[int, typer.Option(help="The same seed draws the same hospital.")] = 1,
) -> None:
    """Fill an empty log with drawn traffic, so that every review page is alive."""
    written = fill(context.obj.url, context.obj.key, months=months, per_day=per_day, seed=seed)
    days = max(1, round(months * DAYS_PER_MONTH))
    typer.echo(f"{written} radiographs over {days} days; open the review pages to see them")


def fill(url: str, key: Path, *, months: float, per_day: float, seed: int) -> int:
    """Write drawn traffic up to now and its index, with a progress bar; tells how many."""
    open_site_key(url, key)
    days = max(1, round(months * DAYS_PER_MONTH))
    start = datetime.now(UTC) - timedelta(days=days)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("radiographs", total=days * per_day)
        written = simulate(
            url, start=start, days=days, per_day=per_day, seed=seed,
            on_progress=lambda rows: progress.advance(task, rows),
        )  # fmt: skip
        task = progress.add_task("index", total=None)
        with opened_index(url) as (index, _):
            index.catch_up(lambda rows: progress.advance(task, rows))
    return written


@app.command(name="import-reports")
def import_reports(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, columns: `docs/review.md`; `-` is the pipe.")],
    by: By = "",
) -> None:
    """Join radiologists' outcomes, all of a file or none; identifiers become pseudonyms."""
    source = sys.stdin.buffer if file == PIPE else file
    told = read_file(source, _signer(context.obj), by or _me())
    rows = _append(context.obj, iter(told))
    typer.echo(f"{rows} reports, {sum(map(is_unclear, told))} of them unclear about a finding")


@app.command()
def export(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="File to write; `-` is the pipe.")],
    file_format: Annotated[Format, typer.Option("--format", help="csv or parquet.")] = Format.CSV,
    since: Annotated[datetime | None, typer.Option(help="From when; UTC if not told.")] = None,
    by: By = "",
) -> None:
    """Write the rows out; that it is asked for is recorded before the first one leaves."""
    write = export_csv if file_format is Format.CSV else export_parquet
    if file_format is Format.PARQUET:
        check_parquet()
    first = since.replace(tzinfo=UTC) if since and since.tzinfo is None else since
    with (
        closing(open_reader(context.obj.url)) as reader,
        nullcontext(sys.stdout.buffer) if out == PIPE else out.open("wb") as raw,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        rows, last = count_rows(reader, since=first)
        body = {"rows": rows, "format": file_format.value}
        _append(context.obj, iter([Evidence(kind=Kind.EXPORT, actor=by or _me(), body=body)]))
        task = progress.add_task("rows", total=rows)
        written = write(
            reader, raw, since=first, until=last,
            on_progress=lambda rows: progress.advance(task, rows),
        )  # fmt: skip
    typer.echo(f"{written} rows", err=out == PIPE)


@app.command()
def lookup(
    context: typer.Context,
    reason: Annotated[str, typer.Option(prompt=True, help="Why; stands in the row.")],
    kind: Annotated[
        Identifier, typer.Option(help="What kind of identifier.")
    ] = Identifier.ACCESSION,
    by: By = "",
) -> None:
    """Find the rows of an identifier, asked without an echo; the question itself is recorded."""
    if kind is Identifier.SCANNER:
        raise typer.BadParameter("scanners are not recorded by pseudonym")
    signer = _signer(context.obj)
    value = typer.prompt(kind.value, hide_input=True)
    pseudonym = signer.pseudonymise(kind, value)
    if pseudonym is None:
        raise typer.BadParameter("an empty identifier")
    with closing(open_reader(context.obj.url)) as reader, reader.reading() as connection:
        found = find_by_pseudonym(connection, kind, pseudonym)
    body = {"reason": reason, "kind": kind.value, "pseudonym": pseudonym, "matches": len(found)}
    _append(context.obj, iter([Evidence(kind=Kind.LOOKUP, actor=by or _me(), body=body)]))
    for entry_id, received_at in found:
        typer.echo(f"{entry_id}  {received_at}")
    typer.echo(f"{len(found)} rows", err=True)


@app.command()
def register(
    context: typer.Context,
    sensitivity: Annotated[
        list[str] | None, typer.Option(help=f"Repeatable; unnamed: {usual('sensitivity')}.")
    ] = None,
    specificity: Annotated[
        list[str] | None, typer.Option(help=f"Repeatable; unnamed: {usual('specificity')}.")
    ] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999)] = DEFAULT_CRITERIA.confidence,
    evaluated: Annotated[float, typer.Option(min=0.01, max=0.999)] = DEFAULT_CRITERIA.evaluated,
    by: By = "",
) -> None:
    """Write down what must hold before going live; only what comes later will count."""
    asked = {told.finding: told for told in DEFAULT_CRITERIA.findings}
    for name, pairs in (("sensitivity", sensitivity), ("specificity", specificity)):
        for finding, target in map(_pair, pairs or []):
            asked[finding] = FindingCriteria.model_validate(
                asked[finding].model_dump() | {name: target}
            )
    criteria = Criteria(findings=tuple(asked.values()), confidence=confidence, evaluated=evaluated)
    _append(
        context.obj,
        iter([Evidence(kind=Kind.CRITERIA, actor=by or _me(), body=criteria.as_body())]),
    )
    typer.echo(json.dumps(criteria.as_body(), indent=1))


@app.command()
def report(context: typer.Context) -> None:
    """Print the go-live decision on the model that CURRENT names, as JSON."""
    serving = serve_model(load_current(context.obj.model_store)).stamp
    with opened_index(context.obj.url) as (index, reader):
        index.catch_up()
        decided = ReviewDesk(index=index, reader=reader).go_live(serving)
    if decided is None:
        typer.echo("no criteria are registered: shadow register", err=True)
        raise typer.Exit(1)
    typer.echo(json.dumps(decided.as_json(), indent=1))
    typer.echo(NOTICE, err=True)


@app.command(name="purge")
def purge_rows(
    context: typer.Context,
    keep_days: Annotated[int, typer.Option(help="Rows older than this go; at least 183.")],
    confirm: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: By = "",
) -> None:
    """Delete rows whose time is over; leaves a signed gap that `verify` checks."""
    if not confirm:
        typer.confirm(f"delete every row older than {keep_days} days for good?", abort=True)
    engine = open_engine(context.obj.url)
    gone = purge(
        engine, keep_days=keep_days, signer=_signer(context.obj), actor=by or _me(),
        anchors=anchors_beside(context.obj.url),
    )  # fmt: skip
    engine.dispose()
    for name, rows in gone.items():
        typer.echo(f"{rows} rows of {name} purged")
    if not gone:
        typer.echo("no row is that old")


def _append(log: LogAddress, rows: Iterator[Evidence]) -> int:
    engine = open_engine(log.url)
    migrate(engine)
    columns = (evidence_columns(evidence) for evidence in rows)
    written = sum(append_rows(engine, evidence_log, columns, anchors_beside(log.url)))
    engine.dispose()
    return written


def _signer(log: LogAddress) -> Pseudonymiser:
    return load_signer(log.url, log.key)


def _noted(lines: list[str]) -> dict[Table, list[Head]]:
    try:
        return noted_heads(lines)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _pair(text: str) -> tuple[Finding, float]:
    finding, _, target = text.partition("=")
    try:
        return Finding(finding), float(target)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}; expected for example pneumonia=0.9") from error
