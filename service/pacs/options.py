"""What the site says of its PACS, as plain values; the composition root makes it from settings."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from service.core.errors import CxrError


class Start(StrEnum):
    """Where the first contact with a PACS begins."""

    NOW = "now"
    BEGINNING = "beginning"


class PacsMisconfigured(CxrError):
    """The way in cannot be opened as it is set."""

    code = "PACS_MISCONFIGURED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PacsOptions:
    """One Orthanc and how it is asked.

    Attributes
    ----------
    modalities
        Instances of others are counted and never pulled.
    retry_seconds
        Wait before the second try; doubles with each.
    pull_seconds
        Longest time that one instance may take to arrive.
    most_waiting
        Beyond as many no more changes are read; the PACS keeps them for us.
    """

    url: str
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    modalities: frozenset[str] = frozenset({"CR", "DX"})
    start: Start = Start.NOW
    queue_file: Path = Path("record/pacs.db")
    poll_seconds: float = 1.0
    retry_seconds: float = 2.0
    max_tries: int = 10
    parallel_pulls: int = 2
    pull_seconds: float = 60.0
    most_waiting: int = 20_000
