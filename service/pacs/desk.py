"""What the way in asks of the service: the very path that a request takes."""

from typing import Protocol

from service.admission import Admission
from service.answers import Body
from service.case import Case
from service.core.intake import IntakeLimits
from service.metrics import Metrics
from service.record import Mode, Record


class Desk(Protocol):
    """The open service, as one who brings radiographs sees it."""

    @property
    def mode(self) -> Mode:
        """Whether anybody is told a result."""

    @property
    def limits(self) -> IntakeLimits:
        """Largest upload and picture."""

    @property
    def deadline_seconds(self) -> float:
        """Longest time for one answer."""

    @property
    def admission(self) -> Admission:
        """The door."""

    @property
    def record(self) -> Record:
        """The shadow log."""

    @property
    def metrics(self) -> Metrics:
        """The instruments of every radiograph."""

    async def is_broken(self, *, for_sure: bool) -> bool:
        """Whether nobody has an answer now, as the engine or the shadow log is broken.

        Parameters
        ----------
        for_sure
            Wait until the engine was asked about the failures of by now: some seconds.
        """

    async def answer(self, case: Case) -> Body:
        """Evaluate a radiograph and make its row durable."""

    def count_upload(self, case: Case) -> None:
        """Count what arrived whole."""

    def after_answer(self, case: Case) -> None:
        """Let the candidate look."""
