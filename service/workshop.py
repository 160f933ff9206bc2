"""What outlives a model, and how everything that is made for one model is built from it."""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from service import codes
from service.access.gatekeeper import Gatekeeper, OpenHouse
from service.access_metrics import AccessMetrics
from service.admission import Admission
from service.answers import Answers
from service.batcher import Batcher
from service.candidate import CandidateScorer
from service.case import ServedModel, serve_model
from service.core.artifact import Artifact
from service.core.inference import score_batch
from service.core.intake import IntakeLimits
from service.core.store import load_candidate
from service.cores import count_cores
from service.decoders import Decoders
from service.disk_metrics import DataFolder, DiskMetrics
from service.drift_metrics import DriftMetrics
from service.drift_monitor import DriftMonitor
from service.drift_sighting import open_comparison
from service.drift_state import STATE
from service.engine.base import Engine, radiographs_a_call
from service.engine.loading import finish_engine, prove
from service.engine_watch import EngineWatch
from service.ledger import Ledger
from service.metrics import Metrics
from service.pacs.failures import PACS_CODES
from service.pacs_metrics import PacsMetrics
from service.pipeline import Pipeline
from service.record import Mode, Pseudonymiser, Record, open_record, open_site_key
from service.record.database import path_beside
from service.scanners import Scanners
from service.serving import Finishing, Serving
from service.settings import Settings
from service.verified_engine import HeadStart, open_verified_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What outlives a model: the log, the decoders, the metrics."""

    settings: Settings
    gatekeeper: Gatekeeper | OpenHouse
    record: Record
    pseudonymiser: Pseudonymiser
    drift: DriftMonitor
    decoders: Decoders
    metrics: Metrics
    pacs_metrics: PacsMetrics
    scanners: Scanners
    limits: IntakeLimits
    head_start: HeadStart | None

    async def open_serving(self, artifact: Artifact) -> Serving:
        """Verify an artifact on the engine, and build all that is made for one model."""
        comparison = await asyncio.to_thread(open_comparison, artifact.files)
        model = await asyncio.to_thread(serve_model, artifact)
        engine = await asyncio.to_thread(self._open_engine, artifact)
        mode = Mode(self.settings.mode)
        ledger = Ledger(
            record=self.record, pseudonymiser=self.pseudonymiser, mode=mode,
            model=model.stamp, clock=time.perf_counter,
        )  # fmt: skip
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
            finishing=Finishing(partial(finish_engine, artifact, engine)),
            engine_watch=EngineWatch(
                lambda: batcher.failed_batches, partial(prove, artifact, engine.forward)
            ),
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
            open_engine=lambda: open_verified_engine(self.settings, artifact, threads=1),
            limits=self.limits,
            wait_quiet=admission.wait_quiet,
            note=self.record.note,
            count=self.metrics.count_candidate,
        )

    def _open_engine(self, artifact: Artifact) -> Engine:
        early = self.head_start.take(artifact) if self.head_start is not None else None
        return early or open_verified_engine(self.settings, artifact)


def open_workshop(
    settings: Settings,
    gatekeeper: Gatekeeper | OpenHouse,
    stack: AsyncExitStack,
    head_start: HeadStart | None,
) -> Workshop:
    """Open the log, the decoders and the metrics; the stack closes them in reverse."""
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
    AccessMetrics(registry).watch(
        next_expiry=gatekeeper.next_expiry, last_expiry=gatekeeper.last_expiry
    )
    DiskMetrics(registry, data_folders(settings))
    record = open_record(settings.record.url)
    stack.push_async_callback(record.close)
    pseudonymiser = open_site_key(settings.record.url, settings.record.site_key_file)
    decoders = Decoders(settings.decode.threads or count_cores())
    stack.callback(decoders.close)
    drift = DriftMonitor(
        metrics=DriftMetrics(registry, scanners=scanners.names, tells_results=tells_results),
        shared=scanners.shared, path=settings.record.site_key_file.with_name(STATE),
        on_pixels=metrics.observe_pixels, clock=time.monotonic,
    )  # fmt: skip
    stack.push_async_callback(asyncio.to_thread, drift.close)
    return Workshop(
        settings=settings, gatekeeper=gatekeeper, record=record, pseudonymiser=pseudonymiser,
        drift=drift, decoders=decoders, metrics=metrics,
        pacs_metrics=PacsMetrics(registry, codes=(*codes.PROBLEMS, *PACS_CODES)),
        scanners=scanners,
        limits=IntakeLimits(settings.intake.max_body_bytes, settings.intake.max_pixels),
        head_start=head_start,
    )  # fmt: skip


def data_folders(settings: Settings) -> dict[DataFolder, Path]:
    """Where this site's service writes, each folder under the name that its metrics have."""
    database = path_beside(settings.record.url, "")
    pacs = settings.pacs
    named = {
        DataFolder.RECORD: None if database is None else database.parent,
        DataFolder.STATE: settings.record.site_key_file.parent,
        DataFolder.PACS: None if pacs.url is None else pacs.queue_file.parent,
        DataFolder.CACHE: settings.model.cache_dir,
        DataFolder.SCRATCH: Path(tempfile.gettempdir()),
    }
    return {name: folder for name, folder in named.items() if folder is not None}


def _build_batcher(
    settings: Settings, model: ServedModel, engine: Engine, metrics: Metrics
) -> Batcher:
    return Batcher(
        score=lambda batch_nchw: score_batch(batch_nchw, engine.forward, model.recipe),
        max_images=radiographs_a_call(
            engine, views=len(model.recipe.views), at_most=settings.batch.max_images
        ),
        max_wait_seconds=settings.batch.max_wait_seconds,
        max_queued=settings.batch.max_queued,
        lanes=engine.lanes,
        on_batch=lambda images, _seconds: metrics.batch_images.observe(images),
    )
