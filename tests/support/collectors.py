"""A collector of traces on a loopback port: OTLP over HTTP, decoded as a real one would."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.http_servers import Asked, Told, listening


@dataclass(slots=True)
class Collector:
    """What was posted to it."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        """All of them, in the order of their arrival."""
        return [
            span
            for request in self._requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        """Who sent them."""
        first = self._requests()[0].resource_spans[0].resource
        return plain(list(first.attributes))

    def span(self, name: str) -> Span:
        """The first of that name."""
        return next(span for span in self.spans if span.name == name)

    def _requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]


def plain(attributes: list[KeyValue]) -> dict[str, str]:
    """Attributes as words."""
    return {pair.key: pair.value.string_value or str(pair.value.int_value) for pair in attributes}


@contextmanager
def running_collector(status: int = 200, location: str = "") -> Iterator[Collector]:
    """Listen on a free port; every answer has this status, and may point elsewhere."""
    bodies: list[bytes] = []

    def keep(asked: Asked) -> Told:
        bodies.append(asked.body)
        return Told(status, headers={"Location": location} if location else {})

    with listening(keep) as address:
        yield Collector(f"{address}/v1/traces", bodies)
