"""An index whose file cannot be read costs pages, and never the service."""

import os
from pathlib import Path

import httpx
import pytest

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
