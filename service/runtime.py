"""Composition root: builds every object from Settings, and closes them in order."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from service import codes
from service.access.gatekeeper import Gatekeeper, OpenHouse
from service.access_metrics import AccessMetrics
from service.admission import Admission
from service.answers import Answers, Body
from service.batcher import Batcher
from service.candidate import CandidateScorer, CandidateSlot
from service.case import Case, ServedModel, serve_model
from service.core.artifact import Artifact, Manifest, load_current
from service.core.attention import Overlay
from service.core.errors import ArtifactError
from service.core.findings import Finding
from service.core.inference import score_batch
from service.core.intake import IntakeLimits
from service.core.store import load_candidate
from service.decoders import Decoders
from service.drift_metrics import DriftMetrics
from service.drift_monitor import DriftMonitor
from service.drift_sighting import open_comparison
from service.drift_state import STATE
from service.engine.base import Engine
from service.engine.loading import open_engine
from service.ledger import Ledger
from service.metrics import Metrics
from service.pacs.failures import PACS_CODES
from service.pacs_metrics import PacsMetrics
from service.pipeline import Pipeline
from service.record import Mode, Outcome, Pseudonymiser, Record, load_or_create_key, open_record
from service.record.case_index import CaseIndex, open_case_index
from service.scanners import Scanners
from service.serving import Serving, Slot, StoreWatch, watch_store
from service.settings import Settings, find_model_store
from service.signature import Trust, check_signature
from service.tracing import Tell, open_tracing

log: structlog.stdlib.BoundLogger = structlog.get_logger()


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

    async def answer(self, case: Case) -> Body:
        """Evaluate a radiograph with the model of this moment; see `Pipeline.answer`."""
        with self.slot.hold() as serving:
            return await serving.pipeline.answer(case)

    async def explain(self, case: Case, finding: Finding | None) -> Overlay:
        """Draw with the model of this moment; see `Pipeline.explain`."""
        with self.slot.hold() as serving:
            return await serving.pipeline.explain(case, finding)

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
            "RECORD_UNAVAILABLE": not self.ledger.is_writable,
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
    settings: Settings, gatekeeper: Gatekeeper | OpenHouse
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
        artifact = load_current(store)
        workshop = _open_workshop(settings, gatekeeper, stack)
        serving = await workshop.open_serving(artifact)
        await workshop.compare_drift(serving)
        runtime = await _assemble(workshop, serving, store, stack)
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


def _open_engine(artifact: Artifact, settings: Settings, threads: int | None = None) -> Engine:
    model = settings.model
    trust = Trust(model.public_key, model.certificate_chain)
    check_signature(artifact, find_model_store(model.store), trust)
    return open_engine(
        artifact,
        engine=settings.engine.name,
        device=settings.engine.device,
        threads=settings.engine.threads if threads is None else threads,
        cache_dir=settings.model.cache_dir,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workshop:
    """What outlives a model: the log, the decoders, the metrics."""

    settings: Settings
    gatekeeper: Gatekeeper | OpenHouse
    record: Record
    drift: DriftMonitor
    decoders: Decoders
    metrics: Metrics
    pacs_metrics: PacsMetrics
    scanners: Scanners
    limits: IntakeLimits

    async def open_serving(self, artifact: Artifact) -> Serving:
        """Verify an artifact on the engine, and build all that is made for one model."""
        comparison = open_comparison(artifact.files)
        engine = await asyncio.to_thread(_open_engine, artifact, self.settings)
        model, mode = serve_model(artifact), Mode(self.settings.mode)
        ledger = _build_ledger(self.settings, model, self.record)
        batcher = _build_batcher(self.settings, model, engine, self.metrics)
        await batcher.start()
        pipeline = Pipeline(
            model=model, limits=self.limits, decoders=self.decoders, batcher=batcher,
            ledger=ledger, answers=Answers(mode=mode, model=model.stamp), scanners=self.scanners,
            metrics=self.metrics, drift=self.drift, clock=time.perf_counter,
        )  # fmt: skip
        return Serving(
            manifest=artifact.manifest, model=model, engine=engine, batcher=batcher,
            ledger=ledger, pipeline=pipeline, comparison=comparison,
        )  # fmt: skip

    async def compare_drift(self, serving: Serving) -> None:
        """Compare what comes from now on with the reference of this model."""
        await asyncio.to_thread(self.drift.use, serving.comparison)

    def build_candidate(self, store: Path, admission: Admission) -> CandidateScorer | None:
        """The scorer of the version that `CANDIDATE` names; None without one."""
        artifact = load_candidate(store)
        if artifact is None:
            return None
        return CandidateScorer(
            model=serve_model(artifact),
            open_engine=lambda: _open_engine(artifact, self.settings, threads=1),
            limits=self.limits,
            wait_quiet=admission.wait_quiet,
            note=self.record.note,
            count=self.metrics.count_candidate,
        )


def _open_workshop(
    settings: Settings, gatekeeper: Gatekeeper | OpenHouse, stack: AsyncExitStack
) -> _Workshop:
    scanners, registry = Scanners(settings.scanners), CollectorRegistry()
    tells_results = Mode(settings.mode) is not Mode.SHADOW
    metrics = Metrics(
        registry,
        scanners=scanners.names,
        codes=codes.PROBLEMS,
        reasons=codes.REASONS,
        warnings=codes.WARNINGS,
        tells_results=tells_results,
    )
    AccessMetrics(registry).watch(gatekeeper.next_expiry)
    record = open_record(settings.record.url)
    stack.push_async_callback(record.close)
    decoders = Decoders(settings.decode.threads)
    stack.callback(decoders.close)
    drift = DriftMonitor(
        metrics=DriftMetrics(registry, scanners=scanners.names, tells_results=tells_results),
        path=settings.record.site_key_file.with_name(STATE), on_pixels=metrics.observe_pixels,
        clock=time.monotonic,
    )  # fmt: skip
    stack.push_async_callback(asyncio.to_thread, drift.close)
    return _Workshop(
        settings=settings, gatekeeper=gatekeeper, record=record, drift=drift, decoders=decoders,
        metrics=metrics,
        pacs_metrics=PacsMetrics(registry, codes=(*codes.PROBLEMS, *PACS_CODES)),
        scanners=scanners,
        limits=IntakeLimits(settings.intake.max_body_bytes, settings.intake.max_pixels),
    )  # fmt: skip


async def _assemble(
    workshop: _Workshop, serving: Serving, store: Path, stack: AsyncExitStack
) -> Runtime:
    settings, metrics = workshop.settings, workshop.metrics
    slot = Slot(serving, lambda new: _show_model(metrics, new))
    stack.push_async_callback(slot.close)
    cases = open_case_index(settings.record.url, workshop.record.reader)
    stack.callback(cases.close)
    admission = _build_admission(settings, slot)
    shadow = CandidateSlot()
    stack.push_async_callback(shadow.close)

    async def open_candidate() -> None:
        await shadow.replace(await asyncio.to_thread(workshop.build_candidate, store, admission))

    watch = watch_store(
        store,
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
    try:
        await open_candidate()
    except ArtifactError as error:
        log.error("candidate.refused", code=error.code)
    await watch.start()
    stack.push_async_callback(watch.close)
    _show_model(metrics, serving)
    _show_state(runtime)
    return runtime


def _build_admission(settings: Settings, slot: Slot) -> Admission:
    return Admission(
        max_requests=settings.intake.max_requests,
        max_in_flight_bytes=settings.intake.max_in_flight_bytes,
        is_queue_full=lambda: slot.current.batcher.is_full,
    )


def _build_ledger(settings: Settings, model: ServedModel, record: Record) -> Ledger:
    return Ledger(
        record=record,
        pseudonymiser=Pseudonymiser(load_or_create_key(settings.record.site_key_file)),
        mode=Mode(settings.mode),
        model=model.stamp,
        clock=time.perf_counter,
    )


def _build_batcher(
    settings: Settings, model: ServedModel, engine: Engine, metrics: Metrics
) -> Batcher:
    return Batcher(
        score=lambda batch_nchw: score_batch(batch_nchw, engine.forward, model.recipe),
        max_images=settings.batch.max_images,
        max_wait_seconds=settings.batch.max_wait_seconds,
        max_queued=settings.batch.max_queued,
        on_batch=lambda images, _seconds: metrics.batch_images.observe(images),
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
