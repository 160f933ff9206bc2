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
    user: str | None
    password_file: Path | None
    ca_file: Path | None
    modalities: frozenset[str]
    start: Start
    queue_file: Path
    poll_seconds: float
    retry_seconds: float
    max_tries: int
    parallel_pulls: int
    pull_seconds: float
    most_waiting: int = 20_000
