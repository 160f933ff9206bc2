"""docs/benchmarks.md says what was measured, and of each promise whether it holds."""

from dataclasses import replace

import pytest

from bench.bound import Bound
from bench.contenders import OURS
from bench.engines import Speed
from bench.overload import Overloaded
from bench.paired import BOUND, Round
from bench.promises import best_peer, least_cpu, quickest_peer
from bench.provenance import Ran
from bench.serving import Measured
from bench.soak import Soaked
from bench.speed import PARTS, Found
from bench.speed_page import write_page
from bench.start import Started
from bench.tables import table

ONE = Measured(
    name=OURS, clients=32, per_second=50.0, p50_seconds=0.5, p99_seconds=0.9, p999_seconds=0.95,
    cpu_seconds_each=0.04, client_cpu_seconds_each=0.001, peak_bytes=400_000_000, failures=0,
)  # fmt: skip
PEER = replace(ONE, name="naive (openvino)", per_second=20.0, cpu_seconds_each=0.1, failures=3)
OVERLOADED = Overloaded(
    factor=2.0, rate=100.0, goodput=49.0, p99_seconds=1.9, refused=400, refused_p99_seconds=0.002,
    late=0, unanswered=0, errors=0, sent=800,
)  # fmt: skip


def promises(found: Found) -> dict[str, tuple[str, str, str]]:
    """What -> measured, wanted, holds."""
    page = write_page(found, OURS)
    part = page.partition("## What must hold\n\n")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines()[2:]]
    return {what: (measured, wanted, holds) for what, measured, wanted, holds in rows}


def test_what_was_not_measured_is_not_in_the_page() -> None:
    page = write_page(Found(), OURS)

    assert page.startswith("# Benchmarks")
    assert "##" not in page


def test_every_part_has_its_table_and_what_was_measured_stands_above() -> None:
    found = Found(
        ran=Ran(3, 8.0, PARTS, (), (), {}), engines=[Speed("torch", 1, 5.0)],
        bounds=[Bound(50.0, 8, 2, 0.03)], serving=[ONE], paired=[Round({OURS: 18.0}, {})],
        dicom=[ONE], overload=[OVERLOADED], capacities=[50.0], views=[(1, ONE)],
        starts=[Started(True, 2.0)], soak=[Soaked(10, 100)],
    )  # fmt: skip

    page = write_page(found, OURS)

    titles = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert titles == [
        "What must hold", "In the same minutes", "Throughput and latency, PNG", "The bound",
        "Our service, DICOM (12 bit, uncompressed)", "More than fits", "Test-time augmentation",
        "Start", "Memory over many requests", "Bare network, images/s by batch",
    ]  # fmt: skip
    assert "3 rounds of 8 s at least" in page.partition("##")[0]


def test_each_server_has_its_row_with_its_failures() -> None:
    page = write_page(Found(serving=[ONE, PEER]), OURS)

    (row,) = [line for line in page.splitlines() if line.startswith("| naive (openvino) | 32 |")]
    assert row.startswith("| naive (openvino) | 32 | 20.0 |")
    assert row.endswith(" | 500.0 | 900.0 | 950.0 | 100.0 | 1.00 | 400 | 3 |")


@pytest.mark.parametrize(
    ("rate", "ratio", "holds"), [(25.9, "1.29", "**no**"), (26.0, "1.30", "yes")]
)
def test_promise_against_the_best_peer_holds_from_its_bar_on(
    rate: float, ratio: str, holds: str
) -> None:
    better = replace(PEER, name="mosec (openvino)", per_second=20.0)
    worse = replace(PEER, per_second=4.0)

    found = promises(Found(serving=[replace(ONE, per_second=rate), worse, better]))

    told = found["throughput at 32 clients / best peer with openvino"]
    assert told == (ratio, ">= 1.3", holds)


def test_throughput_is_held_against_the_median_bound() -> None:
    bounds = [Bound(rate, 8, 2, cpu) for rate, cpu in ((50.0, 0.03), (100.0, 0.02), (55.0, 0.05))]

    found = promises(Found(serving=[ONE], bounds=bounds))

    assert found["throughput at 32 clients / bound"] == ("0.91", ">= 0.9", "yes")
    assert found["by CPU time: bound's of an image / ours"] == ("0.75", ">= 0.9", "**no**")


def test_slow_answers_and_large_memory_break_their_promises() -> None:
    slow = replace(ONE, p99_seconds=0.97)
    large = replace(ONE, clients=128, peak_bytes=900_000_001)

    found = promises(Found(serving=[slow, large], dicom=[replace(large, peak_bytes=450_000_000)]))

    assert found["p99 at 32 clients / (32 / throughput)"] == ("1.52", "<= 1.5", "**no**")
    assert found["memory at 128 clients / 900 MB"] == ("1.00", "<= 1", "**no**")
    assert found["memory at 128 clients, DICOM / 900 MB"] == ("0.50", "<= 1", "yes")


def test_one_late_answer_breaks_the_promise_under_overload() -> None:
    what = "answers after their deadline, at twice the capacity"
    late = replace(OVERLOADED, late=1)

    kept = promises(Found(overload=[OVERLOADED], capacities=[50.0]))
    broken = promises(Found(overload=[OVERLOADED, late], capacities=[50.0]))

    assert (kept[what], broken[what]) == (("0.00", "0", "yes"), ("1.00", "0", "**no**"))


def test_goodput_is_held_against_capacity_and_against_the_best_rate_by_medians() -> None:
    goodputs = {1.2: (40.0, 52.0, 60.0), 2.0: (20.0, 49.0, 50.0)}
    overloaded = [
        replace(OVERLOADED, factor=factor, goodput=goodput)
        for factor, several in goodputs.items()
        for goodput in several
    ]

    found = promises(Found(overload=overloaded, capacities=[10.0, 50.0, 51.0]))

    name = "goodput at twice the capacity"
    assert found[f"{name} / throughput at 32 clients"] == ("0.98", ">= 0.95", "yes")
    assert found[f"{name} / highest goodput at any rate"] == ("0.94", ">= 0.95", "**no**")


def test_errors_and_silence_break_a_promise_at_any_rate_and_are_in_the_table() -> None:
    what = "requests without an answer or with an error, at any rate"
    broken = replace(OVERLOADED, factor=0.5, unanswered=2, errors=1)

    page = write_page(Found(overload=[broken]), OURS)

    assert promises(Found(overload=[OVERLOADED]))[what] == ("0.00", "0", "yes")
    assert promises(Found(overload=[OVERLOADED, broken]))[what] == ("3.00", "0", "**no**")
    assert "| 0 | 2 | 1 | 800 |" in page


def test_goodput_is_promised_at_twice_the_capacity_alone() -> None:
    found = promises(Found(overload=[replace(OVERLOADED, factor=1.2)], capacities=[50.0]))

    assert not [what for what in found if "twice" in what]


def test_starts_are_judged_by_their_median_cold_and_warm() -> None:
    starts = [Started(False, seconds) for seconds in (4.0, 9.0, 4.5)] + [Started(True, 2.5)]

    found = promises(Found(starts=starts))

    assert found["seconds to the first answer, cold"] == ("4.50", "<= 5", "yes")
    assert found["seconds to the first answer, warm"] == ("2.50", "<= 2", "**no**")


def test_memory_that_grows_is_told_and_a_dip_is_not_growth() -> None:
    name = "most memory in the second half / in the first"
    grown = [Soaked(number, size) for number, size in enumerate((99, 100, 98, 103))]
    dipped = [Soaked(number, size) for number, size in enumerate((99, 100, 90, 100))]

    assert promises(Found(soak=grown))[name] == ("1.03", "<= 1.02", "**no**")
    assert promises(Found(soak=dipped))[name] == ("1.00", "<= 1.02", "yes")


def test_views_are_compared_with_one_view() -> None:
    page = write_page(Found(views=[(1, ONE), (2, replace(ONE, cpu_seconds_each=0.06))]), OURS)

    assert "| 2 | 50.0 | 60.0 | 1.50 |" in page


def test_engines_are_told_by_batch() -> None:
    speeds = [Speed("torch", 1, 5.0), Speed("torch", 8, 9.0)]

    page = write_page(Found(engines=speeds), OURS)

    assert "| engine | 1 | 8 |" in page
    assert "| torch | 5.0 | 9.0 |" in page


def test_peers_are_compared_by_engine_and_ours_is_none_of_them() -> None:
    quick = replace(PEER, name="ray (openvino)", clients=1, p50_seconds=0.02)
    torch = replace(PEER, name="naive (torch)", per_second=99.0, cpu_seconds_each=0.001)
    found = [replace(ONE, per_second=500.0), PEER, quick, torch]

    assert best_peer(found, "openvino", 32) == 20.0
    assert quickest_peer(found, "openvino") == 0.02
    assert least_cpu(found, "openvino", 32) == 0.1
    assert (best_peer(found, "jax", 32), quickest_peer(found, "torch")) == (0.0, 0.0)


def test_table_is_markdown() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_ratios_of_the_same_minute_are_medians_of_rounds() -> None:
    fast, slow = "mosec (openvino)", "ray (openvino)"
    rounds = [
        Round({OURS: ours, BOUND: bound, fast: 10.0, slow: 5.0}, {OURS: 0.06, fast: 0.08})
        for ours, bound in ((18.0, 20.0), (9.0, 12.0), (14.0, 15.0))
    ]

    page, found = write_page(Found(paired=rounds), OURS), promises(Found(paired=rounds))

    told = {what.partition(",")[0]: measured for what, (measured, _, _) in found.items()}
    assert told == {
        "throughput at 32 clients / bound": "0.90",
        "throughput at 32 clients / best peer with openvino": "1.40",
        "p50 at 1 client / quickest peer with openvino": "0.75",
    }
    assert "| the bound | 0.90 (0.75 to 0.93) | - |" in page
    assert "| ray (openvino) | 2.80 (1.80 to 3.60) | - |" in page


def test_ratio_of_the_same_minute_stands_in_for_that_of_different_ones() -> None:
    rounds = [Round({OURS: 18.0, BOUND: 20.0}, {})]
    bounds = [Bound(100.0, 8, 2, 0.02)]

    found = promises(Found(serving=[ONE], bounds=bounds, paired=rounds))

    assert "throughput at 32 clients / bound" not in found
    assert found["throughput at 32 clients / bound, in the same minute"][0] == "0.90"
    assert "by CPU time: bound's of an image / ours" in found
