"""Composition root: builds every object from Settings, and closes them in order."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from service.access.gatekeeper import Gatekeeper, OpenHouse
from service.admission import Admission
from service.answers import Body
from service.batcher import Batcher
from service.candidate import CandidateSlot
from service.case import Case, ServedModel
from service.core.artifact import Manifest, load_current
from service.core.attention import Overlay
from service.core.errors import CxrError, EngineFailed, RecordUnavailable
from service.core.findings import Finding
from service.core.intake import IntakeLimits
from service.drift_monitor import DriftMonitor
from service.engine.base import Engine
from service.ledger import Ledger
from service.logs import describe_error
from service.metrics import Metrics
from service.pacs_metrics import PacsMetrics
from service.record import Mode, ModelStamp, Outcome, Record
from service.record.case_index import CaseIndex, open_case_index
from service.record.server import PAGES
from service.serving import Serving, Slot, StoreWatch, read_pointers, watch_store
from service.settings import Settings, find_model_store
from service.tracing import Tell, open_tracing
from service.verified_engine import HeadStart
from service.workshop import Workshop, open_workshop

log: structlog.stdlib.BoundLogger = structlog.get_logger()

RECORD_UNAVAILABLE: Final = RecordUnavailable.code
ENGINE_FAILED: Final = EngineFailed.code


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything that is open while the service serves."""

    mode: Mode
    limits: IntakeLimits
    deadline_seconds: float
    body_seconds: float
    admission: Admission
    gatekeeper: Gatekeeper | OpenHouse
    record: Record
    cases: CaseIndex
    metrics: Metrics
    pacs_metrics: PacsMetrics
    drift: DriftMonitor
    slot: Slot
    shadow: CandidateSlot
    watch: StoreWatch
    tell_trace: Tell

    @property
    def manifest(self) -> Manifest:
        """Of the model that serves now."""
        return self.slot.current.manifest

    @property
    def model(self) -> ServedModel:
        """The model that serves now."""
        return self.slot.current.model

    @property
    def engine(self) -> Engine:
        """What scores now."""
        return self.slot.current.engine

    @property
    def batcher(self) -> Batcher:
        """The queue of the model that serves now."""
        return self.slot.current.batcher

    @property
    def ledger(self) -> Ledger:
        """Writes rows for the model that serves now."""
        return self.slot.current.ledger

    async def is_broken(self, *, for_sure: bool) -> bool:
        """Whether nobody has an answer now; see `Desk.is_broken`."""
        if for_sure:
            await self.slot.current.engine_watch.wait_judged()
        return not {RECORD_UNAVAILABLE, ENGINE_FAILED}.isdisjoint(self.unready_reasons())

    async def answer(self, case: Case) -> Body:
        """Evaluate a radiograph with the model of this moment; see `Pipeline.answer`."""
        with self.slot.hold() as serving:
            return await serving.pipeline.answer(case)

    async def explain(self, case: Case, finding: Finding | None) -> tuple[Overlay, ModelStamp]:
        """Draw with the model of this moment, and say which it is; see `Pipeline.explain`."""
        with self.slot.hold() as serving:
            return await serving.pipeline.explain(case, finding), serving.model.stamp

    def after_answer(self, case: Case) -> None:
        """Called once the answer is sent: the candidate may look now."""
        candidate = self.shadow.current
        if candidate is not None and case.outcome is Outcome.EVALUATED:
            candidate.offer(case.id, case.body)

    def unready_reasons(self) -> list[str]:
        """Codes of what keeps the next radiograph from an answer; none when ready."""
        standing = {
            "SHUTTING_DOWN": self.admission.is_draining,
            "QUEUE_FULL": self.admission.is_full,
            RECORD_UNAVAILABLE: not self.ledger.is_writable,
            ENGINE_FAILED: self.slot.current.engine_watch.is_broken,
        }
        reasons = [code for code, stands in standing.items() if stands]
        return reasons + self.gatekeeper.unready_reasons()

    def count_upload(self, case: Case) -> None:
        """Count an upload that arrived whole, and how long each of its stages took."""
        self.metrics.body_bytes.observe(len(case.body))
        self.metrics.observe_seconds(case.seconds)
        codes = [caution.code for caution in case.cautions]
        self.metrics.count_warnings(codes)
        if case.outcome in (Outcome.EVALUATED, Outcome.NOT_EVALUATED):
            self.metrics.count_image_checks(case.scanner, codes, case.reason)
        if case.file_format is not None:
            self.metrics.formats.labels(case.file_format.value).inc()
        self.tell_trace(case)


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    gatekeeper: Gatekeeper | OpenHouse,
    head_start: HeadStart | None = None,
) -> AsyncIterator[Runtime]:
    """Verify and warm the model, open the shadow log, start the queue; close in reverse.

    Raises
    ------
    ArtifactError
        The model must not serve; says which file and why.
    RecordUnavailable
        The shadow log cannot be opened.
    """
    started = time.perf_counter()
    async with AsyncExitStack() as stack:
        store = find_model_store(settings.model.store)
        pointers = read_pointers(store)
        early = head_start.artifact(store) if head_start is not None else None
        artifact = early or load_current(store)
        workshop = open_workshop(settings, gatekeeper, stack, head_start)
        serving = await workshop.open_serving(artifact)
        await workshop.compare_drift(serving)
        runtime = await _assemble(workshop, serving, store, pointers, stack)
        log.info(
            "service.started",
            mode=runtime.mode.value,
            model_name=artifact.manifest.name,
            model_version=artifact.manifest.version,
            engine=runtime.engine.name,
            device=runtime.engine.device,
            start_seconds=round(time.perf_counter() - started, 3),
        )
        yield runtime
    log.info("service.stopped")


async def _assemble(
    workshop: Workshop, serving: Serving, store: Path, pointers: str, stack: AsyncExitStack
) -> Runtime:
    settings, metrics = workshop.settings, workshop.metrics
    slot = Slot(serving, lambda new: _show_model(metrics, new))
    stack.push_async_callback(slot.close)
    cases = open_case_index(settings.record.url, workshop.record.reader, patience=PAGES)
    stack.callback(cases.close)
    admission = _build_admission(settings, slot)
    shadow = CandidateSlot()
    stack.push_async_callback(shadow.close)

    open_candidate = partial(_open_candidate, workshop, store, admission, shadow)
    watch = watch_store(
        store,
        known=pointers,
        slot=slot,
        open_serving=workshop.open_serving,
        open_candidate=open_candidate,
        after_switch=workshop.compare_drift,
    )
    tracing = open_tracing(settings.tracing.url, settings.tracing.sample_ratio)
    runtime = Runtime(
        tell_trace=await stack.enter_async_context(tracing),
        mode=Mode(settings.mode), limits=workshop.limits,
        deadline_seconds=settings.server.deadline_seconds,
        body_seconds=settings.intake.body_seconds, admission=admission,
        gatekeeper=workshop.gatekeeper, record=workshop.record,
        cases=cases, metrics=metrics, pacs_metrics=workshop.pacs_metrics, drift=workshop.drift,
        slot=slot, shadow=shadow, watch=watch,
    )  # fmt: skip
    await open_candidate()
    await watch.start()
    stack.push_async_callback(watch.close)
    _show_model(metrics, serving)
    _show_state(runtime)
    return runtime


async def _open_candidate(
    workshop: Workshop, store: Path, admission: Admission, shadow: CandidateSlot
) -> None:
    """What fails is told once, and looked at again with the next change of the store."""
    try:
        await shadow.replace(await asyncio.to_thread(workshop.build_candidate, store, admission))
    except Exception as error:  # noqa: BLE001 - it may cost no answer, no start and no promotion
        code = error.code if isinstance(error, CxrError) else None
        log.error("candidate.refused", code=code, **describe_error(error))


def _build_admission(settings: Settings, slot: Slot) -> Admission:
    return Admission(
        max_requests=settings.intake.max_requests,
        max_in_flight_bytes=settings.intake.max_in_flight_bytes,
        is_queue_full=lambda: slot.current.batcher.is_full,
    )


def _show_model(metrics: Metrics, serving: Serving) -> None:
    stamp = serving.model.stamp
    metrics.show_model(stamp.name, stamp.version, stamp.digest)
    metrics.show_engine(serving.engine.name, serving.engine.device)


def _show_state(runtime: Runtime) -> None:
    """Gauges read their value at each scrape."""
    metrics = runtime.metrics
    metrics.shadow_mode.set(runtime.mode is Mode.SHADOW)
    metrics.watch(metrics.ready, lambda: not runtime.unready_reasons())
    metrics.watch(metrics.queue_images, lambda: runtime.batcher.queued)
    metrics.watch(metrics.in_flight_requests, lambda: runtime.admission.requests)
    metrics.watch(metrics.in_flight_bytes, lambda: runtime.admission.in_flight_bytes)
    metrics.watch(metrics.shadow_pending, lambda: runtime.record.recorder.pending)
    metrics.watch(metrics.shadow_last_write, lambda: runtime.record.recorder.last_write_timestamp)
