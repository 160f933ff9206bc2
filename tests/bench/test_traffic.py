"""What is reported of slow servers is what their callers see; all in virtual time."""

import asyncio
import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from bench.load import Report, _summarise
from bench.traffic import GAVE_UP, GOOD, WARM_CYCLES, Noted, Plan, draw_arrivals, drive
from tests.support.virtual_time import now, run_virtual

EACH_SECONDS = 0.1
CROWD = Plan("", clients=128, seconds=8.0)


class Slow:
    """Answers batches of so many, one batch after the other, each in a tenth of a second.

    Parameters
    ----------
    answers
        After so many it answers nobody any more.
    """

    def __init__(self, *, batch: int = 1, answers: float = math.inf) -> None:
        self._batch = batch
        self._left = answers
        self._waiting: list[asyncio.Future[int]] = []
        self._worker: asyncio.Task[None] | None = None
        self.in_progress = 0
        self.seen: list[tuple[float, int]] = []

    async def __call__(self) -> int:
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self.in_progress += 1
        try:
            return await answer
        finally:
            self.seen.append((now(), self.in_progress))
            self.in_progress -= 1

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(EACH_SECONDS)
            for _ in range(min(self._batch, len(self._waiting))):
                answer = self._waiting.pop(0)
                self._left -= 1
                if self._left >= 0 and not answer.done():
                    answer.set_result(GOOD)


def noted_of(server: Slow, plan: Plan) -> Noted:
    """What the callers of this server note."""

    async def scenario() -> Noted:
        return await drive(server, plan, now)

    return run_virtual(scenario())


def report_of(server: Slow, plan: Plan) -> Report:
    """The same, summarised."""
    return _summarise(noted_of(server, plan), plan, 0.0)


@pytest.mark.parametrize("clients", [1, 32, 128])
@pytest.mark.parametrize("batch", [1, 8])
def test_middle_answer_takes_clients_over_throughput(clients: int, batch: int) -> None:
    batches = math.ceil(clients / batch)  # that a caller waits for, since nobody comes between

    report = report_of(Slow(batch=batch), Plan("", clients=clients, seconds=8.0))

    assert report.seconds["p50"] == pytest.approx(batches * EACH_SECONDS, rel=0.02)
    assert report.per_second * report.seconds["p50"] == pytest.approx(clients, rel=0.05)


@pytest.mark.parametrize("batch", [1, 8])
def test_throughput_is_that_of_the_server_however_long_it_lets_wait(batch: int) -> None:
    report = report_of(Slow(batch=batch), CROWD)

    assert report.per_second == pytest.approx(batch / EACH_SECONDS, rel=0.02)


def test_all_callers_are_there_until_the_last_measured_answer() -> None:
    server = Slow()

    noted = noted_of(server, CROWD)

    last = max(answer.ended for answer in noted.sent)
    assert last > noted.ends + 10
    assert {many for ended, many in server.seen if noted.begins <= ended <= last} == {128}


def test_nothing_is_measured_before_each_caller_had_two_answers() -> None:
    noted = noted_of(Slow(), CROWD)

    assert noted.begins == pytest.approx(WARM_CYCLES * 128 * EACH_SECONDS)
    assert noted.seconds == pytest.approx(128 * EACH_SECONDS)


def test_measured_time_is_as_long_as_was_asked_where_answers_come_soon() -> None:
    noted = noted_of(Slow(), Plan("", clients=2, seconds=8.0))

    assert noted.seconds == pytest.approx(8.0)


def test_warm_up_of_a_server_that_is_too_slow_comes_to_an_end() -> None:
    noted = noted_of(Slow(), Plan("", clients=128, seconds=8.0, most_warm_seconds=5.0))

    assert noted.begins == pytest.approx(5.0)


def test_what_never_came_has_failed_and_counts_with_the_time_it_was_waited_for() -> None:
    plan = Plan("", clients=2, seconds=8.0, drain_seconds=30.0)

    report = report_of(Slow(answers=20), plan)

    assert report.statuses == {str(GAVE_UP): 2, "200": report.sent - 2}
    assert 0 < report.sent - 2 < 20
    assert report.seconds["p999"] > plan.drain_seconds


def test_server_that_fell_silent_before_it_was_measured_has_failed_all_its_callers() -> None:
    report = report_of(Slow(answers=3), Plan("", clients=4, seconds=8.0))

    assert (report.per_second, report.statuses) == (0.0, {str(GAVE_UP): 4})
    assert report.seconds["p50"] > 60.0


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.2, 2.0])
def test_arrivals_are_as_many_as_the_rate_says(factor: float) -> None:
    rate = factor * 17.5

    report = report_of(Slow(batch=8), Plan("", rate=rate, seconds=16.0, warm_seconds=4.0))

    assert report.sent == round(16 * rate)
    assert json.loads(json.dumps(asdict(report))) == asdict(report)
    assert report.offered_per_second == pytest.approx(rate, abs=0.5 / 16)


def test_arrivals_do_not_wait_for_answers_and_go_on_until_the_last() -> None:
    server = Slow()

    noted = noted_of(server, Plan("", rate=20.0, seconds=8.0))

    last = max(answer.ended for answer in noted.sent)
    in_progress = [many for ended, many in server.seen if ended <= last]
    assert len(noted.sent) == 160
    assert max(in_progress) == in_progress[-1] > 80


def test_arrivals_are_in_order_within_their_time_and_spread_over_it() -> None:
    dues = draw_arrivals(np.random.default_rng(1), 100.0, 5.0, 15.0)

    assert dues == sorted(dues)
    assert len(dues) == 1000
    assert 5.0 <= dues[0] < dues[-1] < 15.0
    assert np.mean(dues) == pytest.approx(10.0, abs=0.5)
    assert np.std(np.diff(dues)) == pytest.approx(0.01, rel=0.3)  # as large as the mean: Poisson
