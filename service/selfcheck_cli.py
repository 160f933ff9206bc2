"""`cxr-triage selfcheck`: whether an installation may be accepted."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from fastapi import FastAPI
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.access.options import AccessSettings
from service.app import create_app
from service.core.artifact import Artifact
from service.environment import SettingsInvalid, UnknownSetting, read_settings
from service.logs import set_up_logs
from service.ops.address import API_KEYS, LogAddress
from service.ops.check import Result, Verdict, is_accepted
from service.ops.check_pacs import PacsSite
from service.ops.selfcheck import RunningService, SiteUnderTest, check_site
from service.settings import Settings, find_model_store
from service.site import PACS_QUEUE, log_address, secret_files
from service.verified_engine import open_verified_engine, trust_of

app = typer.Typer()

COLOURS = {
    Verdict.PASS: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red",
    Verdict.NOT_CHECKED: "dim",
}  # fmt: skip


@app.command()
def selfcheck(
    url: Annotated[
        str | None, typer.Option(help="Of a service that runs; else one starts.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(exists=True, help="API key with the scopes predict and metrics.")
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option(exists=True, help="Where the running service logs to.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="PEM of the authority that signed the certificate of --url."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check settings, files, model, log and the whole way of a phantom; exit 1 if one fails."""
    set_up_logs("error")
    try:
        settings = read_settings()
    except (UnknownSetting, SettingsInvalid) as error:
        report([Result("settings", Verdict.FAIL, str(error), 0.0)], as_json=as_json)
        raise typer.Exit(1) from error
    key = None if key_file is None else key_file.read_text("utf-8").strip()
    running = None if url is None else RunningService(url.rstrip("/"), key, log_file, ca_file)
    stance = f"mode {settings.mode}, access {settings.access.mode}"
    results = [
        Result("settings", Verdict.PASS, stance, 0.0),
        *check_site(site_under_test(settings), running),
    ]
    report(results, as_json=as_json)
    raise typer.Exit(0 if is_accepted(results) else 1)


def site_under_test(settings: Settings) -> SiteUnderTest:
    """What the checks need to know, in plain values."""

    def prove(artifact: Artifact) -> str:
        engine = open_verified_engine(settings, artifact)
        engine.close()
        return f"{engine.name} ({engine.device})"

    return SiteUnderTest(
        log=log_address(settings),
        store=find_model_store(settings.model.store),
        trust=trust_of(settings),
        secrets=secret_files(settings),
        prove=prove,
        build_app=lambda log: _build_app(settings, log),
        pacs=_pacs_site(settings),
    )


def report(results: Iterable[Result], *, as_json: bool) -> None:
    """The list, and whether the installation may be accepted."""
    found = list(results)
    if as_json:
        body = {"accepted": is_accepted(found), "checks": [asdict(result) for result in found]}
        typer.echo(json.dumps(body, indent=1))
        return
    table = Table(box=None, header_style="bold")
    for heading in ("check", "verdict", "what was found", "seconds"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for result in found:
        verdict = f"[{COLOURS[result.verdict]}]{result.verdict.replace('_', ' ')}[/]"
        table.add_row(result.name, verdict, escape(result.detail), f"{result.seconds:.1f}")
    console = Console(emoji=False)
    console.print(table)
    counts = {verdict: sum(r.verdict is verdict for r in found) for verdict in Verdict}
    told = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in counts.items())
    console.print(f"[bold]{'accepted' if is_accepted(found) else 'NOT accepted'}[/bold]: {told}")


def _build_app(settings: Settings, log: LogAddress) -> FastAPI:
    """The site's own service, with a log of its own and nobody but this process to serve."""
    record = {"url": log.url, "site_key_file": log.key, "password_file": None}
    changed = settings.model_copy(
        update={
            "record": settings.record.model_copy(update=record),
            "server": settings.server.model_copy(update={"host": "127.0.0.1", "port": 0}),
            "access": AccessSettings(keys_file=log.state[API_KEYS]),
            "pacs": settings.pacs.model_copy(
                update={"queue_file": log.state[PACS_QUEUE], "start": "now"}
            ),
        }
    )
    return create_app(changed)


def _pacs_site(settings: Settings) -> PacsSite | None:
    pacs = settings.pacs
    if pacs.url is None:
        return None
    auth = None
    if pacs.user is not None and pacs.password_file is not None:
        auth = (pacs.user, pacs.password_file.read_text("utf-8").strip())
    return PacsSite(url=pacs.url, auth=auth, ca_file=pacs.ca_file, queue_file=pacs.queue_file)
