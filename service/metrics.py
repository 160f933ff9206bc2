"""Every instrument of the service, in one catalogue.

Labels are closed sets that exist at zero from the start; what does not fit is counted as `other`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import product
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from service.core.findings import ABNORMAL, FINDINGS
from service.core.radiograph import FileFormat
from service.core.scope import IMAGE_CHECKS
from service.core.triage import Priority, Triage

OTHER: Final = "other"
STAGES: Final = ("body", "decode", "queue", "inference", "record", "request")
STATISTICS: Final = ("mean", "p5", "p50", "p95")
STAGE_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
)  # fmt: skip
IMAGE_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
UNUSUAL_BUCKETS: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 1)
RATIO_BUCKETS: Final = tuple(step / 10 for step in range(1, 11))
MODEL_WARNINGS: Final = ("OUT_OF_DISTRIBUTION",)
"""Warnings that the model's own scores raise: they tell part of the priority."""
BYTE_BUCKETS: Final = (1e4, 1e5, 1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8, 1e9)


class Ending(StrEnum):
    """How one upload ended; the first four have a row in the shadow log."""

    EVALUATED = "evaluated"
    NOT_EVALUATED = "not_evaluated"
    REPLAYED = "replayed"
    CONFLICT = "conflict"
    REFUSED = "refused"
    """The sender can mend it (4xx)."""
    UNAVAILABLE = "unavailable"
    """Try later (503)."""
    CANCELLED = "cancelled"
    """The client left."""
    FAILED = "failed"
    """Our fault (500)."""


class CandidateEnding(StrEnum):
    """How the silent candidate dealt with one upload."""

    SCORED = "scored"
    DROPPED = "dropped"
    """There was no capacity for it, or the candidate ended first."""
    FAILED = "failed"


class Metrics:
    """All instruments, on one registry that a test or a process owns.

    Parameters
    ----------
    scanners
        Aliases that may become labels.
    codes
        Problem codes that an answer may carry.
    reasons, warnings
        Codes of `not_evaluated` and of cautions.
    tells_results
        False in shadow mode: a caller who reads the metrics before and after an upload must not
        learn what it got, so priorities, flags and scores stay at zero.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        scanners: Sequence[str],
        codes: Iterable[str],
        reasons: Iterable[str],
        warnings: Iterable[str],
        tells_results: bool = True,
    ) -> None:
        self.registry = registry
        self._tells_results = tells_results
        self._scanners = frozenset(scanners)
        self._closed: dict[str, frozenset[str]] = {}
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library lacks the types
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._declare_traffic(codes)
        self._declare_answers(reasons, warnings)
        self._declare_pixels(scanners)
        self._declare_state()
        self._declare_candidate()

    def count_radiograph(self, ending: Ending) -> None:
        """Count one upload by how it ended."""
        self.radiographs.labels(ending.value).inc()

    def count_problem(self, code: str) -> None:
        """Count one problem body by its code."""
        self.problems.labels(self._known("problems", code)).inc()

    def count_not_evaluated(self, reason: str) -> None:
        """Count a radiograph outside the intended use."""
        self.not_evaluated.labels(self._known("not_evaluated", reason)).inc()

    def count_warnings(self, codes: Iterable[str]) -> None:
        """Count the cautions of one radiograph."""
        untold = () if self._tells_results else MODEL_WARNINGS
        for code in (code for code in codes if code not in untold):
            self.warnings.labels(self._known("warnings", code)).inc()

    def count_image_checks(self, scanner: str, codes: Collection[str], reason: str | None) -> None:
        """Count what the picture said of one radiograph; another reason came before its checks."""
        alias = scanner if scanner in self._scanners else OTHER
        for check, doubts in IMAGE_CHECKS.items():
            if reason in doubts:
                self.image_checks.labels(check, "refused", alias).inc()
            elif reason is None:
                doubted = "passed" if doubts.isdisjoint(codes) else "doubted"
                self.image_checks.labels(check, doubted, alias).inc()

    def count_triage(
        self,
        triaged: Triage,
        probabilities: Mapping[str, float],
        out_of_distribution: float | None = None,
    ) -> None:
        """Count the place in the reading list, the flags that gave it, and the scores behind."""
        if not self._tells_results:
            return
        self.priorities.labels(triaged.priority.value).inc()
        for flag in triaged.flags:
            self.flags.labels(flag.finding.value).inc()
        for finding, probability in probabilities.items():
            self.probabilities.labels(finding).observe(probability)
        if out_of_distribution is not None:
            self.out_of_distribution.observe(out_of_distribution)

    def count_candidate(self, ending: CandidateEnding) -> None:
        """Count one upload that was offered to the candidate."""
        self.candidate_radiographs.labels(ending.value).inc()

    def observe_seconds(self, seconds: Mapping[str, float]) -> None:
        """Add the stages of one request."""
        for stage, taken in seconds.items():
            self.stage_seconds.labels(stage).observe(taken)

    def observe_pixels(
        self, scanner: str, raw: Mapping[str, float], model_input: Mapping[str, float]
    ) -> None:
        """Add one radiograph's grey statistics, before and after preprocessing, all in 0..1."""
        alias = scanner if scanner in self._scanners else OTHER
        for statistic, value in raw.items():
            self.raw_pixels.labels(alias, statistic).observe(value)
        for statistic, value in model_input.items():
            self.model_input_pixels.labels(alias, statistic).observe(value)

    def show_model(self, name: str, version: str, digest: str) -> None:
        """Name the model that serves; its manifest's digest tells two builds of a version apart."""
        self.model_info.clear()
        self.model_info.labels(name, version, digest).set(1)

    def show_engine(self, name: str, device: str) -> None:
        """Name the engine that serves."""
        self.engine_info.clear()
        self.engine_info.labels(name, device).set(1)

    def watch(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """Read a gauge's value at each scrape instead of writing it on every change."""
        gauge.set_function(read)

    def _declare_traffic(self, codes: Iterable[str]) -> None:
        self.radiographs = self._counter(
            "cxr_radiographs", "Radiographs sent or pulled, by how they ended.", "outcome", Ending
        )
        self.problems = self._counter(
            "cxr_problems", "Problem bodies sent, by code.", "code", [*codes, OTHER]
        )
        self._closed["problems"] = frozenset(codes)
        self.formats = self._counter(
            "cxr_uploads", "Uploads that were read, by what their bytes were.",
            "file_format", FileFormat,
        )  # fmt: skip
        self.stage_seconds = self._histogram(
            "cxr_stage_seconds", "Time of each stage of a request.", STAGE_BUCKETS, stage=STAGES
        )
        self.body_bytes = self._histogram(
            "cxr_upload_body_bytes", "Size of the uploads that were read.", BYTE_BUCKETS
        )
        self.batch_images = self._histogram(
            "cxr_batch_images", "Radiographs scored together.", IMAGE_BUCKETS
        )

    def _declare_answers(self, reasons: Iterable[str], warnings: Iterable[str]) -> None:
        self.priorities = self._counter(
            "cxr_priorities", "Evaluated radiographs, by priority.", "priority", Priority
        )
        self.flags = self._counter("cxr_flags", "Flags raised.", "finding", ABNORMAL)
        self.not_evaluated = self._counter(
            "cxr_not_evaluated", "Radiographs outside the intended use.", "reason",
            [*reasons, OTHER],
        )  # fmt: skip
        self._closed["not_evaluated"] = frozenset(reasons)
        self.warnings = self._counter(
            "cxr_warnings", "Cautions that went with an answer.", "code", [*warnings, OTHER]
        )
        self._closed["warnings"] = frozenset(warnings)
        self.probabilities = self._histogram(
            "cxr_probability_ratio", "Calibrated probabilities of evaluated radiographs.",
            RATIO_BUCKETS, finding=FINDINGS,
        )  # fmt: skip
        self.out_of_distribution = self._histogram(
            "cxr_out_of_distribution_ratio",
            "Share of real radiographs that are less unusual than an evaluated one.",
            UNUSUAL_BUCKETS,
        )

    def _declare_candidate(self) -> None:
        self.candidate_radiographs = self._counter(
            "cxr_candidate_radiographs", "Uploads offered to the candidate, by how they ended.",
            "outcome", CandidateEnding,
        )  # fmt: skip

    def _declare_pixels(self, scanners: Sequence[str]) -> None:
        self.image_checks = Counter(
            "cxr_image_checks", "What the picture itself said of a radiograph, by check.",
            ["check", "outcome", "scanner"], registry=self.registry,
        )  # fmt: skip
        for labels_at_zero in product(IMAGE_CHECKS, ("passed", "doubted", "refused"), scanners):
            self.image_checks.labels(*labels_at_zero)
        labels = {"scanner": scanners, "statistic": STATISTICS}
        self.raw_pixels = self._histogram(
            "cxr_raw_pixel_intensity_ratio",
            "Grey statistics of each radiograph as decoded, padding left out.",
            RATIO_BUCKETS, **labels,
        )  # fmt: skip
        self.model_input_pixels = self._histogram(
            "cxr_model_input_intensity_ratio",
            "Grey statistics of each radiograph as the network sees it.",
            RATIO_BUCKETS, **labels,
        )  # fmt: skip

    def _declare_state(self) -> None:
        self.model_info = self._gauge(
            "cxr_model_info", "1 for the model that serves.", "name", "version", "digest"
        )
        self.engine_info = self._gauge(
            "cxr_engine_info", "1 for the engine that serves.", "engine", "device"
        )
        self.ready = self._gauge("cxr_ready", "1 while /readyz says ready.")
        self.shadow_mode = self._gauge("cxr_shadow_mode", "1 when callers are told no prediction.")
        self.queue_images = self._gauge("cxr_queue_images", "Radiographs waiting to be scored.")
        self.in_flight_requests = self._gauge("cxr_in_flight_requests", "Uploads in progress.")
        self.in_flight_bytes = self._gauge("cxr_in_flight_bytes", "Upload bytes held in memory.")
        self.shadow_pending = self._gauge(
            "cxr_shadow_pending_rows", "Rows that wait to be committed to the shadow log."
        )
        self.shadow_last_write = self._gauge(
            "cxr_shadow_last_write_timestamp_seconds",
            "Unix time of the last committed row, read from the log at the start; 0 without one.",
        )  # fmt: skip

    def _known(self, name: str, value: str) -> str:
        return value if value in self._closed[name] else OTHER

    def _counter(self, name: str, text: str, label: str, values: Iterable[str]) -> Counter:
        counter = Counter(name, text, [label], registry=self.registry)
        for value in values:
            counter.labels(str(value))
        return counter

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], **labels: Iterable[str]
    ) -> Histogram:
        histogram = Histogram(name, text, list(labels), buckets=buckets, registry=self.registry)
        combinations: list[tuple[str, ...]] = [()]
        for values in labels.values():
            combinations = [(*head, str(value)) for head in combinations for value in values]
        for combination in combinations if labels else []:
            histogram.labels(*combination)
        return histogram
