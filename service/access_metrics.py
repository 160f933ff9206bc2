"""The instrument of access control; refusals are counted by their codes in `cxr_problems_total`."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge


class AccessMetrics:
    """One gauge, read at each scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.key_expiry = Gauge(
            "cxr_key_expiry_timestamp_seconds",
            "Unix time at which the first API key without a successor ends; infinite without one.",
            registry=registry,
        )
        self.key_expiry.set(float("inf"))

    def watch(self, read: Callable[[], float]) -> None:
        """Ask at each scrape."""
        self.key_expiry.set_function(read)
