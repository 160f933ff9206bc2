"""One radiograph, top to bottom; every ending leaves one durable row before it is told.

This file is the table of contents: a step that needs a loop or a branch belongs elsewhere.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from service.answers import Answers, Body, by_finding
from service.batcher import Batcher
from service.case import Case, ServedModel
from service.core.artifact import digest_of
from service.core.attention import Overlay, draw_backdrop, overlay_attention
from service.core.drift_scalars import sample_radiograph
from service.core.errors import DeadlineExceeded, NotEvaluated, ReplayConflict
from service.core.findings import Finding
from service.core.inference import Scores
from service.core.intake import IntakeLimits, read_radiograph, sniff
from service.core.ood import check_distribution
from service.core.preprocess import preprocess
from service.core.radiograph import DicomContext, FileFormat, Pixels, Radiograph
from service.core.scope import check_scope
from service.core.triage import triage
from service.decoders import Decoders
from service.drift_monitor import DriftMonitor
from service.drift_sighting import Sighting
from service.ledger import AnsweredBefore, Ledger
from service.metrics import Metrics
from service.scanners import Scanners


class Pipeline:
    """From the bytes of an upload to its answer.

    Parameters
    ----------
    decoders
        Threads that read and preprocess, off the event loop.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        *,
        model: ServedModel,
        limits: IntakeLimits,
        decoders: Decoders,
        batcher: Batcher,
        answers: Answers,
        ledger: Ledger,
        scanners: Scanners,
        metrics: Metrics,
        drift: DriftMonitor,
        clock: Callable[[], float],
    ) -> None:
        self._model = model
        self._limits = limits
        self._decoders = decoders
        self._batcher = batcher
        self._answers = answers
        self._ledger = ledger
        self._scanners = scanners
        self._metrics = metrics
        self._drift = drift
        self._clock = clock

    async def answer(self, case: Case) -> Body:
        """Evaluate a radiograph, or say why not; the body is what the caller may see.

        Raises
        ------
        IntakeError, CapacityError
            There is no answer, and the reason has a code.
        """
        async with _deadline_of(case):
            try:
                return await self._settle(case)
            except ReplayConflict as conflict:
                return await self._ledger.refuse(case, conflict)

    async def explain(self, case: Case, finding: Finding | None) -> Overlay:
        """Draw where the evidence for a finding lies; shows a picture and records nothing.

        Parameters
        ----------
        finding
            None takes the abnormal finding with the highest probability.

        Raises
        ------
        NotEvaluated, IntakeError, CapacityError
            There is no map to draw.
        """
        async with _deadline_of(case):
            spec = self._model.recipe.preprocess
            decode = self._decoders.run
            radiograph = await decode(self._read, case, turn=case.turn)
            backdrop = await decode(draw_backdrop, radiograph, spec, has_begun=True)
            pixels = await decode(self._prepare, case, radiograph, has_begun=True)
            del radiograph
            scored = await self._batcher.submit(pixels, deadline=case.deadline, turn=case.turn)
            check_distribution(scored.scores.out_of_distribution, self._model.out_of_distribution)
            return await decode(overlay_attention, backdrop, scored.scores, finding, has_begun=True)

    async def _settle(self, case: Case) -> Body:
        """One of the three endings that have an answer."""
        try:
            return await self._evaluate(case)
        except NotEvaluated as refusal:
            return await self._set_aside(case, refusal)
        except AnsweredBefore as earlier:
            return await self._repeat(case, earlier)

    async def _evaluate(self, case: Case) -> Body:
        with case.timed("decode", self._clock):
            pixels = await self._decode(case)
        scored = await self._batcher.submit(pixels, deadline=case.deadline, turn=case.turn)
        case.note_scored(scored.queue_seconds, scored.inference_seconds, self._clock())
        case.out_of_distribution = scored.scores.out_of_distribution
        ood = self._model.out_of_distribution
        case.cautions += check_distribution(case.out_of_distribution, ood)
        triaged = triage(scored.scores, self._model.operating_points, ood)
        body = self._answers.evaluated(case, scored.scores, triaged)
        await self._ledger.write_evaluated(case, scored.scores, triaged, body)
        self._metrics.count_triage(
            triaged, by_finding(scored.scores.probabilities), scored.scores.out_of_distribution
        )
        self._watch(case, pixels=pixels, scores=scored.scores)
        return self._answers.sent(case, body)

    async def _decode(self, case: Case) -> Pixels:
        """In one go what no row can know; a SOP instance is looked up before the second half."""
        if sniff(case.body) is not FileFormat.DICOM:
            return await self._decoders.run(self._read_and_prepare, case, turn=case.turn)
        try:
            radiograph = await self._decoders.run(self._read, case, turn=case.turn)
        except NotEvaluated:
            await self._ledger.look_up(case)
            raise
        # A log that is slow to answer must not gather decoded radiographs without end.
        with case.hold(radiograph.grey.nbytes):
            await self._ledger.look_up(case)
            return await self._decoders.run(self._prepare, case, radiograph, has_begun=True)

    async def _set_aside(self, case: Case, refusal: NotEvaluated) -> Body:
        body = self._answers.not_evaluated(case, refusal)
        await self._ledger.write_not_evaluated(case, refusal.reason, body)
        self._metrics.count_not_evaluated(refusal.reason)
        self._watch(case, reason=refusal.reason)
        return self._answers.sent(case, body)

    async def _repeat(self, case: Case, earlier: AnsweredBefore) -> Body:
        await self._ledger.write_replayed(case, earlier.entry)
        return self._answers.replayed(earlier.entry)

    def _read(self, case: Case) -> Radiograph:
        """Bytes -> Radiograph, with all that identifies it."""
        digest = self._decoders.beside(lambda: digest_of(case.body))
        try:
            with case.step("read", self._clock):
                radiograph = read_radiograph(
                    case.body,
                    self._limits,
                    intended_use=self._model.intended_use,
                    note=partial(self._identify, case),
                )
        finally:
            case.stamp_input(digest())
        case.keep(radiograph)
        return replace(radiograph, stored=None)

    def _identify(self, case: Case, context: DicomContext) -> None:
        case.identify(context, self._scanners.alias_of(context))

    def _prepare(self, case: Case, radiograph: Radiograph) -> Pixels:
        """Radiograph -> Pixels, if it is inside the intended use."""
        case.sample = sample_radiograph(radiograph)
        with case.step("scope", self._clock):
            case.cautions += check_scope(radiograph, self._model.intended_use)
        with case.step("preprocess", self._clock):
            return preprocess(radiograph, self._model.recipe.preprocess)

    def _read_and_prepare(self, case: Case) -> Pixels:
        return self._prepare(case, self._read(case))

    def _watch(
        self,
        case: Case,
        *,
        pixels: Pixels | None = None,
        scores: Scores | None = None,
        reason: str | None = None,
    ) -> None:
        """Hand what drift looks at to its own thread."""
        self._drift.observe(
            Sighting(
                scanner=case.scanner, seconds=case.received_at.timestamp(), sample=case.sample,
                dicom=case.dicom, pixels=pixels, scores=scores, reason=reason,
                reference=self._model.drift_reference,
            )
        )  # fmt: skip


@asynccontextmanager
async def _deadline_of(case: Case) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(case.deadline):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded("the deadline passed before there was an answer") from error
