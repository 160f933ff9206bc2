"""Whether a PACS that forbids an instance gives others, or forbids them all."""

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Giving:
    """Counts files that the PACS gave, and remembers the count at each instance's first refusal."""

    def __init__(self) -> None:
        self._given = 0
        self._first_refused: dict[str, int] = {}
        self._is_doubted = False

    def gave(self) -> None:
        """A file was given."""
        self._given += 1
        if self._is_doubted:
            self._is_doubted = False
            log.info("pacs.files_given")

    def forbids_one(self, instance: str, *, is_last: bool) -> bool:
        """Whether this refusal may be held against the instance; told of each refusal.

        Parameters
        ----------
        is_last
            It would be a dead letter. Then a file must have been given since its first refusal,
            or the PACS may be forbidding every instance, and each would end like this one.
        """
        given_then = self._first_refused.setdefault(instance, self._given)
        if not is_last or self._given > given_then:
            return True
        if not self._is_doubted:
            self._is_doubted = True
            log.warning("pacs.files_forbidden")
        return False

    def forget(self, instance: str) -> None:
        """It waits no more."""
        self._first_refused.pop(instance, None)
