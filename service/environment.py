"""The environment -> Settings, once at start; a name that no setting has is refused."""

import difflib
import os
from collections.abc import Iterator

from pydantic import BaseModel

from service.settings import DELIMITER, PREFIX, Settings


class UnknownSetting(ValueError):
    """An environment variable with our prefix that no setting reads."""


def read_settings() -> Settings:
    """Read the environment and refuse what would be silently ignored.

    Raises
    ------
    UnknownSetting
        A `CXR_` variable that is misspelt or belongs to another version.
    pydantic.ValidationError
        A value is out of its bounds.
    """
    known = [name for name, _ in describe_settings()]
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise UnknownSetting(_unknown(name, known))
    return Settings()


def describe_settings() -> Iterator[tuple[str, str]]:
    """Each environment variable with its line of description, in order."""
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            for inner, detail in group.model_fields.items():
                yield f"{PREFIX}{name}{DELIMITER}{inner}".upper(), detail.description or ""
        else:
            yield f"{PREFIX}{name}".upper(), field.description or ""


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.upper(), known, n=1)
    hint = f"; did you mean {close[0]}?" if close else "; docs/settings.md lists all of them"
    return f"{name} is not a setting{hint}"
