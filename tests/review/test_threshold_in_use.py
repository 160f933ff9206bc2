"""Which threshold the Thresholds page calls the one in use, and what it draws of no case."""

from pathlib import Path

import httpx
import pytest

from service.core.findings import Finding
from service.simulate import FLAG_AT
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.page_text import tiles_of
from tests.support.simulated import open_pages

PAGE, TOLD = "/review/thresholds", "/review/api/thresholds"
PROPOSAL = f"{PAGE}/proposal"


async def _ask_empty(store: Path, folder: Path, path: str) -> httpx.Response:
    async with open_pages(store, folder) as (_, client):
        return await client.get(path)


async def test_before_the_first_radiograph_it_is_that_of_the_manifest(
    tiny_store: Path, tmp_path: Path
) -> None:
    async with open_pages(tiny_store, tmp_path) as (service, client):
        told = (await client.get(TOLD)).json()
        points = service.runtime.manifest.operating_points

    served = next(p.threshold for p in points if (p.finding, p.purpose) == ("pneumonia", "flag"))
    assert told["in_use"] == told["threshold"] == served


async def test_a_finding_that_is_never_flagged_has_none(tmp_path: Path) -> None:
    choices = TinyChoices(flag_threshold=None, refer_threshold=None)
    build_tiny_artifact(tmp_path / "store", choices)

    told = (await _ask_empty(tmp_path / "store", tmp_path, TOLD)).json()
    page = await _ask_empty(tmp_path / "store", tmp_path, PAGE)

    assert told["in_use"] is None
    assert "No threshold is in use" in page.text
    assert tiles_of(page.text)["Sensitivity"].endswith("now \N{EN DASH} ")


@pytest.mark.parametrize("days", [1, 3650])
async def test_of_a_model_that_does_not_serve_it_is_the_one_its_flags_were_raised_by(
    tiny_store: Path, simulated_log: Path, days: int
) -> None:
    async with open_pages(tiny_store, simulated_log) as (_, client):
        told = {
            finding: (await client.get(f"{TOLD}?finding={finding}&days={days}")).json()["in_use"]
            for finding in FLAG_AT
        }

    assert told == FLAG_AT


async def test_of_no_case_nothing_is_drawn_and_nothing_proposed(
    tiny_store: Path, tmp_path: Path
) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        page = await client.get(PAGE)
        refused = await client.post(PROPOSAL, data={"finding": "pneumonia", "threshold": "0.4"})

    assert "<polyline" not in page.text
    assert PROPOSAL not in page.text
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_REQUEST")


async def test_another_finding_begins_at_its_own_threshold(
    tiny_store: Path, simulated_log: Path
) -> None:
    query = "finding=tuberculosis&threshold=0.9&threshold_of"
    async with open_pages(tiny_store, simulated_log) as (_, client):
        other = await client.get(f"{PAGE}?{query}=pneumonia")
        same = await client.get(f"{PAGE}?{query}=tuberculosis")

    slider = 'name="threshold" min="0" max="1" step="0.001" value="{}"'
    assert slider.format(FLAG_AT[Finding.TUBERCULOSIS]) in other.text
    assert slider.format(0.9) in same.text


@pytest.mark.parametrize(("asked", "shown"), [("0.191", "0.1909"), ("0.192", "0.192")])
async def test_the_step_of_the_slider_beside_the_threshold_in_use_is_that_threshold(
    tmp_path: Path, asked: str, shown: str
) -> None:
    build_tiny_artifact(tmp_path / "store", TinyChoices(flag_threshold=0.1909))

    page = await _ask_empty(tmp_path / "store", tmp_path, f"{PAGE}?threshold={asked}")
    told = await _ask_empty(tmp_path / "store", tmp_path, f"{TOLD}?threshold={asked}")

    assert f'step="0.001" value="{shown}"' in page.text
    assert told.json()["threshold"] == float(asked)
