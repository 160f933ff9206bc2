"""Servers side by side: failures are counted, and a server that does not start stops nobody."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.contenders import running
from bench.overload import overload
from bench.serving import Measured, compare, line_of, middle
from tests.bench.servers import answering, broken, one_body

ONE = Measured(
    name="one", clients=8, per_second=10.0, p50_seconds=0.1, p99_seconds=0.2, p999_seconds=0.3,
    cpu_seconds_each=0.05, client_cpu_seconds_each=0.001, peak_bytes=300 << 20, failures=7,
)  # fmt: skip


def rounds(*rates: float) -> list[Measured]:
    return [replace(ONE, per_second=rate) for rate in rates]


@pytest.mark.parametrize(
    ("rates", "chosen"), [((9.0, 30.0, 11.0), 11.0), ((9.0, 11.0), 9.0), ((5.0,), 5.0)]
)
def test_round_in_the_middle_stands_for_all(rates: tuple[float, ...], chosen: float) -> None:
    found = middle(rounds(*rates), "one", 8)

    assert found is not None
    assert found.per_second == chosen


def test_middle_is_of_one_server_and_one_load() -> None:
    others = [replace(ONE, name="two", per_second=99.0), replace(ONE, clients=32, per_second=99.0)]

    assert middle([*others, ONE], "one", 8) == ONE
    assert middle(others, "one", 8) is None


def test_line_tells_the_failures() -> None:
    line = line_of(ONE)

    assert line.endswith("7 failed")
    assert "p99   200.0 ms" in line
    assert "300 MB" in line


def test_server_that_takes_no_time_costs_no_division_by_zero() -> None:
    assert replace(ONE, cpu_seconds_each=0.0).affordable_per_second > 0


@pytest.mark.slow
def test_every_server_is_measured_and_one_that_does_not_start_is_named(tmp_path: Path) -> None:
    said: list[str] = []

    found = compare(
        [broken(), answering(tmp_path)], one_body(tmp_path), clients=(2,), seconds=0.5,
        say=said.append,
    )  # fmt: skip

    assert [(one.name, one.clients, one.failures) for one in found] == [("answering", 2, 0)]
    assert found[0].per_second > 0
    assert found[0].p50_seconds <= found[0].p99_seconds <= found[0].p999_seconds
    assert said == ["broken: broken does not answer: no model here\n", line_of(found[0])]


@pytest.mark.slow
def test_server_that_fails_after_its_start_has_no_throughput(tmp_path: Path) -> None:
    contender = answering(tmp_path, good=1)

    (found,) = compare(
        [contender], one_body(tmp_path), clients=(2,), seconds=0.5, say=lambda line: None
    )

    assert found.per_second == 0.0
    assert found.failures > 0


@pytest.mark.slow
def test_errors_under_overload_are_told_as_such(tmp_path: Path) -> None:
    contender = answering(tmp_path, good=1, status=500)

    with running(contender, b"a picture") as server:
        (found,) = overload(server, one_body(tmp_path), capacity=100.0, seconds=0.5, factors=(1.0,))

    assert (found.errors, found.refused, found.unanswered) == (found.sent, 0, 0)


@pytest.mark.slow
def test_refusals_under_overload_are_no_goodput(tmp_path: Path) -> None:
    contender = answering(tmp_path, good=1)

    with running(contender, b"a picture") as server:
        (found,) = overload(server, one_body(tmp_path), capacity=100.0, seconds=0.5, factors=(2.0,))

    assert (found.factor, found.goodput) == (2.0, 0.0)
    assert found.rate == pytest.approx(200.0)
    assert found.refused == found.sent > 0
    assert (found.unanswered, found.errors) == (0, 0)
    assert found.refused_p99_seconds > 0
