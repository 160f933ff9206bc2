"""The file of API keys: JSON, written whole and in one step, by one command at a time."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.access.keys import ApiKey
from service.access.refusals import KeysFull, KeysUnavailable, KeyUnknown
from service.access.scopes import Scope
from service.core.files import PRIVATE, write_whole

MOST_KEYS: Final = 1000
"""Bounds the file, the memory for it, and the buckets of the rate limits."""
MOST_BYTES: Final = 1_000_000
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
KEPT: Final = timedelta(days=90)
"""How long a dead key stays in the file, so that its id can still be told in a log."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$")]
PerMinute = Annotated[int, Field(ge=1, le=100_000)]
BodyBytes = Annotated[int, Field(ge=1_000, le=1_000_000_000)]


class StoredKey(BaseModel):
    """One key of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: Name
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[list[Scope], Field(min_length=1)]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    replaced_by: str | None = None
    requests_per_minute: PerMinute | None = None
    max_body_bytes: BodyBytes | None = None

    def ended(self) -> datetime | None:
        """When it stopped, or will stop, to be good; None: never."""
        return min((at for at in (self.expires, self.revoked) if at is not None), default=None)

    def state(self, now: datetime) -> Literal["live", "expired", "revoked"]:
        """As `keys list` says it."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "live"

    def as_known(self) -> ApiKey:
        """For comparing."""
        return ApiKey(
            id=self.id, name=self.name, digest=bytes.fromhex(self.digest),
            scopes=frozenset(self.scopes), expires=self.expires, revoked=self.revoked,
            requests_per_minute=self.requests_per_minute, max_body_bytes=self.max_body_bytes,
        )  # fmt: skip


class KeyFile(BaseModel):
    """All of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    keys: Annotated[list[StoredKey], Field(max_length=MOST_KEYS)] = []

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        if len({key.id for key in self.keys}) != len(self.keys):
            raise ValueError("two keys have one id")
        return self

    def find(self, key_id: str) -> StoredKey:
        """The key of that id.

        Raises
        ------
        KeyUnknown
            There is none.
        """
        for key in self.keys:
            if key.id == key_id:
                return key
        raise KeyUnknown("no key has this id; `cxr-triage keys list` shows all of them")

    def with_key(self, added: StoredKey) -> "KeyFile":
        """The file with one more, or with the newer form of one.

        Raises
        ------
        KeysFull
            No room.
        """
        others = [key for key in self.keys if key.id != added.id]
        if len(others) >= MOST_KEYS:
            raise KeysFull(f"{MOST_KEYS} keys are in the file; revoke some")
        return KeyFile(keys=[*others, added])

    def without_dead(self, now: datetime) -> "KeyFile":
        """The file without keys that ended long ago."""
        ends = [(key, key.ended()) for key in self.keys]
        return KeyFile(keys=[key for key, end in ends if end is None or end > now - KEPT])


Signature = tuple[int, int, int]


def signature_of(state: os.stat_result) -> Signature:
    """Differs whenever the file was replaced or written."""
    return state.st_mtime_ns, state.st_size, state.st_ino


def load_keys(path: Path) -> tuple[KeyFile, Signature]:
    """Read the file and refuse it whole if anything in it is not as it must be.

    Raises
    ------
    KeysUnavailable
        Missing, unreadable, writable by others, too large, or damaged; the path is not told.
    """
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            body = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise KeysUnavailable(f"the keys file cannot be read: {type(error).__name__}") from error
    if state.st_mode & OTHERS_WRITE:
        raise KeysUnavailable("others than its owner may write the keys file")
    if len(body) > MOST_BYTES:
        raise KeysUnavailable(f"the keys file has more than {MOST_BYTES} bytes")
    try:
        return KeyFile.model_validate_json(body), signature_of(state)
    except ValidationError as error:
        raise KeysUnavailable("the keys file is damaged") from error


def edit_keys(path: Path, change: Callable[[KeyFile], KeyFile], *, now: datetime) -> None:
    """Change the file under a lock; it is made where it is missing, private to its owner.

    Raises
    ------
    KeysUnavailable
        There is one, and it is not as it must be.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path):
        before = load_keys(path)[0] if path.exists() else KeyFile()
        after = change(before.without_dead(now))
        body = after.model_dump_json(indent=2, exclude_none=True)
        write_whole(path, f"{body}\n".encode(), PRIVATE)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
