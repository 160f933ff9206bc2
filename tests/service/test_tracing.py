"""Spans of an upload: one for each step, nothing of the patient, and only where they are wanted."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.case import Case
from service.settings import TracingSettings
from service.spans import SEND_SECONDS, WAITING_SPANS, Tracer, open_tracer
from service.tracing import TracingDisabled, TracingMissing, open_tracing
from tests.support.apps import open_app, running_service, tiny_settings
from tests.support.collectors import Collector, plain, running_collector
from tests.support.monitoring import free_port
from tests.support.radiographs import sentinel_dicom_bytes

NOON = 1_767_268_800.0
STEPS = {
    "radiograph", "body", "decode", "read", "scope", "preprocess", "queue", "inference", "record",
}  # fmt: skip
FACTS = {
    "cxr.id", "cxr.body_bytes", "cxr.scanner", "cxr.outcome", "cxr.reason", "cxr.file_format",
}  # fmt: skip
PROBE = """
import sys
import service.app, service.cli
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "service.spans"))])
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as opened:
        yield opened


def traced(url: str) -> TracingSettings:
    return TracingSettings(url=url)


def trace(case: Case, *, now: float, sample_ratio: float = 1.0) -> dict[str, ReadableSpan]:
    """Spans by name; the clock says `now`, and the calendar noon."""
    exporter = InMemorySpanExporter()
    tracer = Tracer(exporter, sample_ratio=sample_ratio, clock=lambda: now, wall_clock=lambda: NOON)
    tracer.tell(case)
    tracer.close()
    return {span.name: span for span in exporter.get_finished_spans()}


def timed_case() -> Case:
    """Arrived in half a second, was decoded from 10 to 12, and scored at 13."""
    case = Case(
        id="1", body=b"12345", received_at=datetime.now(UTC), deadline=99.0, seconds={"body": 0.5}
    )
    ticks = iter([10.0, 10.25, 11.0, 12.0])
    with case.timed("decode", lambda: next(ticks)), case.step("read", lambda: next(ticks)):
        pass
    case.note_scored(queue_seconds=0.25, inference_seconds=0.5, now=13.0)
    return case


def seconds_of(span: ReadableSpan) -> tuple[float, float]:
    """Start and end, from noon."""
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time / 1e9 - NOON, span.end_time / 1e9 - NOON


def test_spans_lie_where_the_steps_took_place() -> None:
    spans = trace(timed_case(), now=14.0)

    found = {name: seconds_of(span) for name, span in spans.items()}
    assert found["radiograph"] == pytest.approx((-4.5, 0.0), abs=1e-5)
    assert found["body"] == pytest.approx((-4.5, -4.0), abs=1e-5)
    assert found["decode"] == pytest.approx((-4.0, -2.0), abs=1e-5)
    assert found["read"] == pytest.approx((-3.75, -3.0), abs=1e-5)
    assert found["queue"] == pytest.approx((-1.75, -1.5), abs=1e-5)
    assert found["inference"] == pytest.approx((-1.5, -1.0), abs=1e-5)


def test_part_of_a_stage_is_its_child_and_all_are_one_trace() -> None:
    spans = trace(timed_case(), now=14.0)

    names = {span.context.span_id: name for name, span in spans.items()}
    parents = {
        name: names[span.parent.span_id] if span.parent else None for name, span in spans.items()
    }
    assert parents == {
        "radiograph": None, "body": "radiograph", "decode": "radiograph", "read": "decode",
        "queue": "radiograph", "inference": "radiograph",
    }  # fmt: skip
    assert len({span.context.trace_id for span in spans.values()}) == 1


def test_stage_seconds_are_as_before() -> None:
    assert timed_case().seconds == {"body": 0.5, "decode": 2.0, "queue": 0.25, "inference": 0.5}


def test_upload_that_is_not_drawn_has_no_span() -> None:
    assert trace(timed_case(), now=14.0, sample_ratio=1e-12) == {}


@pytest.mark.filterwarnings("ignore")
async def test_collector_gets_every_step_and_nothing_of_the_patient(
    tiny_store: Path, tmp_path: Path, collector: Collector
) -> None:
    body, sentinels = sentinel_dicom_bytes()
    settings = tiny_settings(tiny_store, tmp_path, tracing=traced(collector.url))

    async with open_app(settings) as service:
        answer = await service.client.post("/predict", content=body)

    root = plain(list(collector.span("radiograph").attributes))
    assert {span.name for span in collector.spans} == STEPS
    assert root["cxr.id"] == answer.json()["id"]
    assert root["cxr.outcome"] == "evaluated"
    assert set(root) <= FACTS
    assert set(collector.resource) == {"service.name", "service.version"}
    assert [s for s in sentinels for sent in collector.bodies if s.encode() in sent] == []


async def test_refused_upload_is_a_trace_that_stops_early(
    tiny_store: Path, tmp_path: Path, collector: Collector
) -> None:
    settings = tiny_settings(tiny_store, tmp_path, tracing=traced(collector.url))

    async with open_app(settings) as service:
        answer = await service.client.post("/predict", content=b"no picture")

    assert answer.status_code == 415
    assert {span.name for span in collector.spans} == {"radiograph", "body", "decode", "read"}
    root = plain(list(collector.span("radiograph").attributes))
    assert root["cxr.outcome"] == "unanswered"


async def test_proxy_of_the_environment_gets_nothing(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_collector() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1/traces"))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", proxy.url)
        async with open_tracing(collector.url, 1.0) as tell:
            tell(timed_case())

    assert len(collector.spans) == 6
    assert proxy.bodies == []


def test_environment_makes_no_library_tell_of_requests(
    tiny_store: Path, tmp_path: Path, collector: Collector
) -> None:
    """FastAPI would send paths, and the words and stack traces of errors."""
    wishes = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url.removesuffix("/v1/traces"),
    }

    with running_service(tiny_store, tmp_path, **wishes) as service:
        answer = httpx.get(f"{service.url}/cases/of-a-patient")
        service.stop(signal.SIGTERM)

    assert answer.status_code == 404
    assert collector.bodies == []


async def test_redirect_is_not_followed(collector: Collector) -> None:
    with running_collector(307, collector.url) as moved:
        async with open_tracing(moved.url, 1.0) as tell:
            tell(timed_case())

    assert len(moved.bodies) == 1
    assert collector.bodies == []


async def test_upload_is_answered_while_the_collector_is_away(
    tiny_store: Path, tmp_path: Path
) -> None:
    nobody = traced(f"http://127.0.0.1:{free_port()}/v1/traces")

    async with open_app(tiny_settings(tiny_store, tmp_path, tracing=nobody)) as service:
        answer = await service.client.post("/predict", content=sentinel_dicom_bytes()[0])

    assert answer.status_code == 200


def test_collector_that_never_answers_holds_up_the_end_once_and_not_for_each_batch() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        tracer = open_tracer(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/traces", 1.0)
        for _ in range(WAITING_SPANS // 6):
            tracer.tell(timed_case())
        started = time.monotonic()
        tracer.close()

    assert time.monotonic() - started < 2 * SEND_SECONDS  # four batches wait


async def test_service_does_not_start_without_the_traces_that_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "service.spans", None)

    with pytest.raises(TracingMissing, match=r"cxr-triage\[tracing\]"):
        async with open_tracing("http://127.0.0.1:1/v1/traces", 1.0):
            pass


@pytest.mark.parametrize("word", ["true", " TRUE "])
async def test_service_does_not_start_where_another_variable_would_keep_the_traces_away(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", word)

    with pytest.raises(TracingDisabled, match="OTEL_SDK_DISABLED"):
        async with open_tracing("http://127.0.0.1:1/v1/traces", 1.0):
            pass


def test_nothing_is_imported_where_tracing_is_off() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=300
    )

    assert done.stdout.strip() == "[]"
