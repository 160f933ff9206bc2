"""Why an instance has no answer yet, and whether trying again can help."""

from enum import StrEnum
from typing import Final

from service.core.errors import CapacityError, CxrError, DeadlineExceeded, EngineFailed

UNREACHABLE: Final = "PACS_UNREACHABLE"
FORBIDDEN: Final = "PACS_FORBIDDEN"
TIMEOUT: Final = "PACS_TIMEOUT"
FAILED: Final = "PACS_FAILED"
INVALID: Final = "PACS_ANSWER_INVALID"
GONE: Final = "PACS_INSTANCE_GONE"
INTERNAL: Final = "INTERNAL"

PACS_CODES: Final = (UNREACHABLE, FORBIDDEN, TIMEOUT, FAILED, INVALID, GONE)
"""Of the way in alone; all other codes of a dead letter are those of a problem body."""


class Blame(StrEnum):
    """Whose fault it is, which decides what comes next."""

    PACS = "pacs"
    """It is away as a whole: wait, and hold it against no instance."""
    SERVICE = "service"
    """No room, or no row can be written: the same."""
    TRY = "try"
    """Perhaps this instance: try again, a bounded number of times."""
    EITHER = "either"
    """The service's while it is broken as a whole, else perhaps this instance's."""
    INSTANCE = "instance"
    """This very instance, and no try will mend it."""
    GONE = "gone"
    """It was deleted before it was pulled."""


class PullFailure(Exception):
    """An instance was not answered; never holds what the PACS said."""

    def __init__(self, code: str, blame: Blame) -> None:
        super().__init__(code)
        self.code = code
        self.blame = blame


def failure_of(error: CxrError) -> PullFailure:
    """What an error of our own pipeline means for the instance."""
    if isinstance(error, EngineFailed | DeadlineExceeded):
        return PullFailure(error.code, Blame.EITHER)
    if isinstance(error, CapacityError):
        return PullFailure(error.code, Blame.SERVICE)
    return PullFailure(error.code, Blame.INSTANCE)
