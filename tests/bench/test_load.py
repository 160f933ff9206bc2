"""The load generator counts what came back as what it was: in time, late, refused or not at all."""

import itertools
import statistics
import threading

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO

from bench.load import Report, _never_twice, _summarise, rate_between, run, steady_rate
from bench.traffic import Answer, Noted, Plan
from service.core.findings import Finding
from tests.support.http_servers import Asked, Told, listening
from tests.support.monitoring import free_port
from training.phantoms import draw_chest, encode_dicom, encode_png8

PATIENCE_SECONDS = 30.0
AT_ONCE = 5


class Counting:
    """Answers with one status, and knows how many it held at the same time.

    Parameters
    ----------
    held
        No answer is given until so many requests wait for one.
    """

    def __init__(self, status: int = 200, *, held: int = 1) -> None:
        self._status = status
        self._held = held
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._now = 0
        self.most = 0
        self.asked: list[Asked] = []

    def tell(self, asked: Asked) -> Told:
        """One answer."""
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most = max(self.most, self._now)
            if self._now >= self._held:
                self._open.set()
        self._open.wait(PATIENCE_SECONDS)
        with self._lock:
            self._now -= 1
        return Told(self._status)


def plan(url: str, **changes: object) -> Plan:
    """A third of a second, and no warm-up but two cycles."""
    short: dict[str, object] = {"seconds": 0.3, "warm_seconds": 0.0, "clients": 2}
    return Plan(url, **(short | changes))  # type: ignore[arg-type]  # the fields of Plan


def report_of(*answers: tuple[int, float], deadline_ms: int | None = None) -> Report:
    """What is made of (status, seconds), all sent at the beginning of one second."""
    came = [Answer(status, seconds, 0.0) for status, seconds in answers]
    plan = Plan("", seconds=1.0, deadline_ms=deadline_ms)
    return _summarise(Noted(came, 0.0, 1.0), plan, 0.0)


def test_percentiles_are_those_of_the_answers() -> None:
    seconds = [number / 1000 for number in range(1, 1002)]

    report = report_of(*((200, one) for one in reversed(seconds)))

    cuts = statistics.quantiles(seconds, n=1000, method="inclusive")
    assert report.seconds == pytest.approx({"p50": cuts[499], "p99": cuts[989], "p999": cuts[998]})


def test_percentiles_are_of_answers_and_not_of_refusals() -> None:
    report = report_of((200, 2.0), *[(503, 0.001)] * 99)

    assert report.seconds["p50"] == 2.0
    assert report.early_p99_seconds == 0.001
    assert report.in_time_per_second == 1.0


def test_answer_after_its_deadline_is_late_and_no_goodput() -> None:
    report = report_of((200, 1.9), (200, 2.1), (503, 2.2), (503, 0.1), deadline_ms=2000)

    assert (report.in_time_per_second, report.late) == (1.0, 2)
    assert (report.statuses, report.sent) == ({"200": 2, "503": 2}, 4)


def test_without_a_deadline_nothing_is_late() -> None:
    report = report_of((200, 99.0))

    assert (report.late, report.in_time_per_second) == (0, 1.0)


def test_rate_is_over_the_measured_time() -> None:
    came = [Answer(200, seconds, 0.0) for seconds in (0.1, 3.0)]

    report = _summarise(Noted(came, 0.0, 4.0), Plan("", seconds=4.0, deadline_ms=2000), 0.0)

    assert (report.per_second, report.in_time_per_second) == (0.5, 0.25)


def test_nothing_that_came_back_is_nothing() -> None:
    report = report_of()

    assert (report.per_second, report.sent, report.statuses) == (0.0, 0, {})
    assert set(report.seconds.values()) == {0.0}


@pytest.mark.parametrize("loop", [{"clients": 2}, {"clients": 0, "rate": 100.0}])
async def test_server_that_only_fails_has_no_throughput(loop: dict[str, float]) -> None:
    server = Counting(500)
    with listening(server.tell) as url:
        report = await run(plan(url, **loop), [b"a picture"])

    assert (report.per_second, report.in_time_per_second, report.answered_in_all) == (0.0, 0.0, 0)
    assert report.statuses == {"500": report.sent}
    assert report.sent > 0


async def test_request_without_an_answer_is_counted_as_given_up() -> None:
    report = await run(plan(f"http://127.0.0.1:{free_port()}"), [b"a picture"])

    assert report.statuses == {"0": report.sent}
    assert report.sent > 0
    assert report.per_second == 0.0


async def test_closed_loop_has_one_request_of_each_caller_in_progress() -> None:
    server = Counting()
    with listening(server.tell) as url:
        report = await run(plan(url, clients=3), [b"a picture"])

    assert 1 <= server.most <= 3
    assert report.answered_in_all == len(server.asked)


async def test_open_loop_sends_on_while_nothing_comes_back() -> None:
    server = Counting(held=AT_ONCE)
    with listening(server.tell) as url:
        report = await run(plan(url, clients=0, rate=100.0), [b"a picture"])

    assert server.most >= AT_ONCE
    assert report.answered_in_all == len(server.asked)


async def test_open_loop_sends_as_many_as_its_rate_says() -> None:
    server = Counting()
    with listening(server.tell) as url:
        report = await run(plan(url, clients=0, rate=400.0), [b"a picture"])

    assert report.sent == 120
    assert report.offered_per_second == pytest.approx(400.0)
    assert report.answered_in_all >= 120


async def test_body_is_sent_as_it_is_with_the_deadline() -> None:
    server = Counting()
    with listening(server.tell) as url:
        await run(plan(url, deadline_ms=1500, headers={"X-API-Key": "k"}), [b"a picture"])

    asked = server.asked[0]
    assert asked.body == b"a picture"
    assert asked.headers["Content-Type"] == "application/octet-stream"
    assert (asked.headers["X-Deadline-Ms"], asked.headers["X-API-Key"]) == ("1500", "k")


async def test_form_carries_the_body_in_its_field() -> None:
    server = Counting()
    with listening(server.tell) as url:
        await run(plan(url, field_name="images"), [b"a picture"])

    asked = server.asked[0]
    assert asked.headers["Content-Type"].startswith("multipart/form-data")
    assert b'name="images"' in asked.body
    assert b"a picture" in asked.body


def test_dicom_file_is_another_instance_each_time_and_as_long() -> None:
    body = encode_dicom(draw_chest(1, Finding.NORMAL))

    sent = list(itertools.islice(_never_twice([body]), 3))

    files = [pydicom.dcmread(DicomBytesIO(one)) for one in sent]
    assert {len(one) for one in sent} == {len(body)}
    assert len({file.SOPInstanceUID for file in files}) == 3
    assert all(file.file_meta.MediaStorageSOPInstanceUID == file.SOPInstanceUID for file in files)
    assert all(file.SOPInstanceUID.is_valid for file in files)


def test_picture_is_sent_again_as_it_is() -> None:
    bodies = [encode_png8(draw_chest(seed, Finding.NORMAL)) for seed in (1, 2)]

    assert list(itertools.islice(_never_twice(bodies), 3)) == [*bodies, bodies[0]]


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.39])
def test_rate_of_bursts_does_not_depend_on_where_the_window_begins(phase: float) -> None:
    bursts = [phase + 0.4 * index for index in range(13)]
    ends = [burst for burst in bursts if burst < 5.0 for _ in range(8)]

    assert steady_rate(ends, 5.0) == pytest.approx(20.0)


def test_steady_answers_are_counted_as_they_came() -> None:
    assert steady_rate([0.1 * index for index in range(50)], 5.0) == pytest.approx(10.0)


@pytest.mark.parametrize("ends", [[], [1.0], [2.0] * 30, [2.0] * 8 + [2.1] * 8])
def test_answers_that_show_no_slope_are_counted(ends: list[float]) -> None:
    assert steady_rate(ends, 5.0) == len(ends) / 5.0


def test_neither_the_slow_beginning_nor_the_last_answers_count() -> None:
    steady = [3.0 + 0.4 * index for index in range(11) for _ in range(8)]
    beginning, last = [1.5, 2.5], [9.0] * 16

    assert rate_between(3.0, 7.5, [*beginning, *steady, *last]) == pytest.approx(20.0)
