"""The instruments of drift: what each scanner sends, against the reference of the model.

Labels are closed sets: aliases from the site's list, scalars and causes from the code.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from service.core.drift import Alarm, Diagnosis
from service.core.drift_cause import CAUSES
from service.core.drift_scalars import Scalar, Stage
from service.core.drift_typing import ShiftKind
from service.core.findings import ABNORMAL

OTHER: Final = "other"
TOLD_STAGES: Final = (Stage.RAW, Stage.INPUT)
"""What a caller in shadow mode may see: scores and features tell what the model thought."""


class DevicePart(StrEnum):
    """What the tags of a scanner name."""

    SOFTWARE = "software"
    DETECTOR = "detector"


@dataclass(frozen=True, slots=True)
class ScalarState:
    """One scalar of one scanner, as it is exported."""

    ratio: float
    since_seconds: float
    psi: float
    wasserstein: float


class DriftMetrics:
    """All drift instruments on one registry.

    Parameters
    ----------
    scanners
        Aliases that may become labels, `other` among them.
    tells_results
        False in shadow mode: gauges of scores and features are left out.
    """

    def __init__(
        self, registry: CollectorRegistry, *, scanners: Sequence[str], tells_results: bool
    ) -> None:
        self._registry = registry
        self._scanners = tuple(scanners)
        self._tells_results = tells_results
        self._children: dict[tuple[str, Scalar], list[Gauge]] = {}
        self._declare_scanners()
        self._declare_scalars()
        self._declare_verdicts()
        self._declare_monitor()

    def knows(self, scanner: str) -> bool:
        """Whether the alias is still of the site's list: what is remembered may be of another."""
        return scanner in self._scanners

    def tells(self, scalar: Scalar) -> bool:
        """Whether the scalar may be exported."""
        return self._tells_results or scalar.stage in TOLD_STAGES

    def use_scalars(self, scalars: Iterable[Scalar], created_seconds: float) -> None:
        """Show the scalars of a new reference, at zero, and none of the old one's."""
        gauges = (self.ratio, self.since, self.psi, self.wasserstein)
        for gauge in gauges:
            gauge.clear()
        told = list(filter(self.tells, scalars))
        self._children = {
            (scanner, scalar): [gauge.labels(scanner, scalar.value) for gauge in gauges]
            for scanner in self._scanners
            for scalar in told
        }
        for scanner in self._scanners:
            self.show_diagnosis(scanner, None, None)
        self.reference.set(created_seconds)

    def count_radiograph(self, scanner: str, seconds: float) -> None:
        """Count one radiograph of a scanner, received at this Unix time."""
        self.scanner_radiographs.labels(scanner).inc()
        self.show_last(scanner, seconds)

    def show_last(self, scanner: str, seconds: float) -> None:
        """Show when the last radiograph of a scanner was received, maybe by an earlier process."""
        self.scanner_last.labels(scanner).set(seconds)

    def show_scalars(self, scanner: str, states: Mapping[Scalar, ScalarState]) -> None:
        """Show where each scalar of a scanner stands."""
        for scalar, state in states.items():
            numbers = (state.ratio, state.since_seconds, state.psi, state.wasserstein)
            if (scanner, scalar) in self._children:
                children = self._children[scanner, scalar]
                for child, number in zip(children, numbers, strict=True):
                    child.set(number)

    def show_diagnosis(
        self, scanner: str, alarm: Alarm | None, diagnosis: Diagnosis | None
    ) -> None:
        """Show kind, cause and forecast of an alarm; zeros where there is none."""
        told = diagnosis if alarm is not None and self.tells(alarm.scalar) else None
        for kind in ShiftKind:
            self.kind.labels(scanner, kind.value).set(
                told is not None and told.verdict.kind is kind
            )
        for cause in CAUSES:
            self.cause.labels(scanner, cause).set(told is not None and told.cause.told == cause)
        forecast = told.cause.sensitivity if told is not None else {}
        for finding in ABNORMAL:
            change = forecast.get(finding.value, 0.0)
            self.sensitivity.labels(scanner, finding.value).set(change)

    def _declare_scanners(self) -> None:
        self.scanner_radiographs = self._counter(
            "cxr_scanner_radiographs", "Radiographs that were watched, by scanner.", "scanner"
        )
        self.scanner_last = self._gauge(
            "cxr_scanner_last_radiograph_timestamp_seconds",
            "Unix time of the last radiograph of each scanner; 0 before its first.", "scanner",
        )  # fmt: skip
        self.device_changes = self._counter(
            "cxr_scanner_device_changes",
            "Times that the tags of a scanner named other software, or another detector.",
            "scanner", "part",
        )  # fmt: skip
        for scanner in self._scanners:
            self.scanner_radiographs.labels(scanner)
            self.scanner_last.labels(scanner)
            for part in DevicePart:
                self.device_changes.labels(scanner, part.value)

    def _declare_scalars(self) -> None:
        labels = ("scanner", "scalar")
        self.ratio = self._gauge(
            "cxr_drift_ratio", "CUSUM of a scalar against its limit; above 1 is drift.", *labels
        )
        self.since = self._gauge(
            "cxr_drift_since_timestamp_seconds",
            "Unix time from which that CUSUM has grown; 0 while it is zero.", *labels,
        )  # fmt: skip
        self.psi = self._gauge(
            "cxr_drift_psi",
            "Population stability index of the last 250 radiographs of a scanner.", *labels,
        )  # fmt: skip
        self.wasserstein = self._gauge(
            "cxr_drift_wasserstein_ratio",
            "Wasserstein distance of the same, in robust standard deviations.", *labels,
        )  # fmt: skip

    def _declare_verdicts(self) -> None:
        self.kind = self._gauge(
            "cxr_drift_kind", "1 for the kind of an alarm: pictures or prevalence.",
            "scanner", "kind",
        )  # fmt: skip
        self.cause = self._gauge(
            "cxr_drift_cause", "1 for what an alarm looks like, in words.",
            "scanner", "cause",
        )  # fmt: skip
        self.sensitivity = self._gauge(
            "cxr_drift_sensitivity_change_ratio",
            "Forecast change of the sensitivity at the flag threshold.", "scanner", "finding",
        )  # fmt: skip
        for scanner in self._scanners:
            self.show_diagnosis(scanner, None, None)

    def _declare_monitor(self) -> None:
        self.reference = self._gauge(
            "cxr_drift_reference_timestamp_seconds",
            "Unix time at which the drift reference was measured; 0 where the model has none.",
        )
        self.dropped = self._counter(
            "cxr_drift_dropped_radiographs", "Radiographs not watched, for lack of time."
        )
        self.failed = self._counter(
            "cxr_drift_failed_radiographs", "Radiographs whose scalars could not be measured."
        )

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)
