"""The scalars of one scanner, image after image -> what drifted, since when, and why.

Axes: K scalars, S series, W images of the rolling window. Sums are (2, S): upper and lower.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from service.core.drift_cause import OTHER_PATIENTS, Cause, find_cause
from service.core.drift_cusum import Numbers, step
from service.core.drift_reference import FeatureSpace, Reference
from service.core.drift_scalars import Levels, Scalar
from service.core.drift_series import Series
from service.core.drift_typing import ShiftKind, Typist, Verdict
from service.core.drift_window import make_yardstick

WINDOW_IMAGES = 250
CAP = 1.25
"""Sums stop at that times their limit, so that a mended scanner is silent within some dozens."""


@dataclass(slots=True)
class Track:
    """What is remembered of one scanner.

    Attributes
    ----------
    sums
        (2, S).
    since_images, since_seconds
        (2, S) number and Unix time of the image from which a sum has not been zero.
    window
        (W, K) values of the last images, oldest overwritten first; NaN where there is none.
    """

    images: int
    sums: Numbers = field(repr=False)
    since_images: NDArray[np.int64] = field(repr=False)
    since_seconds: Numbers = field(repr=False)
    window: Levels = field(repr=False)
    last_seconds: float = 0.0

    def recent(self, images: int) -> Levels:
        """(M, K) the last so many images that are remembered, oldest first."""
        count = min(images, self.images, len(self.window))
        places = np.arange(self.images - count, self.images) % len(self.window)
        return self.window[places]


@dataclass(frozen=True, slots=True)
class Alarm:
    """The scalar that is furthest beyond its limit; of several, the one that moved most."""

    scalar: Scalar
    ratio: float
    since_image: int
    since_seconds: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Kind and cause of an alarm, from the images since its change."""

    verdict: Verdict
    cause: Cause
    images: int


class Detector:
    """Compares scanners with one reference; holds no state of a scanner."""

    def __init__(self, reference: Reference) -> None:
        self.scalars = reference.header.scalars
        self._reference = reference
        self._series = Series(self.scalars, reference.values, reference.signatures)
        self._scale = self._series.scale
        self._limits = reference.limits
        self._yardsticks = [make_yardstick(column) for column in reference.values.T]
        self._typist = Typist(self._scale.standardise(reference.values), reference.findings)

    @property
    def created_seconds(self) -> float:
        """Unix time at which the reference was measured."""
        return datetime.fromisoformat(self._reference.header.created).timestamp()

    @property
    def features(self) -> FeatureSpace:
        """How to measure the features of an image."""
        return self._reference.features

    def start(self) -> Track:
        """A scanner that was never seen."""
        shape = (2, len(self._series))
        return Track(
            images=0,
            sums=np.zeros(shape),
            since_images=np.zeros(shape, np.int64),
            since_seconds=np.zeros(shape),
            window=np.full((WINDOW_IMAGES, len(self.scalars)), np.nan, np.float32),
        )

    def update(self, track: Track, values: Levels, seconds: float) -> None:
        """Add one image (K,) of Unix time `seconds` to its scanner."""
        self.advance(track, values, self.follow(values), seconds)

    def follow(self, values: Levels) -> Numbers:
        """(..., K) values -> (..., S) what the sums follow."""
        return self._series.follow(self._scale.standardise(values))

    def advance(self, track: Track, values: Levels, followed: Numbers, seconds: float) -> None:
        """The second half of `update`, for those who follow many images at once."""
        was_zero = track.sums <= 0
        sums = step(track.sums, followed, self._allowance)
        track.sums = np.minimum(sums, CAP * self._limits)
        track.window[track.images % len(track.window)] = values
        track.images += 1
        track.since_images = np.where(was_zero, track.images, track.since_images)
        track.since_seconds = np.where(was_zero, seconds, track.since_seconds)
        track.last_seconds = seconds

    def ratios(self, track: Track) -> Numbers:
        """(K,) sum against limit, the highest of the series of a scalar; above 1 is an alarm."""
        highest = np.zeros(len(self.scalars))
        np.maximum.at(highest, self._series.owners, (track.sums / self._limits).max(axis=0))
        return highest

    def since_seconds(self, track: Track) -> Numbers:
        """(K,) Unix time from which each scalar's highest sum has grown; 0 where it is zero."""
        ratios, since = track.sums / self._limits, np.zeros(len(self.scalars))
        order = np.argsort(ratios, axis=None)
        grown = order[ratios.ravel()[order] > 0]
        # Of repeated places the last is kept: the series with the highest ratio.
        since[np.tile(self._series.owners, 2)[grown]] = track.since_seconds.ravel()[grown]
        return since

    def is_alarmed(self, track: Track) -> bool:
        """Whether `alarm` names one, at a hundredth of its cost."""
        return bool((track.sums / self._limits).max() > 1)

    def alarm(self, track: Track) -> Alarm | None:
        """The series furthest beyond its limit; of several at the cap, the latest to start."""
        ratios = track.sums / self._limits
        worst = float(ratios.max())
        if worst <= 1:
            return None
        is_leader = np.isclose(ratios, worst)
        place = int(np.where(is_leader, track.since_images, -1).argmax())
        since_image = int(track.since_images.ravel()[place])
        moved = np.abs(_mean_of(self._since(track, since_image)))
        leaders = self._series.owners[is_leader.any(axis=0)]
        return Alarm(
            scalar=self.scalars[leaders[moved[leaders].argmax()]],
            ratio=worst,
            since_image=since_image,
            since_seconds=float(track.since_seconds.ravel()[place]),
        )

    def diagnose(self, track: Track, alarm: Alarm) -> Diagnosis:
        """Kind and cause; some tens of milliseconds, for once in a while."""
        z = self._since(track, alarm.since_image)
        verdict = self._typist.type_shift(z)
        cause = find_cause(self._reference.header, self._reference.signatures, _mean_of(z))
        if verdict.kind is ShiftKind.PREVALENCE:
            cause = Cause(OTHER_PATIENTS)
        return Diagnosis(verdict, cause, len(z))

    def distances(self, track: Track) -> tuple[Numbers, Numbers]:
        """(K,) PSI, and Wasserstein distance in robust standard deviations, of the window."""
        window = track.recent(WINDOW_IMAGES)
        pairs = list(zip(self._yardsticks, window.T, strict=True))
        stability = np.array([yardstick.psi(now) for yardstick, now in pairs])
        moved = np.array([yardstick.wasserstein(now) for yardstick, now in pairs])
        return stability, moved / self._scale.scale

    def _since(self, track: Track, image: int) -> Numbers:
        """(M, K) standardised images from that one on, as far as they are remembered."""
        return self._scale.standardise(track.recent(track.images - image + 1))

    @property
    def _allowance(self) -> float:
        return self._reference.header.allowance


def _mean_of(z: Numbers) -> Numbers:
    """(K,) over the images; 0 for what none of them has."""
    measured = np.maximum(1, (~np.isnan(z)).sum(axis=0))
    return np.asarray(np.nansum(z, axis=0) / measured, np.float64)
