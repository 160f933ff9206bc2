import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.record.entry import Entry, Pseudonyms
from service.record.rows import canonical_json, columns_of, entry_of
from tests.support.record_entries import conflict, evaluated, not_evaluated, replayed

Json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(Json)
def test_canonical_json_survives_any_number_of_round_trips(value: object) -> None:
    text = canonical_json(value)

    assert text.isascii()
    assert canonical_json(json.loads(text)) == text


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_as_the_same_float(value: float) -> None:
    parsed = json.loads(canonical_json([value]))[0]

    assert (parsed, math.copysign(1, parsed)) == (value, math.copysign(1, value))


def test_canonical_json_has_one_form() -> None:
    assert (
        canonical_json({"b": 0.1, "a": ["é", None, 1e-7]}) == r'{"a":["\u00e9",null,1e-07],"b":0.1}'
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        columns_of(evaluated(probabilities={"normal": value}))


@pytest.mark.parametrize("entry", [evaluated(), not_evaluated(), conflict(), replayed(evaluated())])
def test_an_entry_is_read_back_as_it_was_written(entry: Entry) -> None:
    assert entry_of(columns_of(entry)) == entry


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_scores_are_read_back_exactly(probability: float, spread: float) -> None:
    entry = evaluated(probabilities={"normal": probability}, tta_spread={"normal": spread})

    assert entry_of(columns_of(entry)) == entry


@pytest.mark.parametrize("text", ["room\0two", "room\ntwo", "room\ud800"])
def test_text_that_no_database_can_store_is_refused_before_it_joins_a_batch(text: str) -> None:
    with pytest.raises(ValueError, match="control characters in scanner_alias"):
        columns_of(evaluated(scanner_alias=text))


def test_what_is_absent_is_null_and_not_an_empty_text() -> None:
    columns = columns_of(conflict(pixel_digest=None, pseudonyms=Pseudonyms()))

    absent = ["pixel_digest", "patient", "probabilities", "priority", "candidate", "answer"]
    assert [columns[name] for name in absent] == [None] * len(absent)
