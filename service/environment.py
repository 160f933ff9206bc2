"""The environment -> Settings, once at start; a name that no setting has is refused."""

import difflib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from service import __version__
from service.settings import DELIMITER, PREFIX, Settings

_COLLECTIONS = (dict, frozenset, list)


class UnknownSetting(ValueError):
    """An environment variable with our prefix that no setting reads."""


class ReleaseDiffers(ValueError):
    """The program is not of the release that its configuration is for."""


class SettingFixed(ValueError):
    """A variable that would have no effect: the installation sets it."""


class SettingsInvalid(ValueError):
    """Variables whose values are not as they must be; none is repeated, it may be a password."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {reason}" for name, reason in reasons.items()))
        self.reasons = dict(reasons)


def read_settings() -> Settings:
    """Read the environment and refuse what would be silently ignored.

    Raises
    ------
    UnknownSetting
        A `CXR_` variable that is misspelt or belongs to another version.
    SettingsInvalid
        Values are out of their bounds.
    """
    refuse_unknown(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        told = faults_of(error).items()
        raise SettingsInvalid({f"{PREFIX}{at}".upper(): why for at, why in told}) from None
    except SettingsError:
        # It names the group alone, and may not say which of its variables.
        raise SettingsInvalid(dict.fromkeys(_not_json(), "is not JSON")) from None


def refuse_unknown(names: Iterable[str], *, in_capitals: bool = False) -> None:
    """Look at names alone, so that whoever calls it needs no value.

    Parameters
    ----------
    in_capitals
        Small letters make another name: the service reads either, Compose hands on capitals alone.

    Raises
    ------
    UnknownSetting
        Some have our prefix, and no setting reads them.
    """
    known = [name for name, _ in describe_settings()]
    ours = (name for name in names if name.upper().startswith(PREFIX))
    spelt = {name: name if in_capitals else name.upper() for name in ours}
    unknown = [_unknown(name, known) for name, read in spelt.items() if read not in known]
    if unknown:
        raise UnknownSetting("; ".join(unknown))


def refuse_changed(environment: Mapping[str, str], fixed: Iterable[str]) -> None:
    """Hold what an installation decides, where a site's file would be ignored without a word.

    Parameters
    ----------
    fixed
        `NAME=VALUE` may be unset or have that value; a `NAME` alone may only be unset or empty.

    Raises
    ------
    SettingFixed
        One has another value.
    """
    decided = dict(entry.partition("=")[::2] for entry in fixed)
    changed = [name for name, value in decided.items() if environment.get(name, value) != value]
    if changed:
        raise SettingFixed(f"{', '.join(changed)}: decided by the installation, not by its .env")


def refuse_other_release(expected: str) -> None:
    """Hold the program to the configuration that came with it.

    Raises
    ------
    ReleaseDiffers
        This is another release: its image was built, or loaded, before.
    """
    if expected != __version__:
        raise ReleaseDiffers(
            f"the image is of release {__version__}, its configuration of {expected}"
        )


def faults_of(error: ValidationError) -> dict[str, str]:
    """Why each value is refused, by its place; never the value."""
    return {DELIMITER.join(map(str, fault["loc"])): fault["msg"] for fault in error.errors()}


def describe_settings() -> Iterator[tuple[str, str]]:
    """Each environment variable with its line of description, in order."""
    for name, field in _fields():
        yield name, field.description or ""


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            for inner, detail in group.model_fields.items():
                yield f"{PREFIX}{name}{DELIMITER}{inner}".upper(), detail
        else:
            yield f"{PREFIX}{name}".upper(), field


def _not_json() -> Iterator[str]:
    """Variables that hold a list or an object, and whose text cannot be read as one."""
    written = {name for name, field in _fields() if get_origin(field.annotation) in _COLLECTIONS}
    for name, value in os.environ.items():
        if name.upper() in written:
            try:
                json.loads(value)
            except ValueError:
                yield name.upper()


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.upper(), known, n=1)
    hint = f"; did you mean {close[0]}?" if close else "; docs/settings.md lists all of them"
    return f"{name} is not a setting{hint}"
