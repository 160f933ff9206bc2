"""What the worklist can be filtered by, and whether a log is drawn: by all of it, not its end."""

import re
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from service.record import open_reader
from service.record.case_index import open_case_index
from service.record.case_tables import cases
from service.review.worklist import read_choices
from tests.support.simulated import copy_log, open_pages, read_log

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


@pytest.mark.parametrize(
    ("path", "chosen"),
    [
        ("/review/queue?utilisation=0.65", "65 % of their time"),
        ("/review/queue?cap_minutes=90", "90 min"),
        ("/review/queue?utilisation=0.9", "90 % of their time"),
        ("/review?scanner=taken+away", "taken away"),
        ("/review?model=retired/1.0.0", "retired/1.0.0"),
        ("/review?warning=OF_ANOTHER_RELEASE", "OF_ANOTHER_RELEASE"),
    ],
)
async def test_the_form_shows_what_the_address_asks_for(
    tiny_store: Path, simulated_log: Path, path: str, chosen: str
) -> None:
    async with open_pages(tiny_store, simulated_log) as (_, client):
        page = await client.get(path)

    assert re.findall(rf" selected>{re.escape(chosen)}</option>", page.text) != []


async def test_worklist_of_an_empty_log_says_that_it_is_empty(
    tiny_store: Path, tmp_path: Path
) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        page = await client.get("/review")

    assert "No radiograph has been read yet." in page.text
