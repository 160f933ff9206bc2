"""What the page shows of an answer: all that `POST /predict` tells of the same file."""

import base64
import re
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.core.attention import FULL_COLOUR_LOG_ODDS, Backdrop, colour_evidence
from tests.support.radiographs import chest_levels, dicom_bytes, png_bytes
from tests.support.scope_catalogue import PURPOSE
from tests.support.simulated import copy_log, open_pages

PART = {"HX-Request": "true"}
WITHOUT_PICTURE = {
    "PDF": (PURPOSE["PDF"].body({}), "NOT_AN_IMAGE"),
    "CT without pixels": (
        dicom_bytes(modality="CT", tags={"PixelData": None}),
        "NOT_A_CHEST_RADIOGRAPH",
    ),
    "lateral, damaged": (dicom_bytes(view="LL", tags={"PixelData": b"cut"}), "VIEW_LATERAL"),
}


async def test_uncertainty_stands_beside_the_probabilities(
    tiny_store: Path, tmp_path: Path
) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        told = (await client.post("/predict", content=png_bytes())).json()
        form = {"file": ("a.png", png_bytes())}
        shown = (await client.post("/review/try", files=form, headers=PART)).text
        case = (await client.get(f"/review/cases/{told['id']}")).text

    for finding, spread in told["uncertainty"]["tta_spread"].items():
        row = re.findall(rf'<th scope="row">{finding}</th>.*', shown)[0]
        assert f'<td class="number">{spread:.3f}</td>' in row
    for page in (shown, case):
        assert "Spread: standard deviation of the probability" in page


async def test_the_map_has_a_legend_and_starts_with_the_finding_that_explain_draws(
    tiny_store: Path, tmp_path: Path
) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        form = {"file": ("a.png", png_bytes())}
        shown = (await client.post("/review/try", files=form, headers=PART)).text
        drawn = (await client.post("/explain", content=png_bytes())).headers["X-Finding"]

    assert re.findall(r'value="(\w+)" checked', shown) == [drawn]
    assert re.findall(r'class="overlay" data-finding="(\w+)"', shown) == [drawn]
    assert "evidence of 6 in log-odds or more, odds of 403 to 1" in shown


async def test_pixels_that_are_not_square_are_shown_in_their_true_shape(
    tiny_store: Path, tmp_path: Path
) -> None:
    stored, tags = chest_levels(512, 448, bits=12), {"ImagerPixelSpacing": ["0.2", "0.1"]}
    async with open_pages(tiny_store, tmp_path) as (_, client):
        form = {"file": ("a.dcm", dicom_bytes(stored, tags=tags))}
        shown = (await client.post("/review/try", files=form, headers=PART)).text

    pictures = [
        np.asarray(cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR))
        for png in re.findall(r'src="data:image/png;base64,([^"]+)"', shown)
    ]
    assert [picture.shape[:2] for picture in pictures] == [(512, 224)] * 3


def test_colours_of_the_legend_are_those_of_the_map() -> None:
    sheet = (files("service.review") / "static" / "review.css").read_text(encoding="utf-8")
    stops = re.findall(r"#\w{6}", re.findall(r"linear-gradient\(to right, (.*?)\)", sheet)[0])
    backdrop = Backdrop(
        np.full((1, len(stops)), 128, np.uint8), (slice(0, 1), slice(0, len(stops)))
    )
    evidence = np.linspace(0, FULL_COLOUR_LOG_ODDS, len(stops), dtype=np.float32)[np.newaxis]

    drawn = colour_evidence(backdrop, evidence)[0, :, ::-1]

    told = np.array([list(bytes.fromhex(stop[1:])) for stop in stops], np.int16)
    assert np.abs(drawn.astype(np.int16) - told).max() <= 1


async def test_a_browser_without_scripts_gets_a_whole_page(
    tiny_store: Path, tmp_path: Path
) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        good = {"file": ("a.png", png_bytes())}
        bad = {"file": ("a.txt", b"hello")}
        whole = [await client.post("/review/try", files=form) for form in (good, bad)]
        parts = [await client.post("/review/try", files=form, headers=PART) for form in (good, bad)]

    assert [answer.status_code for answer in whole] == [200, 415]
    assert [answer.text.count("<!doctype html>") for answer in whole + parts] == [1, 1, 0, 0]
    assert "Priority" in whole[0].text
    assert "UNKNOWN_FORMAT" in whole[1].text


@pytest.mark.parametrize("name", ["PDF", "CT without pixels", "lateral, damaged"])
async def test_what_has_an_answer_and_no_picture_is_shown_without_one(
    tiny_store: Path, tmp_path: Path, name: str
) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        form = {"file": ("a.dcm", WITHOUT_PICTURE[name][0])}
        shown = await client.post("/review/try", files=form, headers=PART)

    assert (shown.status_code, WITHOUT_PICTURE[name][1] in shown.text) == (200, True)
    assert "It was not called normal" in shown.text
    assert "<img" not in shown.text


async def test_both_doors_count_a_radiograph_alike(tiny_store: Path, tmp_path: Path) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        await client.post("/predict", content=png_bytes())
        await client.post("/review/try", files={"file": ("a.png", png_bytes())})
        await client.post("/review/try", files={"file": ("a.txt", b"hello")}, headers=PART)
        await client.get("/review/try")
        metrics = (await client.get("/metrics")).text

    assert 'cxr_radiographs_total{outcome="evaluated"} 2.0' in metrics
    assert 'cxr_radiographs_total{outcome="refused"} 1.0' in metrics
    assert 'cxr_stage_seconds_count{stage="request"} 3.0' in metrics


async def test_a_real_radiograph_is_not_called_simulated_beside_drawn_ones(
    tiny_store: Path, simulated_log: Path, tmp_path: Path
) -> None:
    copy_log(simulated_log, tmp_path / "log")
    async with open_pages(tiny_store, tmp_path / "log") as (_, client):
        form = {"file": ("a.png", png_bytes())}
        tried = (await client.post("/review/try", files=form)).text
        real = re.findall(r"/review/cases/[0-9a-f-]{36}", tried)[0]
        rows = (await client.get("/review/api/worklist?days=3650&model=simulated/1.0.0")).json()
        drawn = f"/review/cases/{rows['rows'][0]['id']}"
        pages = [(await client.get(path)).text for path in (real, drawn, "/review")]

    told = [re.findall(r"<b>(.*imulated log)\.</b>", page) for page in (tried, *pages)]
    assert told == [[], [], ["Simulated log"], ["Partly simulated log"]]


async def test_what_changes_and_what_is_drawn_is_told_in_words(
    tiny_store: Path, simulated_log: Path
) -> None:
    async with open_pages(tiny_store, simulated_log) as (_, client):
        pages = {
            name: (await client.get(f"/review{name}?days=3650")).text
            for name in ("", "/thresholds", "/comparison", "/queue")
        }

    for page in pages.values():
        result = page.split('id="result"')[1]
        assert re.search(r"data-told>.*?\d", result, re.DOTALL)
    assert re.search(r"<desc>By threshold\. sensitivity: 1\.000 at 0\.00, ", pages["/thresholds"])
    assert "<desc>Radiographs in 20 equal parts" in pages["/comparison"]
