"""What a terminal shows once the service listens."""

import os
from pathlib import Path
from typing import Final

from rich.panel import Panel

from service import __version__
from service.answers import NOTICE
from service.record import ModelStamp
from service.settings import Settings

START_TIME_FIELD: Final = 19
"""Place of `starttime` in /proc/self/stat, counted after the name of the process."""

OPEN_HOUSE: Final = "[red]off[/red]: whoever sits at this machine is let in"


def seconds_alive() -> float:
    """Age of this process, imports included, as an operator waits for it (proc(5))."""
    after_name = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    uptime_seconds = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return uptime_seconds - int(after_name[START_TIME_FIELD]) / os.sysconf("SC_CLK_TCK")


def banner_of(settings: Settings, model: ModelStamp, port: int) -> Panel:
    """Where it listens, what serves, who is let in, and what it is not."""
    url = f"http://{settings.server.host}:{port}"
    return Panel.fit(
        f"[bold]{url}[/bold]   ready in {seconds_alive():.1f} s\n"
        f"model  {model.name}/{model.version}  {model.digest[:19]}\n"
        f"mode   {settings.mode}\n"
        f"access {_access_of(settings)}\n"
        f"docs   {url}/docs\n"
        f"[yellow]{NOTICE}[/yellow]",
        title=f"cxr-triage {__version__}",
    )


def _access_of(settings: Settings) -> str:
    if settings.access.mode == "off":
        return OPEN_HOUSE
    return "on" if settings.access.oidc_issuer is None else "on, sign-in for people"
