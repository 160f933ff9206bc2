"""`cxr-triage serve`, by itself: whoever only serves does not wait for the other commands.

Their imports are many, and none of them serves.
"""

import sys
from collections.abc import Mapping
from errno import EDQUOT, ENOSPC, EROFS
from typing import Annotated, NoReturn

import structlog
import typer
from pydantic import ValidationError

from service import __version__
from service.answers import NOTICE
from service.app import create_app
from service.core.errors import CxrError
from service.environment import (
    ReleaseDiffers,
    SettingFixed,
    SettingsInvalid,
    UnknownSetting,
    faults_of,
    read_settings,
)
from service.logs import set_up_logs, write_out_logs
from service.record import Mode, ModelStamp
from service.server import build_server
from service.settings import Settings
from service.verified_engine import HeadStart

log: structlog.stdlib.BoundLogger = structlog.get_logger()

REFUSED_EXIT = 2
"""Settings or model are not as they must be; nothing was started."""

UNWRITABLE = (EROFS, ENOSPC, EDQUOT)
"""A file system that is read-only, as the model store of the image is, or full."""

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"cxr-triage {__version__}")
        raise typer.Exit


def _common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Options of the command itself."""


def open_command_line() -> typer.Typer:
    """The command, before any word that may follow it is added."""
    command = typer.Typer(
        name="cxr-triage",
        help=f"Reads frontal chest radiographs and says which to open first. {NOTICE}",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    command.callback()(_common)
    return command


app = open_command_line()


def run(command: typer.Typer, head_start: HeadStart | None = None) -> None:
    """Run a command line; a mistake of the operator is one line, not a stack trace."""
    try:
        command(obj=head_start)
    except CxrError as error:
        _refuse({error.code: str(error)})
    except UnknownSetting as error:
        _refuse({"UNKNOWN_SETTING": str(error)})
    except ReleaseDiffers as error:
        _refuse({"RELEASE_DIFFERS": str(error)})
    except SettingFixed as error:
        _refuse({"SETTING_FIXED": str(error)})
    except SettingsInvalid as error:
        _refuse(error.reasons)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        _refuse({"FILE_UNREADABLE": f"{error.filename}: {error.strerror}"})
    except OSError as error:
        if error.filename is None and error.errno not in UNWRITABLE:
            raise  # of no file: not the operator's mistake
        name = "FILE_UNWRITABLE" if error.errno in UNWRITABLE else "FILE_UNREADABLE"
        _refuse({name: f"{error.filename or 'a file'}: {error.strerror}"})
    except ValidationError as error:
        faults = (f"{at}: {why}" if at else why for at, why in faults_of(error).items())
        _refuse({"VALUE_REFUSED": "; ".join(faults)})


def _refuse(reasons: Mapping[str, str]) -> NoReturn:
    from rich.console import Console  # noqa: PLC0415 - a service that starts does without
    from rich.markup import escape  # noqa: PLC0415 - the same

    write_out_logs()
    for name, reason in reasons.items():
        line = f"[red]{escape(name)}[/red] {escape(reason)}"
        Console(stderr=True, emoji=False).print(line, soft_wrap=True, highlight=False)
    sys.exit(REFUSED_EXIT)


def main(head_start: HeadStart | None = None) -> None:
    """Serve, or say why not."""
    run(app, head_start)


@app.command()
def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    mode: Annotated[Mode | None, typer.Option(help="`shadow` tells no prediction.")] = None,
) -> None:
    """Serve radiographs over HTTP until a signal ends it."""
    settings = with_options(read_settings(), host, port, mode)
    set_up_logs(settings.log_level)
    application = create_app(settings, context.obj)

    def announce(bound_port: int) -> None:
        log.info("server.listening", host=settings.server.host, port=bound_port)
        if settings.access.mode == "off":
            log.warning("access.off", host=settings.server.host)
        if sys.stdout.isatty():  # elsewhere it would stand among the lines of the log
            _greet(settings, application.state.runtime.model.stamp, bound_port)

    build_server(
        application,
        host=settings.server.host,
        port=settings.server.port,
        drain_seconds=settings.server.drain_seconds,
        on_started=announce,
        body_seconds=settings.intake.body_seconds,
        trusted_proxies=settings.access.trusted_proxies,
    ).run_to_end()


def _greet(settings: Settings, model: ModelStamp, port: int) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

    from service.banner import banner_of  # noqa: PLC0415 - the same

    Console().print(banner_of(settings, model, port))


def with_options(
    settings: Settings, host: str | None, port: int | None, mode: Mode | None
) -> Settings:
    """Settings with what the command line says instead, checked by the same bounds."""
    server = {"host": host, "port": port}
    given = {name: value for name, value in server.items() if value is not None}
    changed = type(settings.server).model_validate(settings.server.model_dump() | given)
    return settings.model_copy(
        update={"server": changed, "mode": mode.value if mode else settings.mode}
    )
