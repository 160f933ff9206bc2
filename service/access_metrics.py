"""The instrument of access control; refusals are counted by their codes in `cxr_problems_total`."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge


class AccessMetrics:
    """One gauge of two series, read at each scrape.

    A key that ended has one of its own, so that it neither ends the alert nor hides the next key.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        expiry = Gauge(
            "cxr_key_expiry_timestamp_seconds",
            "Unix time at which the first live API key without a successor ends, and the last "
            "expired one ended; infinite without one.",
            ["state"], registry=registry,
        )  # fmt: skip
        self.live, self.expired = expiry.labels("live"), expiry.labels("expired")
        for series in (self.live, self.expired):
            series.set(float("inf"))

    def watch(self, *, next_expiry: Callable[[], float], last_expiry: Callable[[], float]) -> None:
        """Ask at each scrape."""
        self.live.set_function(next_expiry)
        self.expired.set_function(last_expiry)
