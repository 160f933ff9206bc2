"""Streams of radiographs with a change in them, and what each detector says of them.

Axes: T images, J streams, K scalars.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.drift_detectors import Detector, Measured, Rows, Stream
from bench.drift_pool import CLEAN, Pool
from service.core.drift import WINDOW_IMAGES
from service.core.drift import Detector as ScannerDetector
from service.core.drift_cusum import Numbers
from service.core.drift_scalars import Levels
from service.core.drift_typing import ShiftKind
from service.core.findings import FINDINGS

LONGEST_DELAY = 500
EARLIEST, LATEST = 50, 300
"""Images of all scanners before the change, drawn evenly for each stream."""

Draw = Callable[[int], tuple[Levels, Levels]]
"""Number of a stream -> its images before the change and after it, (N, K) each."""

OTHER_SCANNERS = 2
TYPED_IMAGES = 150
"""After the change, when its kind is read."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is simulated.

    Attributes
    ----------
    streams
        Null streams, and shifted ones of each cell.
    null_images, calibration_images
        Length of the null streams, and of those that calibrate the baselines.
    typed, controls
        Shifted streams whose diagnosis is read, and such of which only the prevalence changes.
    """

    streams: int = 200
    null_images: int = 20_000
    calibration_images: int = 5_000
    usual_images: int = 3_000
    typed: int = 40
    controls: int = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """What one detector did with one shift at one share of the traffic.

    Attributes
    ----------
    delays
        (J,) images of the changed scanner from the change to the alarm; infinite where none.
    is_right
        (J,) the first alarm of any scanner after the change was that of the changed one.
    """

    delays: Numbers = field(repr=False)
    is_right: NDArray[np.bool_] = field(repr=False)
    early: int = 0
    """Streams that had alarmed before the change; they are left out of the delays."""

    @property
    def median(self) -> float:
        """Delay that half of the streams stay within."""
        return float(np.quantile(self.delays, 0.5, method="higher"))

    @property
    def p90(self) -> float:
        """Delay that nine of ten streams stay within."""
        return float(np.quantile(self.delays, 0.9, method="higher"))

    def within(self, images: int) -> float:
        """Share of the streams that alarmed in time."""
        return float((self.delays <= images).mean())


class Streams:
    """Draws streams from a pool, the same ones for every detector."""

    def __init__(
        self, pool: Pool, measured: dict[str, Measured], extent: Extent, seed: int = 0
    ) -> None:
        self._pool = pool
        self._measured = measured
        self.extent = extent
        self._seed = seed

    def draw(self, images: int, streams: int, salt: int, weights: Numbers | None = None) -> Rows:
        """(T, J) rows of the pool; by default of its unchanged images."""
        random = np.random.default_rng((self._seed, salt))
        chances = self._pool.weights if weights is None else weights
        return random.choice(len(chances), (images, streams), p=chances)

    def null_peaks(self, detector: Detector, images: int, salt: int) -> Numbers:
        """(J,) largest statistic in unchanged streams of so many images."""
        streams = self.extent.streams
        largest = np.zeros(streams)
        for found in detector(self._unchanged(images, salt), images, streams):
            np.maximum(largest, found, out=largest)
        return largest

    def null_alarms(
        self,
        detector: Detector,
        limit: float,
        images: int,
        salt: int,
        weights: Numbers | None = None,
    ) -> tuple[int, int]:
        """Alarms, and images until the first alarm or the end, over all streams."""
        rows, clean = self.draw(images, self.extent.streams, salt, weights), self._measured[CLEAN]
        alive, seen = np.ones(self.extent.streams, np.bool_), 0
        for found in detector(lambda now: (clean, rows[now]), images, self.extent.streams):
            seen += int(alive.sum())
            alive &= found <= limit
            if not alive.any():
                break
        return self.extent.streams - int(alive.sum()), seen

    def run(self, detector: Detector, limit: float, shift: str, share: float, salt: int) -> Cell:
        """Change one of three scanners at a random time, and wait for the alarm.

        The right scanner is named if no other one has alarmed from the beginning to that moment.
        """
        random = np.random.default_rng((self._seed, salt, 1))
        changes_at = random.integers(EARLIEST, LATEST, self.extent.streams)
        before = random.binomial(changes_at, share)
        images = int(before.max()) + LONGEST_DELAY
        changing = self._changing(shift, before, images, salt)
        delays = self._follow(detector, limit, changing, images) - before
        delays = np.where(delays > LONGEST_DELAY, np.inf, delays)
        is_early = delays <= 0
        waited = np.where(np.isinf(delays), LONGEST_DELAY, np.maximum(delays, 0))
        reach = changes_at + waited / share
        others = self._others(detector, limit, share, salt) if share < 1 else np.inf
        is_right = ~is_early & np.isfinite(delays) & (others > reach)
        kept = ~is_early
        return Cell(delays[kept], is_right[kept], int(is_early.sum()))

    def _changing(self, shift: str, before: Rows, images: int, salt: int) -> Stream:
        """Unchanged up to each stream's own moment, changed from there on."""
        rows = self.draw(images, self.extent.streams, salt)
        changed = self.draw(images, self.extent.streams, salt + 1, self._pool.shown_weights)
        pairs = zip(_parts(self._measured[CLEAN]), _parts(self._measured[shift]), strict=True)
        joined = Measured(*(np.concatenate(pair) for pair in pairs))
        offset = len(self._measured[CLEAN].z)
        return lambda now: (joined, np.where(now >= before, changed[now] + offset, rows[now]))

    def _unchanged(self, images: int, salt: int) -> Stream:
        rows, clean = self.draw(images, self.extent.streams, salt), self._measured[CLEAN]
        return lambda now: (clean, rows[now])

    def _follow(self, detector: Detector, limit: float, stream: Stream, images: int) -> Numbers:
        """(J,) image of the first alarm, from 1; infinite where there is none."""
        found_at = np.full(self.extent.streams, np.inf)
        for now, found in enumerate(detector(stream, images, self.extent.streams)):
            found_at = np.where((found > limit) & np.isinf(found_at), now + 1, found_at)
            if np.isfinite(found_at).all():
                break
        return found_at

    def _others(self, detector: Detector, limit: float, share: float, salt: int) -> Numbers:
        """(J,) images of all traffic until one of the unchanged scanners alarms."""
        each = (1 - share) / OTHER_SCANNERS
        images = math.ceil((LATEST + LONGEST_DELAY / share) * each)
        first = np.full(self.extent.streams, np.inf)
        for scanner in range(OTHER_SCANNERS):
            found_at = self._follow(
                detector, limit, self._unchanged(images, salt + 1000 + scanner), images
            )
            first = np.minimum(first, found_at / each)
        return first


@dataclass(frozen=True, slots=True)
class Reading:
    """What the detector of the service says of some streams after their change."""

    kinds: Counter[ShiftKind]
    causes: Counter[str]
    scalars: Counter[str]

    def share(self, kind: ShiftKind) -> float:
        """Of the streams that alarmed."""
        return self.kinds[kind] / max(1, self.kinds.total())


def read_streams(detector: ScannerDetector, count: int, draw: Draw) -> Reading:
    """Feed whole streams to the very detector that serves, and note its diagnosis.

    Parameters
    ----------
    draw
        Stream number -> values before (T, K), and values after its change (T, K).
    """
    kinds: Counter[ShiftKind] = Counter()
    causes: Counter[str] = Counter()
    scalars: Counter[str] = Counter()
    for number in range(count):
        before, after = draw(number)
        values = np.concatenate([before, after]).astype(np.float32)
        track = detector.start()
        for now, image in enumerate(zip(values, detector.follow(values), strict=True)):
            detector.advance(track, *image, float(now))
        alarm = detector.alarm(track)
        if alarm is None:
            continue
        diagnosis = detector.diagnose(track, alarm)
        kinds[diagnosis.verdict.kind] += 1
        causes[diagnosis.cause.name] += 1
        scalars[alarm.scalar.value] += 1
    return Reading(kinds, causes, scalars)


def shifted_draw(streams: Streams, pool: Pool, shift: str, salt: int) -> Draw:
    """For `read_streams`: one hundred unchanged images, then the change."""
    before = streams.draw(100, streams.extent.typed, salt)
    after = streams.draw(TYPED_IMAGES, streams.extent.typed, salt + 1, pool.shown_weights)
    return lambda number: (
        pool.values[CLEAN][before[:, number]], pool.values[shift][after[:, number]]
    )  # fmt: skip


def prevalence_draw(streams: Streams, pool: Pool, prevalence: dict[str, float], salt: int) -> Draw:
    """The same, when the labels alone are drawn anew: within a label nothing changes."""
    wanted = np.array([prevalence[finding.value] for finding in FINDINGS])
    here = np.array([pool.weights[pool.findings == f].sum() for f in range(len(FINDINGS))])
    weights = pool.weights * (wanted / here)[pool.findings]
    count = streams.extent.controls
    before = streams.draw(100, count, salt)
    after = streams.draw(WINDOW_IMAGES, count, salt + 1, weights / weights.sum())
    return lambda number: (
        pool.values[CLEAN][before[:, number]], pool.values[CLEAN][after[:, number]]
    )  # fmt: skip


def _parts(measured: Measured) -> tuple[NDArray[np.generic], ...]:
    return measured.z, measured.series, measured.bins
