"""An index whose file cannot be read costs pages, and never the service."""

import os
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from service.core.errors import RecordUnavailable
from service.record import open_reader
from service.record.case_index import open_case_index
from service.record.index_check import first_forged_case
from tests.support.apps import running_service
from tests.support.radiographs import png_bytes
from tests.support.simulated import copy_log

PAGES = ("/review?days=3650", "/review/thresholds?days=3650")
LEFT_BYTES = 8192
"""Of a file that another program has cut; a disk that cannot read the rest looks the same."""


@pytest.mark.slow
def test_index_that_was_cut_costs_no_upload(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path)
    with (
        running_service(tiny_store, tmp_path, CXR_RECORD__URL=url) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        whole = client.get(PAGES[0])
        os.truncate(tmp_path / "shadow.db.cases", LEFT_BYTES)
        told = [client.get(page) for page in PAGES]
        alive = client.get("/healthz")
        answered = client.post("/predict", content=png_bytes())

    assert whole.status_code == 200
    assert {page.status_code for page in told} <= {200, 503}
    assert (alive.status_code, answered.status_code) == (200, 200)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:LEFT_BYTES],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: b"no database at all" * 1000,
    ],
    ids=["cut at its start", "cut in half", "another file"],
)
def test_index_that_is_found_damaged_is_made_anew(
    simulated_log: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    url, file = copy_log(simulated_log, tmp_path), tmp_path / "shadow.db.cases"
    with closing(open_reader(url)) as reader:
        with closing(open_case_index(url, reader)) as index:
            index.catch_up()
        file.write_bytes(damage(file.read_bytes()))

        with closing(open_case_index(url, reader)) as index:
            index.catch_up()
            is_current, forged = index.progress().is_current, first_forged_case(index, reader)

    assert (is_current, forged) == (True, None)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_index_that_is_damaged_while_it_is_open_costs_one_question(
    simulated_log: Path, tmp_path: Path
) -> None:
    url = copy_log(simulated_log, tmp_path)
    with closing(open_reader(url)) as reader, closing(open_case_index(url, reader)) as index:
        index.catch_up()
        os.truncate(tmp_path / "shadow.db.cases", LEFT_BYTES)

        with pytest.raises(RecordUnavailable):
            first_forged_case(index, reader)
        index.catch_up()

        assert first_forged_case(index, reader) is None
