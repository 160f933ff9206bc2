import uuid

import pytest

from service.core.triage import Priority
from service.record import Outcome, age_band_of, new_id
from tests.support.record_entries import evaluated, not_evaluated


def test_new_id_is_a_version_7_uuid_of_the_millisecond() -> None:
    made = uuid.UUID(new_id(clock_ns=lambda: 1_700_000_000_123_999_999))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_700_000_000_123


def test_new_id_agrees_with_the_example_of_the_standard() -> None:
    # RFC 9562, appendix A.6
    random_bytes = {2: bytes.fromhex("0cc3"), 8: bytes.fromhex("18c4dc0c0c07398f")}

    made = new_id(
        clock_ns=lambda: 0x017F22E279B0 * 1_000_000, random_bytes=random_bytes.__getitem__
    )

    assert made == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    ticks = iter(range(0, 1000 * 1_000_000, 1_000_000))

    made = [new_id(clock_ns=ticks.__next__) for _ in range(1000)]

    assert made == sorted(set(made))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"priority": Priority.ROUTINE}, "a priority iff evaluated"),
        ({"probabilities": {"normal": 1.0}}, "probabilities iff evaluated"),
        ({"flags": evaluated().flags}, "no flags unless evaluated"),
        ({"reason": None}, "a reason"),
        ({"answer": None}, "an answer iff its own"),
        ({"replay_of": new_id()}, "replay_of iff replayed"),
        ({"received_at": evaluated().received_at.replace(tzinfo=None)}, "a time zone"),
    ],
)
def test_an_image_that_was_not_evaluated_cannot_carry_a_result(
    changes: dict[str, object], expected: str
) -> None:
    with pytest.raises(ValueError, match=f"not_evaluated entry: expected {expected}"):
        not_evaluated(**changes)


def test_an_evaluated_entry_without_a_priority_is_refused() -> None:
    with pytest.raises(ValueError, match="a priority iff evaluated"):
        evaluated(outcome=Outcome.EVALUATED, priority=None)


@pytest.mark.parametrize(
    ("age_years", "band"),
    [(None, None), (0.1, "0-17"), (17.9, "0-17"), (18, "18-39"), (59.9, "40-59"), (101, "80+")],
)
def test_an_age_is_kept_as_a_band_of_twenty_years(age_years: float | None, band: str) -> None:
    assert age_band_of(age_years) == band
