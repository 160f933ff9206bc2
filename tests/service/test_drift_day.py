"""A day of traffic leaves memory and series as they were."""

import tracemalloc
from pathlib import Path

from prometheus_client import CollectorRegistry

from service.core.drift_reference import DRIFT_REFERENCE, write_reference
from service.drift_metrics import DriftMetrics
from service.drift_monitor import DriftMonitor
from service.drift_sighting import open_comparison
from service.drift_state import STATE
from tests.support.drift import draw_radiograph, small_reference
from tests.support.sightings import see

SCANNERS = ("room-1", "room-2", "other")
WARM_IMAGES, DAY_IMAGES = 260 * len(SCANNERS), 1440
"""One image a minute; a scanner's window of 250 is full before the day begins."""

MOST_GROWTH_BYTES = 300_000


def count_series(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())


def test_memory_and_series_are_flat_over_a_day(tmp_path: Path) -> None:
    registry, seconds = CollectorRegistry(), [0.0]
    monitor = DriftMonitor(
        metrics=DriftMetrics(registry, scanners=SCANNERS, tells_results=True),
        shared=frozenset(),
        path=tmp_path / STATE,
        on_pixels=lambda _alias, _raw, _seen: None,
        clock=lambda: seconds[0],
    )
    monitor.use(open_comparison({DRIFT_REFERENCE: write_reference(small_reference())}))
    sightings = [see(draw_radiograph(n), n, SCANNERS[n % 3]) for n in range(24)]

    def send(images: int) -> None:
        for number in range(images):
            seconds[0] += 60
            monitor.observe(sightings[number % len(sightings)])
            monitor.settle()

    send(WARM_IMAGES)
    series = count_series(registry)
    tracemalloc.start()
    send(DAY_IMAGES)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    monitor.close()

    assert count_series(registry) == series
    assert grown < MOST_GROWTH_BYTES
