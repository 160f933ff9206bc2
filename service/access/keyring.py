"""The keys of a running service: read again as soon as the file is another one."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from service.access.keyfile import Signature, StoredKey, load_keys, signature_of
from service.access.keys import ApiKey, is_same, read_key
from service.access.refusals import CredentialsInvalid, KeysUnavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

NEVER: Final = float("inf")


class KeyRing:
    """Looks keys up; a file that is missing or damaged opens for nobody.

    The last good keys are not kept in use: whoever takes the file away, or damages it while a key
    is revoked, must not thereby keep that key alive.

    Parameters
    ----------
    clock
        The time of now, with a zone.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
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
        self._refresh()
        if self._fault is not None:
            raise KeysUnavailable(self._fault)

    @property
    def is_available(self) -> bool:
        """Whether keys can be looked up now."""
        self._refresh()
        return self._fault is None

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

    def _refresh(self) -> None:
        try:
            signature = signature_of(self._path.stat())
        except OSError:
            signature = None
        if signature is not None and signature == self._signature:
            return
        try:
            loaded, self._signature = load_keys(self._path)
        except KeysUnavailable as error:
            self._close(signature, str(error))
            return
        self._known = {key.id: key.as_known() for key in loaded.keys}
        self._ends = tuple(_ends_of(loaded.keys))
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
