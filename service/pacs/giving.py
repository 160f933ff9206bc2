"""Whether a PACS that gives no file of an instance gives others, or gives none at all."""

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Giving:
    """Counts files that the PACS gave, and remembers the count at each instance's first try."""

    def __init__(self) -> None:
        self._given = 0
        self._first_tried: dict[str, int] = {}
        self._is_doubted = False

    def gave(self) -> None:
        """A file was given."""
        self._given += 1
        if self._is_doubted:
            self._is_doubted = False
            log.info("pacs.files_given")

    def withholds_one(self, instance: str, code: str, *, is_last: bool) -> bool:
        """Whether this try may be held against the instance; told of each that got no file.

        Parameters
        ----------
        code
            Why it got none.
        is_last
            It would be a dead letter. Then a file must have been given since its first try, or
            the PACS may be withholding every file, and each instance would end like this one.
        """
        given_then = self._first_tried.setdefault(instance, self._given)
        if not is_last or self._given > given_then:
            return True
        if not self._is_doubted:
            self._is_doubted = True
            log.warning("pacs.files_withheld", code=code)
        return False

    def forget(self, instance: str) -> None:
        """It waits no more."""
        self._first_tried.pop(instance, None)
