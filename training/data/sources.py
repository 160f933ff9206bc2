"""`sources.toml`: licence and citation of each collection, and whose patients it may hold."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from service.core.findings import Finding
from training.config import first_fault

SOURCES = Path(__file__).parents[1] / "sources.toml"


class SourcesInvalid(ValueError):
    """The list of collections cannot be read; says where."""


class Collection(BaseModel):
    """One collection, under the name that `source` of a manifest has for it.

    Attributes
    ----------
    may_hold
        Another collection -> findings of this one whose images may be of patients of that one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    licence: str
    citation: str
    may_hold: dict[str, tuple[Finding, ...]] = {}


def read_sources(path: Path = SOURCES) -> dict[str, Collection]:
    """Every collection that is listed.

    Raises
    ------
    SourcesInvalid
        No UTF-8, no TOML, or a collection lacks its name, licence or citation.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        return TypeAdapter(dict[str, Collection]).validate_python(told)
    except ValidationError as error:
        raise SourcesInvalid(f"{path.name}: {first_fault(error)}") from error
    except ValueError as error:
        raise SourcesInvalid(f"{path.name}: {error}") from error


def shared_with(left_out: Sequence[str]) -> set[tuple[str, str]]:
    """(source, finding) groups that may hold patients of the sources to leave out.

    It holds both ways: where A may hold patients of B, leaving out A leaves out those of B too.
    """
    found = set()
    for source, collection in read_sources().items():
        for other, findings in collection.may_hold.items():
            if other in left_out:
                found |= {(source, finding.value) for finding in findings}
            if source in left_out:
                found |= {(other, finding.value) for finding in findings}
    return found
