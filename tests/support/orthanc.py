"""Real Orthanc on free ports, with the shipped configuration and script, and real `storescu`."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydicom.uid import generate_uid

from tests.support.monitoring import free_port, wait_for
from tests.support.phantoms import chest_levels
from tests.support.programs import needs
from tests.support.radiographs import dicom_bytes

DEPLOY = Path(__file__).parents[2] / "deploy/orthanc"
PROGRAMS = ("Orthanc", "storescu")
USER, PASSWORD = "cxr", "only for tests"
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
needs_orthanc = needs(", ".join(MISSING) or None)


def shipped_configuration() -> dict[str, object]:
    """What every site begins with, without its comments."""
    shipped = (DEPLOY / "orthanc.json").read_text("utf-8")
    plain = re.sub(r"^\s*//.*$", "", shipped, flags=re.MULTILINE)
    configuration: dict[str, object] = json.loads(plain)
    return configuration


@dataclass(slots=True)
class Site:
    """One Orthanc, which may be stopped and started again on the same ports and files."""

    folder: Path
    http_port: int
    dicom_port: int
    process: subprocess.Popen[bytes] | None = None
    changed: Mapping[str, object] = field(default_factory=dict)
    """Of the shipped configuration."""

    @property
    def url(self) -> str:
        """Of its REST API."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def variables(self) -> dict[str, str]:
        """Settings of a service that follows it."""
        password = self.folder / "password"
        password.write_text(f"{PASSWORD}\n", encoding="utf-8")
        return {
            "CXR_PACS__URL": self.url,
            "CXR_PACS__USER": USER,
            "CXR_PACS__PASSWORD_FILE": str(password),
            "CXR_PACS__QUEUE_FILE": str(self.folder / "pacs.db"),
            "CXR_PACS__POLL_SECONDS": "0.5",
            "CXR_PACS__RETRY_SECONDS": "0.2",
        }

    def client(self) -> httpx.Client:
        """Asks its REST API."""
        return httpx.Client(base_url=self.url, auth=(USER, PASSWORD), timeout=30, trust_env=False)

    def start(self, notify_url: str | None = None, api_key_file: Path | None = None) -> None:
        """Start it, and wait until it listens."""
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self._configuration(notify_url, api_key_file)), "utf-8")
        with (self.folder / "orthanc.log").open("ab") as log:
            self.process = subprocess.Popen(["Orthanc", path], stdout=log, stderr=log)
        with self.client() as client:
            wait_for(lambda: client.get("/system").is_success, "Orthanc")

    def stop(self) -> None:
        """Stop it in order."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)
            self.process = None

    def forget(self) -> None:
        """Throw its database away, while it is stopped."""
        shutil.rmtree(self.folder / "db")

    def _configuration(
        self, notify_url: str | None, api_key_file: Path | None
    ) -> dict[str, object]:
        told = {"NotifyUrl": notify_url} if notify_url else {}
        key = {"ApiKeyFile": str(api_key_file)} if api_key_file else {}
        return {
            **shipped_configuration(),
            **self.changed,
            "StorageDirectory": str(self.folder / "db"),
            "IndexDirectory": str(self.folder / "db"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "RegisteredUsers": {USER: PASSWORD},
            "LuaScripts": [str(DEPLOY / "notify.lua")],
            "CxrTriage": told | key,
        }


@contextmanager
def running_orthanc(folder: Path, notify_url: str | None = None) -> Iterator[Site]:
    """Start one, and stop what is left of it."""
    site = Site(folder, free_port(), free_port())
    site.start(notify_url)
    try:
        yield site
    finally:
        site.stop()


def phantom(number: int, *, grey: int | None = None, **tags: object) -> bytes:
    """A chest phantom of a study of its own; the same number gives the same identity.

    Parameters
    ----------
    grey
        Of a small square, where the same identity is to have other pixels.
    """
    root = f"1.2.826.0.1.3680043.9.7777.8.{number}"
    levels = chest_levels(bits=12).copy()
    levels[:8, :8] = number % 4096 if grey is None else grey
    modality = str(tags.pop("Modality", "DX"))
    identity = {
        "SOPInstanceUID": f"{root}.1.1", "SeriesInstanceUID": f"{root}.1",
        "StudyInstanceUID": root, "PatientID": f"PHANTOM-{number}",
    }  # fmt: skip
    return dicom_bytes(levels, modality=modality, tags={**identity, **tags})


def store(site: Site, bodies: Iterable[bytes]) -> float:
    """Push with `storescu` over one association; returns the moment when it had ended."""
    folder = site.folder / f"sent-{generate_uid()}"
    folder.mkdir()
    for number, body in enumerate(bodies):
        (folder / f"{number:04}.dcm").write_bytes(body)
    address = ("127.0.0.1", str(site.dicom_port))
    command = ["storescu", "-nh", "+sd", *address, str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return time.monotonic()
