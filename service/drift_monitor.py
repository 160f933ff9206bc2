"""Radiograph, Pixels, Scores -> rolling state of each scanner -> gauges; off the request path.

One thread does all the work. A request pays for a copy of some rows and for a place in a queue; a
full queue drops the radiograph from drift, and never delays its answer.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from service.core.drift import Alarm, Diagnosis
from service.core.drift_cusum import Numbers
from service.core.drift_scalars import (
    Scalar,
    as_vector,
    measure_input,
    measure_raw,
    measure_scores,
)
from service.core.radiograph import DicomContext
from service.courtesy import give_way
from service.drift_metrics import DevicePart, DriftMetrics, ScalarState
from service.drift_sighting import NOTHING, Comparison, Sighting
from service.drift_state import DriftState, ScannerState, load_state, save_state
from service.logs import describe_error
from service.metrics import STATISTICS
from service.scanners import OTHER

log: structlog.stdlib.BoundLogger = structlog.get_logger()

QUEUED_RADIOGRAPHS = 64
"""About 400 kB each."""

SAVE_SECONDS = 30.0
"""A killed service forgets at most so much; a stopped one nothing."""

DIAGNOSE_IMAGES = 25
"""After an alarm; then twice as many, and so on, and once a day."""

DISTANCE_IMAGES = 25
SHARING_MACHINES = 64
"""Devices that are remembered of one shared alias."""
DAY_SECONDS, ALIVE_SECONDS = 86_400.0, 1.0
OnPixels = Callable[[str, Mapping[str, float], Mapping[str, float]], None]


@dataclass(slots=True)
class _Watched:
    """What is known of a scanner beyond what is saved."""

    alarm: Alarm | None = None
    diagnosis: Diagnosis | None = None
    distances: tuple[Numbers, Numbers] | None = None
    due_image: int = 0
    gap_images: int = 0
    diagnosed_seconds: float = 0.0


class DriftMonitor:
    """Follows every scanner; `observe` may be called from any thread.

    Parameters
    ----------
    shared
        Aliases that several machines may stand behind: each of them is a change only once.
    path
        Where the state survives a restart; None keeps it in memory.
    on_pixels
        Told alias, raw and model-input statistics of every radiograph.
    clock
        Seconds, monotonic.
    save_seconds
        State is saved after so long, also when no radiograph follows.
    """

    def __init__(
        self,
        *,
        metrics: DriftMetrics,
        shared: frozenset[str],
        path: Path | None,
        on_pixels: OnPixels,
        clock: Callable[[], float],
        save_seconds: float = SAVE_SECONDS,
    ) -> None:
        self._metrics = metrics
        self._shared = shared
        self._path = path
        self._on_pixels = on_pixels
        self._clock = clock
        self._queue: queue.Queue[Sighting | Callable[[], None] | None] = queue.Queue(
            QUEUED_RADIOGRAPHS
        )
        self._comparison = NOTHING
        self._state = DriftState(NOTHING.digest)
        self._watched: dict[str, _Watched] = {}
        self._saved_at, self._save_seconds = clock(), save_seconds
        self._is_saved = True
        self._thread = threading.Thread(target=self._work, name="drift", daemon=True)
        self._thread.start()

    def use(self, comparison: Comparison) -> None:
        """Compare with this reference from now on; blocks until that has begun, or has failed.

        What was observed before goes first, and what is observed meanwhile is not waited for.
        """
        is_over = threading.Event()

        def switch() -> None:
            try:
                self._begin(comparison)
            finally:
                is_over.set()

        self._queue.put(switch)
        while not is_over.wait(ALIVE_SECONDS) and self._thread.is_alive():
            pass

    def observe(self, sighting: Sighting) -> None:
        """Take note of a radiograph, some time soon."""
        if not sighting.is_of_interest:
            return
        try:
            self._queue.put_nowait(sighting)
        except queue.Full:
            self._metrics.dropped.inc()

    def settle(self) -> None:
        """Wait until all that was observed is in the gauges."""
        self._queue.join()

    def close(self) -> None:
        """Finish what waits and save; may be called again."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _begin(self, comparison: Comparison) -> None:
        self._save()
        detector = comparison.detector
        self._comparison, self._watched = comparison, {}
        self._state = load_state(self._path, comparison.digest, detector)
        if detector is None:
            self._metrics.use_scalars((), 0.0)
        else:
            self._metrics.use_scalars(detector.scalars, detector.created_seconds)
        for alias, scanner in self._state.scanners.items():
            if self._metrics.knows(alias):
                self._metrics.show_last(alias, scanner.last_seconds)
                self._show(alias, scanner)

    def _work(self) -> None:
        give_way()
        while (item := self._next()) is not None:
            try:
                if isinstance(item, Sighting):
                    self._add(item)
                else:
                    item()
            except Exception as error:  # noqa: BLE001 - one odd radiograph must not end the watch
                self._metrics.failed.inc()
                log.error("drift.failed", **describe_error(error))
            finally:
                self._queue.task_done()
        self._save()
        self._queue.task_done()

    def _next(self) -> Sighting | Callable[[], None] | None:
        """What comes next; a silence is used to save what the last radiographs left."""
        while True:
            try:
                return self._queue.get(timeout=self._save_seconds)
            except queue.Empty:
                if not self._is_saved:
                    self._save()

    def _add(self, sighting: Sighting) -> None:
        alias = sighting.scanner
        self._is_saved = False
        scanner = self._state.scanners.setdefault(alias, ScannerState())
        raw = {} if sighting.sample is None else measure_raw(sighting.sample)
        seen = {} if sighting.pixels is None else measure_input(sighting.pixels)
        self._on_pixels(alias, _statistics(raw), _statistics(seen))
        self._metrics.count_radiograph(alias, sighting.seconds)
        self._compare_device(alias, scanner, sighting.dicom)
        scanner.images += 1
        scanner.last_seconds = sighting.seconds
        self._update(alias, scanner, sighting, raw | seen)
        if self._clock() - self._saved_at >= self._save_seconds:
            self._save()

    def _update(
        self, alias: str, scanner: ScannerState, sighting: Sighting, measured: dict[Scalar, float]
    ) -> None:
        detector, scores = self._comparison.detector, sighting.scores
        if detector is None or not sighting.goes_with(self._comparison.digest):
            return
        if scores is not None:
            measured |= measure_scores(scores.probabilities)
            measured |= detector.features.measure(scores.features)
        scanner.track = scanner.track or detector.start()
        values = as_vector(measured, detector.scalars)
        detector.update(scanner.track, values, sighting.seconds)
        self._show(alias, scanner)

    def _compare_device(
        self, alias: str, scanner: ScannerState, dicom: DicomContext | None
    ) -> None:
        """A new software version, or another detector, is an event of its own.

        Machines that nobody named are no scanner: the next picture is of another one.
        """
        if dicom is None or alias == OTHER:
            return
        words = {
            DevicePart.SOFTWARE: dicom.software_versions,
            DevicePart.DETECTOR: dicom.device_serial_number,
        }
        for part, said in words.items():
            if not said:
                continue
            digest = self._state.digest(said)
            known = scanner.devices.get(part.value, [])
            latest = [*(other for other in known if other != digest), digest]
            kept = SHARING_MACHINES if alias in self._shared else 1
            scanner.devices[part.value] = latest[-kept:]
            if known and digest not in known:
                self._metrics.device_changes.labels(alias, part.value).inc()
                log.warning("drift.device_changed", scanner=alias, part=part.value)

    def _show(self, alias: str, scanner: ScannerState) -> None:
        detector, track = self._comparison.detector, scanner.track
        if detector is None or track is None:
            return
        watched = self._watched.setdefault(alias, _Watched())
        is_new = self._diagnose(alias, scanner, watched)
        if is_new or watched.distances is None or scanner.images % DISTANCE_IMAGES == 0:
            watched.distances = detector.distances(track)
        columns = (detector.ratios(track), detector.since_seconds(track), *watched.distances)
        states = [ScalarState(*map(float, row)) for row in zip(*columns, strict=True)]
        self._metrics.show_scalars(alias, dict(zip(detector.scalars, states, strict=True)))

    def _diagnose(self, alias: str, scanner: ScannerState, watched: _Watched) -> bool:
        """Whether there is something new to show; of an old alarm the cause is asked ever less."""
        detector, track = self._comparison.detector, scanner.track
        if detector is None or track is None:
            return False
        is_first = watched.alarm is None
        is_next_day = scanner.last_seconds - watched.diagnosed_seconds >= DAY_SECONDS
        is_due = is_first or is_next_day or scanner.images >= watched.due_image
        if detector.is_alarmed(track) and not is_due:
            return False
        alarm = detector.alarm(track)
        if alarm is None:
            watched.alarm = watched.diagnosis = None
            if not is_first:
                log.info("drift.ended", scanner=alias)
                self._metrics.show_diagnosis(alias, None, None)
            return not is_first
        watched.alarm = alarm
        watched.gap_images = DIAGNOSE_IMAGES if is_first else 2 * watched.gap_images
        watched.due_image = scanner.images + watched.gap_images
        watched.diagnosed_seconds = scanner.last_seconds
        watched.diagnosis = detector.diagnose(track, alarm)
        self._metrics.show_diagnosis(alias, alarm, watched.diagnosis)
        _tell(alias, alarm, watched.diagnosis)
        return True

    def _save(self) -> None:
        self._saved_at, self._is_saved = self._clock(), True
        if self._path is None or not self._state.scanners:
            return
        try:
            save_state(self._path, self._state)
        except Exception as error:  # noqa: BLE001 - nothing that is saved may end the watch
            log.error("drift.save_failed", error=type(error).__name__)


def _statistics(measured: dict[Scalar, float]) -> dict[str, float]:
    """Those that are shown as histograms, without the word of their stage."""
    named = {name.value.partition("_")[2]: value for name, value in measured.items()}
    return {name: named[name] for name in STATISTICS if name in named}


def _tell(alias: str, alarm: Alarm, diagnosis: Diagnosis) -> None:
    log.warning(
        "drift.detected",
        scanner=alias,
        scalar=alarm.scalar.value,
        ratio=round(alarm.ratio, 2),
        since=datetime.fromtimestamp(alarm.since_seconds, UTC).isoformat(timespec="seconds"),
        kind=diagnosis.verdict.kind.value,
        cause=diagnosis.cause.name,
        images=diagnosis.images,
    )
