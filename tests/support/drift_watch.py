"""A drift monitor with a registry of its own, and radiographs for it."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from service.core.drift_reference import DRIFT_REFERENCE, write_reference
from service.core.drift_scalars import Scalar
from service.core.drift_shifts import parse_shift
from service.drift_metrics import DriftMetrics
from service.drift_monitor import DriftMonitor
from service.drift_state import STATE
from tests.support.drift import draw_radiograph, small_reference
from tests.support.sightings import see

FILES = {DRIFT_REFERENCE: write_reference(small_reference())}
FIRST_SEED = 7000


class Watch:
    """A monitor, its registry, and what it told of pixels."""

    def __init__(
        self,
        folder: Path,
        *,
        tells_results: bool = True,
        save_seconds: float = 30.0,
        scanners: tuple[str, ...] = ("room-1", "room-2", "other"),
    ) -> None:
        self.registry = CollectorRegistry()
        self.pixels: list[str] = []
        self.path = folder / STATE
        metrics = DriftMetrics(self.registry, scanners=scanners, tells_results=tells_results)
        self.monitor = DriftMonitor(
            metrics=metrics,
            shared=frozenset({"room-2"}),
            path=self.path,
            on_pixels=lambda alias, _raw, _seen: self.pixels.append(alias),
            clock=lambda: 0.0,
            save_seconds=save_seconds,
        )

    def value(self, name: str, **labels: str) -> float | None:
        """A series of the registry; None without it."""
        return self.registry.get_sample_value(name, labels)

    def worst(self, scanner: str) -> float:
        """The largest drift ratio of a scanner."""
        values = [self.value("cxr_drift_ratio", scanner=scanner, scalar=s) for s in Scalar]
        return max(value for value in values if value is not None)


def feed(watch: Watch, scanner: str, count: int, shift: str = "", first: int = FIRST_SEED) -> None:
    """Radiographs of one scanner, drawn, one after the other."""
    for number in range(count):
        radiograph = draw_radiograph(first + number)
        changed = parse_shift(shift).apply(radiograph) if shift else radiograph
        watch.monitor.observe(see(changed, number, scanner))
        watch.monitor.settle()
