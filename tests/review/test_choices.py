"""What the worklist can be filtered by, and whether a log is drawn: by all of it, not its end."""

from contextlib import closing
from pathlib import Path

from sqlalchemy import insert, select

from service.record import open_reader
from service.record.case_index import open_case_index
from service.record.case_tables import cases
from service.review.worklist import read_choices
from tests.support.simulated import copy_log, read_log

LATER = 25_000
"""Some months of a busy hospital."""


def test_choices_are_the_values_of_all_rows(simulated_log: Path) -> None:
    url = f"sqlite:///{simulated_log}/shadow.db"
    with (
        closing(open_reader(url)) as reader,
        closing(open_case_index(url, reader)) as index,
        index.reading() as connection,
    ):
        choices = read_choices(connection)

    for name in choices:
        told = read_log(f"{url}.cases", f"SELECT DISTINCT {name} FROM cases ORDER BY 1")
        assert [(choice,) for choice in choices[name]] == told


def test_a_model_that_came_long_ago_is_still_a_choice(simulated_log: Path, tmp_path: Path) -> None:
    url = copy_log(simulated_log, tmp_path)
    with closing(open_reader(url)) as reader, closing(open_case_index(url, reader)) as index:
        with index.reading() as connection:
            row = dict(connection.execute(select(cases).limit(1)).mappings().one())
            later = [
                row | {"sequence": 10_000 + place, "id": f"later {place}", "model": "real/1.0.0"}
                for place in range(LATER)
            ]
            connection.execute(insert(cases), later)
        with index.reading() as connection:
            choices = read_choices(connection)

    assert choices["model"] == ["real/1.0.0", "simulated/1.0.0"]
