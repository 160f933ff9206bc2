"""Dated exceptions from the rules of the supply chain; one that has expired is a fault."""

import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

EXCEPTIONS = Path(__file__).with_name("exceptions.toml")
LONGEST_DAYS = 400
"""Whoever wants longer must look again."""


class _Exception(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    reason: str = Field(min_length=20)
    until: date


class LicenceException(_Exception):
    """A package, or a library inside it, under a licence that is not permissive."""

    licence: str
    inside: str | None = None


class AdvisoryException(_Exception):
    """An advisory that does not concern the way in which the service uses the package."""

    id: str = Field(pattern=r"^(CVE|GHSA|PYSEC|OSV)-[A-Za-z0-9-]+$")


class Exceptions(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    licence: tuple[LicenceException, ...] = ()
    advisory: tuple[AdvisoryException, ...] = ()

    def faults(self, today: date) -> Iterator[str]:
        """Those whose day has come, and those that run too long."""
        for exception in (*self.licence, *self.advisory):
            if exception.until < today:
                yield f"the exception for {exception.package} expired on {exception.until}"
            if (exception.until - today).days > LONGEST_DAYS:
                yield f"the exception for {exception.package} runs longer than {LONGEST_DAYS} days"


def read_exceptions(path: Path = EXCEPTIONS) -> Exceptions:
    """Read the file; a misspelt key is refused."""
    return Exceptions.model_validate(tomllib.loads(path.read_text("utf-8")))
