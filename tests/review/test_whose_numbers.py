"""Pages of numbers name the model that read them: it need not be the one in the page's head."""

import re
from pathlib import Path

import pytest

from tests.support.radiographs import png_bytes
from tests.support.simulated import open_pages

PAGES = ("/review/thresholds", "/review/queue")
RETIRED = "(not the model that serves now)"


def _words(page: str) -> str:
    main = page.split("<main", 1)[1].split("<footer", 1)[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", main))


@pytest.mark.parametrize("path", PAGES)
async def test_numbers_of_a_model_that_does_not_serve_say_so(
    tiny_store: Path, simulated_log: Path, path: str
) -> None:
    async with open_pages(tiny_store, simulated_log) as (_, client):
        page = await client.get(path)

    assert f"read by simulated/1.0.0 {RETIRED}" in _words(page.text)


@pytest.mark.parametrize("path", PAGES)
async def test_numbers_of_the_model_that_serves_name_it(
    tiny_store: Path, tmp_path: Path, path: str
) -> None:
    async with open_pages(tiny_store, tmp_path) as (service, client):
        await client.post("/predict", content=png_bytes())
        page = await client.get(path)
        stamp = service.runtime.model.stamp

    assert f"read by {stamp.name}/{stamp.version}" in _words(page.text)
    assert RETIRED not in page.text


async def test_thresholds_say_which_days_they_count(tiny_store: Path, simulated_log: Path) -> None:
    async with open_pages(tiny_store, simulated_log) as (_, client):
        page = await client.get("/review/thresholds?days=7")
        told = (await client.get("/review/api/thresholds?days=7")).json()

    since, until = (told[name][:16].replace("T", " ") for name in ("since", "until"))
    assert f", from {since} to {until}." in _words(page.text)


async def test_thresholds_of_an_empty_log_say_that_it_is_empty(
    tiny_store: Path, tmp_path: Path
) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        page = await client.get("/review/thresholds")

    assert "No radiograph has been read yet." in _words(page.text)
