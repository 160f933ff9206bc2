"""What the page shows of an answer: all that `POST /predict` tells of the same file."""

import re
from pathlib import Path

from tests.support.radiographs import png_bytes
from tests.support.simulated import open_pages

PART = {"HX-Request": "true"}


async def test_uncertainty_stands_beside_the_probabilities(
    tiny_store: Path, tmp_path: Path
) -> None:
    async with open_pages(tiny_store, tmp_path) as (_, client):
        told = (await client.post("/predict", content=png_bytes())).json()
        files = {"file": ("a.png", png_bytes())}
        shown = (await client.post("/review/try", files=files, headers=PART)).text
        case = (await client.get(f"/review/cases/{told['id']}")).text

    for finding, spread in told["uncertainty"]["tta_spread"].items():
        row = re.findall(rf'<th scope="row">{finding}</th>.*', shown)[0]
        assert f'<td class="number">{spread:.3f}</td>' in row
    for page in (shown, case):
        assert "Spread: standard deviation of the probability" in page
