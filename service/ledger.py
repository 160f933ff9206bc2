"""Case -> its one row in the shadow log; and whether it was answered before."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import NoReturn, TypeVar

import structlog

from service.answers import Body, by_finding
from service.case import Case
from service.core.errors import RecordUnavailable, ReplayConflict
from service.core.inference import Scores
from service.core.radiograph import FileFormat
from service.core.triage import Triage
from service.logs import describe_error
from service.record import (
    Entry,
    Mode,
    ModelStamp,
    Outcome,
    Pseudonymiser,
    Pseudonyms,
    Record,
    Upload,
    age_band_of,
)
from service.record.server import LOCK_SECONDS

log: structlog.stdlib.BoundLogger = structlog.get_logger()

T = TypeVar("T")

PROBE_SECONDS = 5.0
"""Between two writes that ask whether a log which refused a row takes rows again."""


class AnsweredBefore(Exception):
    """The same SOP instance, bytes, model and mode have an answer already."""

    def __init__(self, entry: Entry) -> None:
        super().__init__("answered before")
        self.entry = entry


class Ledger:
    """Writes rows in the words of the shadow log.

    Parameters
    ----------
    clock
        Seconds, monotonic; measures how long a row takes to be durable.
    pause
        Waits between two probes of a log that refused a row.
    """

    def __init__(
        self,
        *,
        record: Record,
        pseudonymiser: Pseudonymiser,
        mode: Mode,
        model: ModelStamp,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._record = record
        self._pseudonymiser = pseudonymiser
        self._mode = mode
        self._model = model
        self._clock = clock
        self._pause = pause
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_writable(self) -> bool:
        """False after a row was refused, until something was written: a full disk stays full."""
        return self._probing is None

    def draw(self, entry_id: str) -> str:
        """See `Pseudonymiser.draw`."""
        return self._pseudonymiser.draw(entry_id)

    async def look_up(self, case: Case) -> None:
        """Return only if the case is new.

        Raises
        ------
        AnsweredBefore
            Carries the row whose answer is repeated.
        ReplayConflict
            Its SOP instance was answered before with other pixels.
        """
        sop_instance = self._pseudonyms(case).sop_instance
        if sop_instance is None:
            return
        upload = Upload(
            sop_instance=sop_instance,
            input_digest=case.input_digest,
            pixel_digest=case.pixel_digest,
            model_digest=self._model.digest,
            mode=self._mode,
        )
        earlier = await self._ask(self._record.find_answer(upload))
        if earlier is not None:
            raise AnsweredBefore(earlier)

    async def write_evaluated(
        self, case: Case, scores: Scores, triaged: Triage, answer: Body
    ) -> None:
        """Make the row of an evaluated radiograph durable."""
        await self._append(
            case,
            Outcome.EVALUATED,
            probabilities=by_finding(scores.probabilities),
            tta_spread=by_finding(scores.tta_spread),
            triaged=triaged,
            answer=answer,
        )

    async def write_not_evaluated(self, case: Case, reason: str, answer: Body) -> None:
        """Make the row of a radiograph outside the intended use durable."""
        await self._append(case, Outcome.NOT_EVALUATED, reason=reason, answer=answer)

    async def write_replayed(self, case: Case, earlier: Entry) -> None:
        """Make the row of a repeated upload durable."""
        await self._append(case, Outcome.REPLAYED, replay_of=earlier.id)

    async def refuse(self, case: Case, conflict: ReplayConflict) -> NoReturn:
        """Note a contradicted SOP instance, then refuse the upload.

        Raises
        ------
        ReplayConflict
            Always, once its row is durable.
        """
        await self._append(case, Outcome.CONFLICT, reason=conflict.code)
        raise conflict

    async def _append(
        self,
        case: Case,
        outcome: Outcome,
        *,
        reason: str | None = None,
        probabilities: Mapping[str, float] | None = None,
        tta_spread: Mapping[str, float] | None = None,
        triaged: Triage | None = None,
        answer: Body | None = None,
        replay_of: str | None = None,
    ) -> None:
        entry = Entry(
            id=case.id,
            received_at=case.received_at,
            mode=self._mode,
            outcome=outcome,
            reason=reason,
            file_format=case.file_format or FileFormat.DICOM,
            input_digest=case.input_digest,
            pixel_digest=case.pixel_digest,
            scanner_alias=case.scanner,
            age_band=age_band_of(case.dicom.age_years if case.dicom else None),
            pseudonyms=self._pseudonyms(case),
            model=self._model,
            probabilities=probabilities,
            tta_spread=tta_spread,
            out_of_distribution=case.out_of_distribution,
            priority=triaged.priority if triaged else None,
            flags=triaged.flags if triaged else (),
            review_reasons=triaged.review_reasons if triaged else (),
            cautions=tuple(caution.code for caution in case.cautions),
            seconds=dict(case.seconds),
            answer=answer,
            replay_of=replay_of,
        )
        with case.timed("record", self._clock):
            await self._ask(self._record.append(entry))
        case.outcome, case.reason, case.priority = outcome, reason, entry.priority

    async def _ask(self, question: Coroutine[None, None, T]) -> T:
        """Ask the log, and learn how that ends even where the caller's deadline comes first."""
        asked = asyncio.create_task(question)
        asked.add_done_callback(self._learn)
        began = self._clock()
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            if self._clock() - began > LOCK_SECONDS:  # by then a log that is only busy has answered
                self._begin_probing()
            raise

    def _learn(self, asked: asyncio.Task[T]) -> None:
        if not asked.cancelled() and isinstance(asked.exception(), RecordUnavailable):
            self._begin_probing()

    def _begin_probing(self) -> None:
        self._probing = self._probing or asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        """Try until a write succeeds; no radiograph has to be refused to find it out."""
        while True:
            await self._pause(PROBE_SECONDS)
            try:
                can_write = await self._record.can_write()
            except Exception as error:  # noqa: BLE001 - task boundary: nobody else would ask again
                log.error("record.probe_failed", **describe_error(error))
                continue
            if can_write:
                self._probing = None
                return

    def _pseudonyms(self, case: Case) -> Pseudonyms:
        return self._pseudonymiser.pseudonyms_of(case.dicom)
