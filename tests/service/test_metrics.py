"""Metrics: closed label sets, there from the start."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service.api.exposition import expose
from service.metrics import Ending, Metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(
        registry,
        scanners=("room-1", "other"),
        codes=("QUEUE_FULL",),
        reasons=("IMAGE_BLANK",),
        warnings=("VIEW_AP",),
    )


@pytest.mark.usefixtures("metrics")
@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("cxr_radiographs_total", {"outcome": "evaluated"}),
        ("cxr_problems_total", {"code": "QUEUE_FULL"}),
        ("cxr_not_evaluated_total", {"reason": "IMAGE_BLANK"}),
        ("cxr_warnings_total", {"code": "VIEW_AP"}),
        ("cxr_flags_total", {"finding": "tuberculosis"}),
        ("cxr_priorities_total", {"priority": "urgent"}),
        ("cxr_stage_seconds_count", {"stage": "queue"}),
        ("cxr_raw_pixel_intensity_ratio_count", {"scanner": "room-1", "statistic": "p95"}),
        ("cxr_model_input_intensity_ratio_count", {"scanner": "other", "statistic": "mean"}),
    ],
)
def test_series_exists_at_zero(
    registry: CollectorRegistry, name: str, labels: dict[str, str]
) -> None:
    assert registry.get_sample_value(name, labels) == 0


def test_unknown_code_is_counted_as_other(registry: CollectorRegistry, metrics: Metrics) -> None:
    metrics.count_problem("NEVER_HEARD_OF")
    metrics.count_not_evaluated("NEVER_HEARD_OF")
    metrics.count_warnings(["NEVER_HEARD_OF"])

    assert registry.get_sample_value("cxr_problems_total", {"code": "other"}) == 1
    assert registry.get_sample_value("cxr_not_evaluated_total", {"reason": "other"}) == 1
    assert registry.get_sample_value("cxr_warnings_total", {"code": "other"}) == 1


def test_unlisted_scanner_makes_no_new_series(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.observe_pixels("SN-4711", raw={"mean": 0.5}, model_input={"mean": 0.4})

    other = {"scanner": "other", "statistic": "mean"}
    assert registry.get_sample_value("cxr_raw_pixel_intensity_ratio_sum", other) == 0.5
    assert b"SN-4711" not in generate_latest(metrics.registry)


def test_model_that_is_replaced_leaves_no_second_series(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.show_model("cxr-triage", "0.1.0", "sha256:old")
    metrics.show_model("cxr-triage", "0.2.0", "sha256:new")

    assert generate_latest(metrics.registry).count(b"cxr_model_info{") == 1


@pytest.mark.parametrize(
    ("codes", "reason", "outcome"),
    [
        ([], None, "passed"),
        (["POLARITY_SUSPECT"], None, "doubted"),
        ([], "POLARITY_AMBIGUOUS", "refused"),
    ],
)
def test_picture_checks_are_counted_by_scanner_and_outcome(
    registry: CollectorRegistry,
    metrics: Metrics,
    codes: list[str],
    reason: str | None,
    outcome: str,
) -> None:
    metrics.count_image_checks("room-1", codes, reason)

    labels = {"check": "polarity", "outcome": outcome, "scanner": "room-1"}
    assert registry.get_sample_value("cxr_image_checks_total", labels) == 1


def test_picture_that_was_refused_for_another_reason_was_not_checked(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.count_image_checks("room-1", [], "AGE_OUT_OF_SCOPE")

    labels = {"check": "polarity", "outcome": "passed", "scanner": "room-1"}
    assert registry.get_sample_value("cxr_image_checks_total", labels) == 0


@pytest.mark.parametrize("ending", Ending)
def test_each_ending_is_counted(
    registry: CollectorRegistry, metrics: Metrics, ending: Ending
) -> None:
    metrics.count_radiograph(ending)

    assert registry.get_sample_value("cxr_radiographs_total", {"outcome": ending.value}) == 1


@pytest.mark.usefixtures("metrics")
async def test_exposition_lets_others_have_their_turn_between_two_instruments(
    registry: CollectorRegistry,
) -> None:
    turns: list[int] = []

    async def take_turns() -> None:
        while True:
            turns.append(len(turns))
            await asyncio.sleep(0)

    families = {metric.name for metric in registry.collect()}
    other = asyncio.create_task(take_turns())
    body = await expose(registry)
    other.cancel()

    told = [line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE")]
    assert {name.removesuffix("_total") for name in told} == families
    assert len(turns) >= len(families)


async def test_exposition_is_what_the_library_gives_at_once() -> None:
    registry = CollectorRegistry()
    Counter("cxr_told", "By whom.", ["who"], registry=registry).labels("a").inc()
    Histogram("cxr_taken", "How long.", registry=registry).observe(0.2)

    assert await expose(registry) == generate_latest(registry)
