"""The fire drill says why it failed."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from service.core.drift_shifts import UnknownShift, parse_shift
from service.core.intake import read_radiograph
from service.drift_drill import Drill, DrillFailed, encode_dicom, find_device, run_drill
from tests.support.drift import draw_radiograph
from tests.support.http_servers import Asked, Told, listening
from tests.support.monitoring import free_port


def test_device_is_the_one_that_the_service_knows_by_the_alias() -> None:
    scanners = {"STATION-1": "room-1", "Maker|Model 3": "room-3"}

    assert find_device(scanners, "room-1") == {"StationName": "STATION-1"}
    assert find_device(scanners, "room-3") == {
        "Manufacturer": "Maker",
        "ManufacturerModelName": "Model 3",
    }


def test_scanner_that_no_list_names_is_refused() -> None:
    with pytest.raises(DrillFailed, match="room-9"):
        find_device({"STATION-1": "room-1"}, "room-9")


def test_encoded_radiograph_is_read_back_as_it_was() -> None:
    radiograph = draw_radiograph(1)

    body = encode_dicom(radiograph, {"StationName": "STATION-1"})

    read = read_radiograph(body)
    assert abs(read.grey.astype(int) - radiograph.grey).max() < 65535 / 4095 * 1.5
    assert dcmread(DicomBytesIO(body)).StationName == "STATION-1"


@pytest.fixture
def radiograph(tmp_path: Path) -> Path:
    path = tmp_path / "a.dcm"
    path.write_bytes(encode_dicom(draw_radiograph(1), {}))
    return path


def plan(service: str) -> Drill:
    return Drill(
        service=service, scanner="room-1", device={}, shift=parse_shift("gamma:1.3"), images=1,
        patience_seconds=0.01, key="cxr_id_secret",
    )  # fmt: skip


def test_service_that_does_not_answer_fails_the_drill(radiograph: Path) -> None:
    with pytest.raises(DrillFailed, match="does not answer"):
        run_drill(plan(f"http://127.0.0.1:{free_port()}"), [radiograph], 0, print)


def test_refusal_is_told_by_its_code(radiograph: Path) -> None:
    refusal = Told(403, b'{"code": "SCOPE_MISSING"}')

    with (
        listening(lambda _asked: refusal) as service,
        pytest.raises(DrillFailed, match="answered 403 SCOPE_MISSING"),
    ):
        run_drill(plan(service), [radiograph], 0, print)


def test_upload_carries_the_key_and_silence_fails_the_drill(
    radiograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through no proxy of the environment: it may not reach the service, and sees the film."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    keys = []

    def answer(asked: Asked) -> Told:
        keys.append(asked.headers["Authorization"])
        return Told()

    with (
        listening(answer) as service,
        pytest.raises(DrillFailed, match=r"no CxrScannerDrift came out within 0\.01 s"),
    ):
        run_drill(plan(service), [radiograph], 0, print)

    assert keys == ["Bearer cxr_id_secret"]


def test_port_that_another_program_listens_on_is_told(radiograph: Path) -> None:
    with listening(lambda _asked: Told()) as other:
        port = int(other.rpartition(":")[2])

        with pytest.raises(DrillFailed, match=f"port {port} cannot be listened on"):
            run_drill(plan(other), [radiograph], port, print)


@pytest.mark.parametrize("text", ["gama:1.3", "gamma:high", ""])
def test_unknown_shift_names_the_known_ones(text: str) -> None:
    with pytest.raises(UnknownShift, match="gamma"):
        parse_shift(text)
