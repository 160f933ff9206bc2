"""Case -> one trace: a span for the upload, and one for each step of it.

Imported only where a collector is named. No global provider is set: the spans that libraries make
on their own, with addresses and file names in them, go nowhere.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import set_span_in_context

from service import __version__
from service.case import Case, Step

ROOT: Final = "radiograph"
SEND_SECONDS = 5.0
"""A collector that is away holds up the end of the service no longer than that."""

WAITING_SPANS = 2048
"""Beyond, spans are dropped: no upload waits for a collector."""

EVERY_MS = 5_000
NANOSECONDS = 1_000_000_000
Attributes = dict[str, str | int]


class Tracer:
    """Makes spans of what a case noted, once it is over.

    Parameters
    ----------
    sample_ratio
        Share of the uploads that are traced, drawn at random.
    clock, wall_clock
        Seconds: monotonic, as the case was timed with, and since the epoch.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        sample_ratio: float,
        clock: Callable[[], float] = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._exporter = exporter
        self._clock = clock
        self._wall_clock = wall_clock
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(sample_ratio),
            # Made without `create`, which would add what the environment says of this machine.
            resource=Resource({"service.name": "cxr-triage", "service.version": __version__}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter, max_queue_size=WAITING_SPANS, schedule_delay_millis=EVERY_MS,
                max_export_batch_size=WAITING_SPANS // 4,
                export_timeout_millis=SEND_SECONDS * 1000,
            )
        )  # fmt: skip
        self._tracer = self._provider.get_tracer("service", __version__)

    def tell(self, case: Case) -> None:
        """Queue the spans of one upload; takes some microseconds a span."""
        now = self._clock()
        ahead = self._wall_clock() - now
        steps = list(nest(whole_of(case, now)))
        contexts: list[Context] = []
        for step, depth in steps:
            span = self._tracer.start_span(
                step.name,
                context=contexts[depth - 1] if depth else Context(),
                start_time=_nanoseconds(step.started + ahead),
                attributes=None if depth else describe(case),
            )
            contexts[depth:] = [set_span_in_context(span, Context())]
            span.end(_nanoseconds(step.ended + ahead))

    def close(self) -> None:
        """Send what waits, for `SEND_SECONDS` at most; what is not sent then is given up.

        The SDK would try each batch for as long, one after the other.
        """
        ending = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        ending.start()
        ending.join(SEND_SECONDS)
        if ending.is_alive():
            self._exporter.shutdown()


def open_tracer(url: str, sample_ratio: float) -> Tracer:
    """A tracer that posts to this address, and to no other: no proxy, no redirect."""
    session = requests.Session()
    session.trust_env = False
    exporter = OTLPSpanExporter(endpoint=url, timeout=SEND_SECONDS, session=session)
    return Tracer(exporter, sample_ratio=sample_ratio)


def describe(case: Case) -> Attributes:
    """What a span may say of an upload: codes and aliases, as the log line does."""
    facts: Attributes = {
        "cxr.id": case.id,
        "cxr.body_bytes": len(case.body),
        "cxr.scanner": case.scanner,
        "cxr.outcome": case.outcome.value if case.outcome else "unanswered",
    }
    named = {"cxr.reason": case.reason, "cxr.file_format": case.file_format}
    return facts | {name: str(value) for name, value in named.items() if value is not None}


def whole_of(case: Case, now: float) -> list[Step]:
    """The upload itself, its arrival, and the steps that it noted."""
    steps = sorted(case.steps, key=lambda step: (step.started, -step.ended))
    arrived = steps[0].started if steps else now
    began = arrived - case.seconds.get("body", 0.0)
    return [Step(ROOT, began, max(now, arrived)), Step("body", began, arrived), *steps]


def nest(steps: list[Step]) -> Iterator[tuple[Step, int]]:
    """Each step with its depth: how many of those before it have not ended when it does."""
    around: list[Step] = []
    for step in steps:
        while around and around[-1].ended < step.ended:
            around.pop()
        yield step, len(around)
        around.append(step)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * NANOSECONDS)
