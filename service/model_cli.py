"""`cxr-triage model ...`: what is in the store, which version serves, and how that changes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service import signature
from service.core import store as model_store
from service.core.artifact import Artifact, load_artifact, load_current
from service.engine.base import Engine
from service.signature import SIGNATURE, SigningKey

app = typer.Typer(help="The model that serves.", no_args_is_help=True)

Reference = Annotated[str, typer.Argument(help="name/version, as `model list` shows it.")]


@dataclass(frozen=True, slots=True)
class ModelAddress:
    """Where the store is and how an engine is opened; the command line makes it."""

    store: Path
    open_engine: Callable[[Artifact], Engine]
    """Refuses a version that the configured key did not sign, and one that scores otherwise."""
    asks_for_signature: bool = False


@app.command(name="list")
def list_models(context: typer.Context) -> None:
    """Show every version of the store, each verified to its last byte."""
    table = Table(box=None, header_style="bold")
    for heading in ("version", "role", "audit", "created", "digest"):
        table.add_column(heading, no_wrap=heading != "digest")
    for version in model_store.list_versions(context.obj.store):
        table.add_row(
            Text(version.reference), " ".join(version.roles) or "-", version.audit or "-",
            version.created[:10] or "-", Text(version.fault or version.digest[:19]),
        )  # fmt: skip
    Console().print(table)


@app.command()
def verify(context: typer.Context) -> None:
    """Check every digest, the signature where a key is configured, and the golden scores."""
    artifact = load_current(context.obj.store)
    engine = context.obj.open_engine(artifact)
    engine.close()
    typer.echo(f"{artifact.reference} {artifact.digest}")
    typer.echo(f"{len(artifact.files)} files as the manifest names them")
    if context.obj.asks_for_signature:
        typer.echo(f"{SIGNATURE} is by the configured key")
    else:
        typer.echo("signature not asked for: no key is configured")
    typer.echo(f"golden scores reproduced on {engine.name} ({engine.device})")


@app.command()
def sign(
    context: typer.Context,
    reference: Reference,
    key: Annotated[Path, typer.Option(exists=True, help="Private key (PEM, P-256 or longer).")],
    password_file: Annotated[
        Path | None, typer.Option(exists=True, help="File with the password of the key.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(exists=True, help="Signing certificate of the key (PEM).")
    ] = None,
    chain: Annotated[
        list[Path] | None, typer.Option(exists=True, help="Certificates above it; repeatable.")
    ] = None,
) -> None:
    """Sign every file of a version; where the private key is, is where releases are made."""
    artifact = load_artifact(context.obj.store / reference)
    password = None if password_file is None else password_file.read_text("utf-8").strip()
    signature.sign(
        artifact, context.obj.store, SigningKey(key, password, certificate, tuple(chain or ()))
    )
    typer.echo(f"{artifact.reference} {artifact.digest} is signed: {SIGNATURE}")


@app.command()
def promote(
    context: typer.Context,
    reference: Reference,
    accept_audit: Annotated[
        str, typer.Option(help="Why it serves though the audit did not pass; kept in HISTORY.")
    ] = "",
) -> None:
    """Have a version serve, if digests, thresholds, audit and golden scores fit."""
    artifact = model_store.promote(
        context.obj.store, reference, prove=_prover(context.obj), accepted_because=accept_audit
    )
    typer.echo(f"{artifact.reference} {artifact.digest} serves; a running service takes it over")


@app.command()
def rollback(context: typer.Context) -> None:
    """Have the version serve again that served before."""
    artifact = model_store.rollback(context.obj.store, prove=_prover(context.obj))
    typer.echo(f"{artifact.reference} {artifact.digest} serves; a running service takes it over")


@app.command()
def candidate(
    context: typer.Context,
    reference: Annotated[str | None, typer.Argument(help="name/version to score.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Score none.")] = False,
) -> None:
    """Have a version scored in silence beside the one that serves, or none."""
    if none == (reference is not None):
        raise typer.BadParameter("name a version, or --none")
    if reference is None:
        model_store.drop_candidate(context.obj.store)
        typer.echo("nothing is scored in silence")
        return
    artifact = model_store.name_candidate(context.obj.store, reference)
    typer.echo(f"{artifact.reference} {artifact.digest} is scored in silence")


def _prover(address: ModelAddress) -> model_store.Prove:
    def prove(artifact: Artifact) -> None:
        address.open_engine(artifact).close()

    return prove
