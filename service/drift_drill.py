"""Fire drill: radiographs with a known change go in as one scanner's, and the alert must come out.

For a staging service, whose Alertmanager notifies the address that the drill listens on. Never for
the service that reads patients: every radiograph of the drill leaves a row and moves the drift of
that scanner.
"""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import cycle, islice
from pathlib import Path

import httpx
import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from service.core.drift_shifts import Shift
from service.core.errors import CxrError
from service.core.intake import read_radiograph
from service.core.radiograph import Radiograph

ANSWER_SECONDS = 60.0
DRIFT_ALERT = "CxrScannerDrift"


class DrillFailed(CxrError):
    """The change went in, and no alert came out; or it could not even go in."""

    code = "DRILL_FAILED"


class Problem(BaseModel):
    """What the service says of an upload that it refuses."""

    code: str


class Alert(BaseModel):
    """What Alertmanager says of one alert (webhook format, version 4)."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Notice(BaseModel):
    """One notification."""

    alerts: list[Alert]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What is sent where, and who must be told.

    Attributes
    ----------
    scanner, device
        Alias, and the tags by which the service knows it.
    key
        API key with the scope `predict`; None where the service asks for none.
    """

    service: str
    scanner: str
    device: Mapping[str, str]
    shift: Shift
    images: int
    patience_seconds: float
    key: str | None = field(default=None, repr=False)


def find_device(scanners: Mapping[str, str], alias: str) -> dict[str, str]:
    """Tags for which the site's list gives this alias.

    Raises
    ------
    DrillFailed
        The list does not name it.
    """
    name = next((name for name, known in scanners.items() if known == alias), None)
    if name is None:
        raise DrillFailed(f"CXR_SCANNERS names no scanner {alias!r}")
    manufacturer, bar, model = name.partition("|")
    if bar:
        return {"Manufacturer": manufacturer, "ManufacturerModelName": model}
    return {"StationName": name}


def run_drill(drill: Drill, paths: Sequence[Path], port: int, tell: Callable[[str], None]) -> Alert:
    """Send the changed radiographs, then wait for the alert that names the scanner.

    Raises
    ------
    DrillFailed
        The port is taken, a radiograph was not answered, or nobody told us in time.
    """
    with _listening(port) as told:
        for number, path in enumerate(islice(cycle(paths), drill.images), start=1):
            radiograph = drill.shift.apply(read_radiograph(path.read_bytes()))
            _send(drill, encode_dicom(radiograph, drill.device))
            tell(f"{number} of {drill.images} sent")
        alert = told.wait(drill.scanner, drill.patience_seconds)
    if alert is None:
        raise DrillFailed(
            f"{drill.images} radiographs with {drill.shift} went in as {drill.scanner}, and no "
            f"{DRIFT_ALERT} came out within {drill.patience_seconds:g} s"
        )
    return alert


def encode_dicom(radiograph: Radiograph, device: Mapping[str, str]) -> bytes:
    """A new digital chest radiograph of nobody, 12 bits."""
    dataset = Dataset()
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.file_meta = meta
    rows, columns = radiograph.grey.shape
    values = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": generate_uid(), "Modality": "DX", "ImageType": ["ORIGINAL", "PRIMARY"],
        "PresentationIntentType": "FOR PRESENTATION", "ViewPosition": "PA",
        "BodyPartExamined": "CHEST", "PatientAge": "050Y", "PatientID": "DRILL",
        "Rows": rows, "Columns": columns, "SamplesPerPixel": 1, "BitsAllocated": 16,
        "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2", "WindowCenter": "2048", "WindowWidth": "4096",
        **device,
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    stored = (radiograph.grey >> np.uint16(4)).astype("<u2")
    dataset.add_new("PixelData", "OW", stored.tobytes())
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _send(drill: Drill, body: bytes) -> None:
    headers = {} if drill.key is None else {"Authorization": f"Bearer {drill.key}"}
    try:
        answer = httpx.post(
            f"{drill.service}/predict", content=body, headers=headers, timeout=ANSWER_SECONDS,
            trust_env=False,
        )  # fmt: skip
    except httpx.HTTPError as error:
        raise DrillFailed(f"the service does not answer: {type(error).__name__}") from error
    if not answer.is_success:
        raise DrillFailed(f"the service answered {answer.status_code} {_code_of(answer)}".rstrip())


def _code_of(answer: httpx.Response) -> str:
    """Stable code of a refusal; empty where the answer has none."""
    try:
        return Problem.model_validate_json(answer.content).code
    except ValidationError:
        return ""


class _Told:
    """Alerts as they arrive."""

    def __init__(self) -> None:
        self._alerts: list[Alert] = []
        self._changed = threading.Condition()

    def add(self, body: bytes) -> None:
        """One notification; what is none is left out."""
        try:
            notice = TypeAdapter(Notice).validate_python(json.loads(body))
        except (ValueError, ValidationError):
            return
        with self._changed:
            self._alerts += notice.alerts
            self._changed.notify_all()

    def wait(self, scanner: str, seconds: float) -> Alert | None:
        """The first firing drift alert of a scanner."""
        end = time.monotonic() + seconds
        with self._changed:
            while (found := self._find(scanner)) is None and time.monotonic() < end:
                self._changed.wait(end - time.monotonic())
            return found

    def _find(self, scanner: str) -> Alert | None:
        for alert in self._alerts:
            labels = alert.labels
            is_drift = labels.get("alertname") == DRIFT_ALERT and labels.get("scanner") == scanner
            if is_drift and alert.status == "firing":
                return alert
        return None


@contextmanager
def _listening(port: int) -> Iterator[_Told]:
    told = _Told()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.add(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Nothing: the drill tells its own story."""

    try:
        server = HTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise DrillFailed(f"port {port} cannot be listened on: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
