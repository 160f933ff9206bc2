"""One real chest radiograph, from upload to row, through the real process."""

from pathlib import Path

import httpx
from pydicom.data import get_testdata_file

from service.record import open_reader
from tests.support.apps import running_service


def test_real_radiograph_is_answered_explained_counted_and_recorded(
    tiny_store: Path, tmp_path: Path
) -> None:
    film = Path(str(get_testdata_file("RG1_UNCR.dcm", download=False))).read_bytes()

    with (
        running_service(tiny_store, tmp_path) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        answer = client.post("/predict", files={"file": film}).raise_for_status().json()
        overlay = client.post("/explain", content=film).raise_for_status()
        metrics = client.get("/metrics").text

    (logged,) = open_reader(f"sqlite:///{tmp_path}/shadow.db").rows()
    assert answer["status"] == "evaluated"
    assert overlay.content.startswith(b"\x89PNG")
    assert 'cxr_radiographs_total{outcome="evaluated"} 1.0' in metrics
    assert logged.entry.id == answer["id"]
