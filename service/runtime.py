"""Composition root: builds every object from Settings, and closes them in order."""

import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry

from service import codes
from service.admission import Admission
from service.answers import Answers
from service.batcher import Batcher
from service.case import Case, ServedModel, serve_model
from service.core.artifact import Artifact, Manifest, load_current
from service.core.inference import score_batch
from service.core.intake import IntakeLimits
from service.engine.base import Engine
from service.engine.loading import open_engine
from service.ledger import Ledger
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.record import Mode, Pseudonymiser, Record, load_or_create_key, open_record
from service.scanners import Scanners
from service.settings import Settings, find_model_store

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything that is open while the service serves."""

    mode: Mode
    limits: IntakeLimits
    deadline_seconds: float
    body_seconds: float
    manifest: Manifest
    model: ServedModel
    engine: Engine
    admission: Admission
    batcher: Batcher
    record: Record
    ledger: Ledger
    metrics: Metrics
    pipeline: Pipeline

    def unready_reasons(self) -> list[str]:
        """Codes of what keeps the next radiograph from an answer; none when ready."""
        standing = {
            "SHUTTING_DOWN": self.admission.is_draining,
            "QUEUE_FULL": self.admission.is_full,
            "RECORD_UNAVAILABLE": not self.ledger.is_writable,
        }
        return [code for code, stands in standing.items() if stands]

    def count_upload(self, case: Case) -> None:
        """Count an upload that arrived whole, and how long each of its stages took."""
        self.metrics.body_bytes.observe(len(case.body))
        self.metrics.observe_seconds(case.seconds)
        self.metrics.count_warnings(caution.code for caution in case.cautions)
        if case.file_format is not None:
            self.metrics.formats.labels(case.file_format.value).inc()


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
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
        artifact = load_current(find_model_store(settings.model.store))
        engine = _open_engine(artifact, settings)
        stack.callback(engine.close)
        runtime = await _assemble(settings, artifact, engine, stack)
        log.info(
            "service.started",
            mode=runtime.mode.value,
            model_name=artifact.manifest.name,
            model_version=artifact.manifest.version,
            engine=engine.name,
            device=engine.device,
            start_seconds=round(time.perf_counter() - started, 3),
        )
        yield runtime
    log.info("service.stopped")


def _open_engine(artifact: Artifact, settings: Settings) -> Engine:
    return open_engine(
        artifact,
        engine=settings.engine.name,
        device=settings.engine.device,
        threads=settings.engine.threads,
        cache_dir=settings.model.cache_dir,
    )


async def _assemble(
    settings: Settings, artifact: Artifact, engine: Engine, stack: AsyncExitStack
) -> Runtime:
    model, scanners = serve_model(artifact), Scanners(settings.scanners)
    metrics = Metrics(
        CollectorRegistry(),
        scanners=scanners.names,
        codes=codes.PROBLEMS,
        reasons=codes.REASONS,
        warnings=codes.WARNINGS,
        tells_results=Mode(settings.mode) is not Mode.SHADOW,
    )
    record = open_record(settings.record.url)
    stack.push_async_callback(record.close)
    ledger = _build_ledger(settings, model, record)
    batcher = _build_batcher(settings, model, engine, metrics)
    await batcher.start()
    stack.push_async_callback(batcher.close)
    decoders = ThreadPoolExecutor(settings.decode.threads, thread_name_prefix="decode")
    stack.callback(decoders.shutdown, cancel_futures=True)
    limits = IntakeLimits(settings.intake.max_body_bytes, settings.intake.max_pixels)
    pipeline = Pipeline(
        model=model, limits=limits, decoders=decoders, batcher=batcher, ledger=ledger,
        answers=Answers(mode=Mode(settings.mode), model=model.stamp), scanners=scanners,
        metrics=metrics, clock=time.perf_counter,
    )  # fmt: skip
    runtime = Runtime(
        mode=Mode(settings.mode), limits=limits,
        deadline_seconds=settings.server.deadline_seconds,
        body_seconds=settings.intake.body_seconds, manifest=artifact.manifest, model=model,
        engine=engine, admission=_build_admission(settings, batcher), batcher=batcher,
        record=record, ledger=ledger, metrics=metrics, pipeline=pipeline,
    )  # fmt: skip
    _show_state(runtime)
    return runtime


def _build_admission(settings: Settings, batcher: Batcher) -> Admission:
    return Admission(
        max_requests=settings.intake.max_requests,
        max_in_flight_bytes=settings.intake.max_in_flight_bytes,
        is_queue_full=lambda: batcher.is_full,
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


def _show_state(runtime: Runtime) -> None:
    """Gauges read their value at each scrape."""
    metrics, stamp = runtime.metrics, runtime.model.stamp
    metrics.show_model(stamp.name, stamp.version, stamp.digest)
    metrics.show_engine(runtime.engine.name, runtime.engine.device)
    metrics.shadow_mode.set(runtime.mode is Mode.SHADOW)
    metrics.watch(metrics.ready, lambda: not runtime.unready_reasons())
    metrics.watch(metrics.queue_images, lambda: runtime.batcher.queued)
    metrics.watch(metrics.in_flight_requests, lambda: runtime.admission.requests)
    metrics.watch(metrics.in_flight_bytes, lambda: runtime.admission.in_flight_bytes)
    metrics.watch(metrics.shadow_pending, lambda: runtime.record.recorder.pending)
    metrics.watch(metrics.shadow_last_write, lambda: runtime.record.recorder.last_write_timestamp)
