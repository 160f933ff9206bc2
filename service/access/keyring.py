"""The keys of a running service: read again as soon as the file is another one."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from service.access.keyfile import KeyFile, Signature, StoredKey
from service.access.keylook import KeyAsker, Look
from service.access.keys import ApiKey, is_same, read_key
from service.access.refusals import CredentialsInvalid, KeysUnavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

NEVER: Final = float("inf")
BELIEVED_SECONDS: Final = 5.0
"""How long keys are good that were in the file, while its file system does not answer."""
SILENT: Final = "the file system of the keys file does not answer"


class KeyRing:
    """Looks keys up; a file that is missing or damaged opens for nobody.

    The last good keys are not kept in use: whoever takes the file away, or damages it while a key
    is revoked, must not thereby keep that key alive. So it is, after some seconds, where the file
    system does not answer; nobody waits for that.

    Parameters
    ----------
    clock
        The time of now, with a zone.
    asker
        Looks at the file.
    monotonic
        Seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], datetime],
        asker: KeyAsker | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._asker = asker or KeyAsker(path)
        self._clock = clock
        self._monotonic = monotonic
        self._seen_at = -NEVER
        self._is_silent = False
        self._known: Mapping[str, ApiKey] = {}
        self._ends: tuple[float, ...] = ()
        self._signature: Signature | None = None
        self._fault: str | None = "the keys file was not read yet"
        self._is_told = False

    def find(self, text: str) -> ApiKey:
        """The key whose text this is, if it is good now.

        Raises
        ------
        CredentialsInvalid, KeyExpired, KeyRevoked
            It is not.
        KeysUnavailable
            Nobody can be known now.
        """
        self.check()
        shown = read_key(text)
        known = self._known.get(shown.id)
        if not is_same(shown, known) or known is None:
            raise CredentialsInvalid("no key of this service", key_id=shown.id)
        known.check_alive(self._clock())
        return known

    def check(self) -> None:
        """Read the file again if it changed.

        Raises
        ------
        KeysUnavailable
            It is not as it must be.
        """
        fault = self._current_fault()
        if fault is not None:
            raise KeysUnavailable(fault)

    @property
    def is_available(self) -> bool:
        """Whether keys can be looked up now."""
        return self._current_fault() is None

    @property
    def next_expiry(self) -> float:
        """Unix time at which the first live key without a successor ends; infinite without one."""
        self._refresh()
        now = self._clock().timestamp()
        return min((end for end in self._ends if end > now), default=NEVER)

    @property
    def last_expiry(self) -> float:
        """Unix time at which the last expired key without a successor ended; or infinite."""
        self._refresh()
        now = self._clock().timestamp()
        return max((end for end in self._ends if end <= now), default=NEVER)

    def _current_fault(self) -> str | None:
        self._refresh()
        return SILENT if self._is_silent else self._fault

    def _refresh(self) -> None:
        """Look at the file; a look that comes late is taken too, and one more asked for."""
        now = self._monotonic()
        look = self._asker.ask(now, self._signature)
        while look is not None:
            self._take(look)
            look = self._asker.ask(now, self._signature) if look.at < now else None
        is_silent = now - self._seen_at > BELIEVED_SECONDS
        if is_silent and not self._is_silent:
            log.error("access.keys_refused", reason=SILENT)
        elif self._is_silent and not is_silent:
            log.info("access.keys_answered")
        self._is_silent = is_silent

    def _take(self, look: Look) -> None:
        self._seen_at = look.at
        if look.fault is not None:
            self._close(look.signature, look.fault)
        elif look.file is not None:
            self._open(look.signature, look.file)

    def _open(self, signature: Signature | None, file: KeyFile) -> None:
        self._known = {key.id: key.as_known() for key in file.keys}
        self._ends = tuple(_ends_of(file.keys))
        self._signature = signature
        self._fault, self._is_told = None, False
        log.info("access.keys_read", rows=len(self._known))

    def _close(self, signature: Signature | None, fault: str) -> None:
        self._known, self._ends = {}, ()
        self._signature, self._fault = signature, fault
        if not self._is_told:
            log.error("access.keys_refused", reason=fault)
        self._is_told = True


def _ends_of(keys: list[StoredKey]) -> Iterator[float]:
    """Expiry of each key that nobody revoked and that has no successor."""
    for key in keys:
        if key.expires is not None and key.revoked is None and key.replaced_by is None:
            yield key.expires.timestamp()
