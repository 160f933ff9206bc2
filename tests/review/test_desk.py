"""The desk remembers windows, and gives each question its own."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.record import open_reader
from service.record.case_index import open_case_index
from service.review.cases import EVERYONE, Cases
from service.review.desk import ReviewDesk

DAYS = 3650


@pytest.mark.parametrize("first", ["all", "newest", "counted"])
def test_a_window_is_of_the_cases_that_were_asked_for(simulated_log: Path, first: str) -> None:
    url = f"sqlite:///{simulated_log}/shadow.db"
    with closing(open_reader(url)) as reader, closing(open_case_index(url, reader)) as index:
        desk = ReviewDesk(index=index, reader=reader)
        ask: dict[str, Callable[[], Cases]] = {
            "all": lambda: desk.cases(DAYS, EVERYONE),
            "newest": lambda: desk.cases(DAYS, EVERYONE, limit=5),
            "counted": lambda: desk.cases(DAYS, EVERYONE, only_counted=True),
        }
        ask[first]()
        found = {name: told() for name, told in ask.items()}

    assert len(found["newest"]) == 5
    assert (found["counted"]["counts"] == 1).all()
    assert len(found["all"]) > len(found["counted"]) > 5
