"""How fast recent work was: what a refused caller is told, and which deadlines are hopeless."""

import math
from collections import deque

REMEMBERED_BATCHES = 32
"""Recent batches that the pace is read from; few enough to forget a slow minute quickly."""

REMEMBERED_ANSWERS = 64
"""Some batches' worth: answers leave a batch at a time."""

LEAST_ANSWERS = 16

UNKNOWN_RETRY_SECONDS = 1.0
"""What a refused caller is told before any pace is known."""

LEAST_FACTOR = 1.15
"""Of the expected time: it is a mean, and half of all waits are longer."""

MOST_FACTOR = 2.5
"""However uneven the pace is, some are let in."""

MEAN_GAIN, DEVIATION_GAIN = 1 / 64, 1 / 32
"""Of the newest wait; those who wait side by side are late together, so a few tell little."""

DEVIATIONS = 4

FADE_GAIN = 1 / 512
"""Of an answer that tells nothing: caution that lets nobody far enough in to be proven wrong would
last for ever. Some minutes of full load."""


USUAL_MEAN = 1.0
USUAL_DEVIATION = (LEAST_FACTOR - USUAL_MEAN) / DEVIATIONS


class Pace:
    """How fast recent batches were, as a lower bound of what more would take.

    It must not overestimate: a caller refused on it would never have been late.
    """

    def __init__(self, max_images: int) -> None:
        self._max_images = max_images
        self._batches: deque[tuple[int, float]] = deque(maxlen=REMEMBERED_BATCHES)

    def note(self, images: int, seconds: float) -> None:
        """Remember one batch that went well."""
        self._batches.append((images, seconds))

    def seconds_for(self, images: int) -> float:
        """By the best pace per image, or per batch where only small batches were seen."""
        if not self._batches:
            return 0.0
        by_image = images * min(seconds / count for count, seconds in self._batches)
        batches = math.ceil(images / self._max_images)
        return min(by_image, batches * max(seconds for _, seconds in self._batches))


class Flow:
    """How fast answers leave while others wait: what a newcomer has to expect.

    Unlike `Pace` it sees the whole way, decoding and record included, and expects rather than
    bounds. It forgets what it saw whenever nobody waits: a service that is idle is as fast as can
    be found out only by letting somebody in.
    """

    def __init__(self) -> None:
        self._answers: deque[float] = deque(maxlen=REMEMBERED_ANSWERS)

    def note_answer(self, now: float) -> None:
        """One answer left."""
        self._answers.append(now)

    def forget(self) -> None:
        """Nobody waits any more."""
        self._answers.clear()

    def seconds_for(self, answers: int) -> float:
        """How long so many answers take at the present pace; 0 where none is known."""
        if len(self._answers) < LEAST_ANSWERS:
            return 0.0
        return answers * (self._answers[-1] - self._answers[0]) / (len(self._answers) - 1)


class Doubt:
    """By how much waits may outlast what was expected: the usual error, and four deviations of it.

    What TCP does for its timeouts (Jacobson, SIGCOMM 1988; RFC 6298), with a longer memory.
    """

    def __init__(self) -> None:
        self._mean = USUAL_MEAN
        self._deviation = USUAL_DEVIATION

    def note(self, waited_seconds: float, expected_seconds: float) -> None:
        """Remember how long one waited, or that it gave up by then."""
        error = waited_seconds / expected_seconds - self._mean
        self._mean += MEAN_GAIN * error
        self._deviation += DEVIATION_GAIN * (abs(error) - self._deviation)

    def fade(self) -> None:
        """Be a little surer again, where nothing was learnt."""
        self._mean += FADE_GAIN * (USUAL_MEAN - self._mean)
        self._deviation += FADE_GAIN * (USUAL_DEVIATION - self._deviation)

    @property
    def factor(self) -> float:
        """What an expected time is multiplied with to be safe."""
        return min(max(self._mean + DEVIATIONS * self._deviation, LEAST_FACTOR), MOST_FACTOR)
