"""The instruments of the way in from a PACS; all of them stay at zero where there is none."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OTHER: Final = "other"
STATES: Final = ("answered", "ignored", "gone", "dead")
DELAY_BUCKETS: Final = (0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 1800, 7200, 86400)


class PacsMetrics:
    """All of them, on one registry.

    Parameters
    ----------
    codes
        Why an instance, or a question, may fail.
    """

    def __init__(self, registry: CollectorRegistry, *, codes: Iterable[str]) -> None:
        self._codes = frozenset(codes)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        self.waiting = gauge(
            "cxr_pacs_waiting_instances", "Instances that were noticed and are not answered yet."
        )
        self.oldest = gauge(
            "cxr_pacs_oldest_waiting_seconds", "How long the first of them has waited."
        )
        self.dead = gauge(
            "cxr_pacs_dead_letter_instances", "Instances that were given up and not retried."
        )
        self.last_sequence = gauge(
            "cxr_pacs_last_sequence", "Number of the last change of the PACS that was read."
        )
        self.last_contact = gauge(
            "cxr_pacs_last_contact_timestamp_seconds",
            "Unix time of the last answer of the PACS, or of the start; 0 without a PACS.",
        )
        self.resets = Counter(
            "cxr_pacs_resets", "Times that the PACS was found with another database.",
            registry=registry,
        )  # fmt: skip
        self._declare_counts(registry)

    def opened(self, now: float) -> None:
        """There is a PACS; it was not heard of yet."""
        self.last_contact.set(now)

    def contacted(self, now: float, sequence: int) -> None:
        """It answered."""
        self.last_contact.set(now)
        self.last_sequence.set(sequence)

    def show_depth(self, *, waiting: int, dead: int, oldest_seconds: float) -> None:
        """How much waits."""
        self.waiting.set(waiting)
        self.dead.set(dead)
        self.oldest.set(oldest_seconds)

    def count_settled(self, state: str, seconds: float) -> None:
        """Count one instance by how it ended, so long after it was noticed."""
        self.settled.labels(state).inc()
        if state == "answered":
            self.delay.observe(max(0.0, seconds))  # the clock may have been set back meanwhile

    def count_failure(self, code: str) -> None:
        """Count one try that failed."""
        self.failures.labels(code if code in self._codes else OTHER).inc()

    def count_poll_failure(self, code: str) -> None:
        """Count one question for changes without an answer."""
        self.poll_failures.labels(code if code in self._codes else OTHER).inc()

    def _declare_counts(self, registry: CollectorRegistry) -> None:
        self.settled = Counter(
            "cxr_pacs_instances", "Instances of the PACS, by how they ended.", ["state"],
            registry=registry,
        )  # fmt: skip
        self.failures = Counter(
            "cxr_pacs_failures", "Tries to pull and answer an instance that failed, by code.",
            ["code"], registry=registry,
        )  # fmt: skip
        self.poll_failures = Counter(
            "cxr_pacs_poll_failures", "Questions for changes that had no answer, by code.",
            ["code"], registry=registry,
        )  # fmt: skip
        for state in STATES:
            self.settled.labels(state)
        for code in (*sorted(self._codes), OTHER):
            self.failures.labels(code)
            self.poll_failures.labels(code)
        self.delay = Histogram(
            "cxr_pacs_delay_seconds", "Time from the notice of an instance to its answer.",
            buckets=DELAY_BUCKETS, registry=registry,
        )  # fmt: skip
