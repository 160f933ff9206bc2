"""Sessions of people, and sign-ins under way: in memory, bounded, ended by idleness and by age.

They live on the server and the cookie holds nothing but a random name, so signing out ends a
session for whoever copied the cookie too, and there is no signing key to keep. A restart ends them
all; the identity provider then lets people in again without asking.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from service.access.caller import Caller

T = TypeVar("T")
TOKEN_BYTES: Final = 32
MOST_SESSIONS: Final = 1000
MOST_SIGN_INS: Final = 1000
SIGN_IN_SECONDS: Final = 600.0
"""To type a password and a second factor."""


@dataclass(slots=True)
class _Kept(Generic[T]):
    value: T
    opened_at: float
    asked_at: float


class Shelf(Generic[T]):
    """Values under random names; beyond `most` the one that was longest not asked for goes.

    Parameters
    ----------
    idle_seconds, seconds
        Longest time between two questions, and in all.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self, *, most: int, idle_seconds: float, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._most = most
        self._idle_seconds = idle_seconds
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, value: T) -> str:
        """Keep a value; returns its name, which is never used again."""
        name, now = secrets.token_urlsafe(TOKEN_BYTES), self._clock()
        self._kept[_place(name)] = _Kept(value, now, now)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> T | None:
        """The value of that name, unless its time is over."""
        place, now = _place(name), self._clock()
        kept = self._kept.get(place)
        if kept is None:
            return None
        is_idle = now - kept.asked_at > self._idle_seconds
        if is_idle or now - kept.opened_at > self._seconds:
            del self._kept[place]
            return None
        kept.asked_at = now
        self._kept.move_to_end(place)
        return kept.value

    def take(self, name: str) -> T | None:
        """The value of that name, which is then forgotten."""
        value = self.get(name)
        self._kept.pop(_place(name), None)
        return value


def _place(name: str) -> bytes:
    """A digest, so that the time of a look-up tells nothing about the names that are there."""
    return hashlib.sha256(name.encode()).digest()


@dataclass(frozen=True, slots=True)
class SignIn:
    """What must come back from the identity provider as it was sent."""

    state: str
    nonce: str
    code_verifier: str
    next_path: str


Sessions = Shelf[Caller]
SignIns = Shelf[SignIn]


def open_sessions(
    *, idle_seconds: float, seconds: float, clock: Callable[[], float]
) -> tuple[Sessions, SignIns]:
    """Two empty shelves."""
    sign_ins: SignIns = Shelf(
        most=MOST_SIGN_INS, idle_seconds=SIGN_IN_SECONDS, seconds=SIGN_IN_SECONDS, clock=clock
    )
    return (
        Shelf(most=MOST_SESSIONS, idle_seconds=idle_seconds, seconds=seconds, clock=clock),
        sign_ins,
    )
