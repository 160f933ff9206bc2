"""`cxr-train`: the acts as commands; every expected failure is one line and exit code 1."""

import json
import sys
from pathlib import Path
from typing import Annotated
from urllib.error import URLError

import typer
from rich.console import Console
from rich.markup import escape

from service.core.artifact import Manifest
from service.core.errors import CxrError
from training import cli_fit, cli_release
from training.checkpoint import RunDamaged
from training.cli_options import app
from training.config import ConfigInvalid
from training.data.dataset import StudyUnreadable
from training.data.sources import SourcesInvalid
from training.data.splits import SplitLeak
from training.data.studies import NoStudies
from training.distributed import TeamMismatch, leave_team
from training.drift.reference import TooFewImages
from training.fit import RunDiverged, RunMismatch
from training.manifest import TimeInvalid
from training.measures.results import RunIncomplete
from training.onnx_export import OnnxDiffers
from training.ood.fitting import DetectorRefused
from training.pretrained import PretrainedMissing
from training.release import ReleaseRefused
from training.soup import NoSuchMember

EXPECTED = (
    ConfigInvalid, CxrError, DetectorRefused, NoStudies, NoSuchMember, OnnxDiffers, OSError,
    PretrainedMissing, ReleaseRefused, RunDamaged, RunDiverged, RunIncomplete, RunMismatch,
    SourcesInvalid, SplitLeak, StudyUnreadable, TeamMismatch, TimeInvalid, TooFewImages,
)  # fmt: skip
EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
COMMANDS = (cli_fit, cli_release)
"""Modules whose commands are registered by being imported."""


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
        leave_team()
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
    Console(stderr=True).print(f"[red]cxr-train:[/] {escape(message)}", soft_wrap=True)
    sys.exit(EXIT_FAILED)
