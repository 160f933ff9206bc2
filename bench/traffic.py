"""Callers and arrivals: the load is on before, during and after the measured time.

What is measured are the requests that were sent within it, whenever their answers come: who kept
only the answers that come within it would leave out the slow ones.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

GOOD, EARLY, GAVE_UP = 200, 503, 0
"""Status of an answer, of a refusal, and of a request that got neither."""

WARM_CYCLES = 2
"""Answers that each caller has had, on average, before anything is measured."""

Call = Callable[[], Awaitable[int]]
"""Sends one request, and returns the status of its answer."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. `clients` is a closed loop, `rate` an open one.

    Attributes
    ----------
    seconds
        Least measured time. With callers it is as long as a cycle of theirs, if that is longer.
    warm_seconds, most_warm_seconds
        Least time before the measured one, and how long callers may take for their two cycles.
    drain_seconds
        Longest wait for answers after the measured time.
    """

    url: str
    field_name: str | None = None
    """Of a multipart form; None sends the bytes as the body."""
    clients: int = 0
    rate: float = 0.0
    seconds: float = 10.0
    warm_seconds: float = 1.0
    most_warm_seconds: float = 60.0
    drain_seconds: float = 60.0
    deadline_ms: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """One request.

    Attributes
    ----------
    due
        When it had to be sent, be it sent late or not.
    seconds
        From then to the answer; if it is cut, to the moment in which nobody waited for it any more.
    is_cut
        No answer came as long as it was waited for.
    """

    status: int
    seconds: float
    due: float
    is_cut: bool = False

    @property
    def ended(self) -> float:
        """When the answer was there."""
        return self.due + self.seconds


@dataclass(frozen=True, slots=True)
class Noted:
    """Every request of one run, and the measured time by the clock."""

    answers: list[Answer]
    begins: float
    ends: float

    @property
    def seconds(self) -> float:
        """The length of the measured time."""
        return self.ends - self.begins

    @property
    def sent(self) -> list[Answer]:
        """Sent in the measured time; and what was sent before it, and never answered."""
        due = [answer for answer in self.answers if answer.due < self.ends]
        return [answer for answer in due if answer.due >= self.begins or answer.is_cut]

    @property
    def good_ends(self) -> list[float]:
        """When each answer of status 200 came, before and after the measured time too."""
        return [answer.ended for answer in self.answers if answer.status == GOOD]


async def drive(call: Call, plan: Plan, clock: Clock) -> Noted:
    """Send, and go on sending until all that was sent in the measured time has its answer."""
    traffic = _Traffic(call, clock)
    begins, ends = await (_warm_callers if plan.clients else _send_arrivals)(traffic, plan)
    await asyncio.sleep(max(0.0, ends - clock()))
    limit = ends + plan.drain_seconds
    await traffic.until(lambda: traffic.earliest >= ends, limit)
    traffic.is_over = True
    await traffic.until(lambda: traffic.earliest == float("inf"), limit)
    await traffic.cut()
    return Noted(traffic.answers, begins, ends)


def draw_arrivals(
    generator: np.random.Generator, rate: float, begins: float, ends: float
) -> list[float]:
    """Moments of independent arrivals, exactly as many as the rate says.

    Given how many there are, the arrivals of a Poisson process are uniform and independent
    (Kingman, Poisson Processes, 2.4): what is left out is the chance of their number alone, which
    would make "twice as many" 1.8 times in a few seconds.
    """
    drawn = generator.uniform(begins, ends, round(rate * (ends - begins)))
    return [float(due) for due in np.sort(drawn)]


class _Traffic:
    """Requests under way, and the answers of those that are done."""

    def __init__(self, call: Call, clock: Clock) -> None:
        self._call = call
        self.clock = clock
        self.answers: list[Answer] = []
        self.is_over = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[object, float] = {}
        self._changed = asyncio.Event()

    @property
    def earliest(self) -> float:
        """When the oldest of the requests under way was due; infinite if there is none."""
        return min(self._open.values(), default=float("inf"))

    def spawn(self, work: Awaitable[None]) -> None:
        """Run it until its end, or until all are cut."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, due: float) -> None:
        """Send one request, and note what comes."""
        request, status, is_cut = object(), GAVE_UP, False
        self._open[request] = due
        try:
            status = await self._call()
        except asyncio.CancelledError:
            is_cut = True
            raise
        finally:
            del self._open[request]
            self.answers.append(Answer(status, self.clock() - due, due, is_cut))
            self._changed.set()

    async def ask_again_and_again(self) -> None:
        """As a caller who waits for each answer."""
        while not self.is_over:
            await self.ask(self.clock())

    async def arrive(self, dues: Iterable[float]) -> None:
        """As callers who come when they come."""
        for due in dues:
            if self.is_over:
                return
            await asyncio.sleep(max(0.0, due - self.clock()))
            self.spawn(self.ask(due))

    async def until(self, is_true: Callable[[], bool], limit: float) -> None:
        """Wait for answers until it is true, or too late."""
        while not is_true() and (left := limit - self.clock()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    async def cut(self) -> None:
        """Wait no more."""
        self.is_over = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _warm_callers(traffic: _Traffic, plan: Plan) -> tuple[float, float]:
    """Let all callers in; returns when the measured time begins and ends."""
    begun = traffic.clock()
    for _ in range(plan.clients):
        traffic.spawn(traffic.ask_again_and_again())
    await asyncio.sleep(plan.warm_seconds)
    enough, most = WARM_CYCLES * plan.clients, begun + plan.most_warm_seconds
    await traffic.until(lambda: len(traffic.answers) >= enough, most)
    begins = traffic.clock()
    return begins, begins + max(plan.seconds, (begins - begun) / WARM_CYCLES)


async def _send_arrivals(traffic: _Traffic, plan: Plan) -> tuple[float, float]:
    """Send all of the measured time, and go on beyond it; returns when it begins and ends."""
    generator = np.random.default_rng(0)
    begun = traffic.clock()
    begins = begun + plan.warm_seconds
    ends = begins + plan.seconds
    for stretch in ((begun, begins), (begins, ends)):
        await traffic.arrive(draw_arrivals(generator, plan.rate, *stretch))
    limit = ends + plan.drain_seconds
    traffic.spawn(traffic.arrive(draw_arrivals(generator, plan.rate, ends, limit)))
    return begins, ends
