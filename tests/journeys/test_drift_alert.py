"""A scanner changes; Prometheus notices, Alertmanager tells: what, and since when."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.core.drift_reference import DRIFT_REFERENCE, write_reference
from service.core.drift_shifts import parse_shift
from tests.support.apps import running_service
from tests.support.dashboards import dashboard_queries
from tests.support.drift import draw_radiograph, tiny_reference
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.monitoring import (
    Receiver,
    free_port,
    missing_programs,
    query,
    receiving,
    running_alertmanager,
    running_prometheus,
    wait_for,
)
from tests.support.programs import needs
from tests.support.radiographs import dicom_bytes, png_bytes
from tests.support.runbook import commands_of, run_block

pytestmark = [
    pytest.mark.slow,
    needs(", ".join(missing_programs()) or None),
]
PAGE = Path(__file__).parents[2] / "docs/drift.md"
SCANNERS = {"STATION-1": "room-1", "STATION-2": "room-2", "Maker|Model 3": "room-3"}


@dataclass(frozen=True, slots=True)
class Site:
    """A service under traffic, watched by the real programs."""

    service: str
    prometheus: str
    receiver: Receiver
    drill_port: int


def send(service: str, station: str, seed: int, shift: str = "", software: str = "1.0") -> int:
    """One DICOM file of a station; the status of its answer."""
    radiograph = draw_radiograph(seed)
    changed = parse_shift(shift).apply(radiograph) if shift else radiograph
    tags = {
        "StationName": station,
        "SoftwareVersions": software,
        "SOPInstanceUID": f"1.2.826.0.1.3680043.9.7777.2.{seed}",
        "PatientID": f"PHANTOM-{seed}",
    }
    stored = (changed.grey // 16).astype(np.uint16)
    body = dicom_bytes(stored, window=(2048, 4096), tags=tags)
    return httpx.post(f"{service}/predict", content=body, timeout=60).status_code


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, drill_port = tmp_path_factory.mktemp("site"), free_port()
    files = {DRIFT_REFERENCE: write_reference(tiny_reference())}
    store = build_tiny_artifact(folder / "store", TinyChoices(extra_files=files))
    with (
        running_service(store, folder, CXR_SCANNERS=json.dumps(SCANNERS)) as service,
        receiving() as receiver,
        running_alertmanager(
            folder, receiver.url, f"http://127.0.0.1:{drill_port}"
        ) as alertmanager,
        running_prometheus(folder, service.url, alertmanager) as prometheus,
    ):
        for seed in range(9000, 9030):
            assert send(service.url, "STATION-1", seed) == 200
            assert send(service.url, "STATION-2", seed + 500) == 200
        httpx.post(f"{service.url}/predict", content=b"text")
        # A count that was never seen lower has not increased.
        unchanged = "cxr_scanner_device_changes_total{scanner='room-2', part='software'} == 0"
        wait_for(lambda: query(prometheus, unchanged), "a scrape before the change")
        for seed in range(9600, 9640):
            assert send(service.url, "STATION-2", seed, "invert", "2.0") == 200
        yield Site(service.url, prometheus, receiver, drill_port)


def test_alert_reaches_the_receiver_and_says_who_what_and_since_when(site: Site) -> None:
    alert = wait_for(lambda: site.receiver.alert("CxrScannerDrift"), "the alert")

    assert alert["labels"]["scanner"] == "room-2"
    assert alert["labels"]["scalar"].startswith(("raw_", "input_", "score_", "feature_"))
    text = alert["annotations"]["description"]
    assert f"Scanner room-2: {alert['labels']['scalar']}" in text
    assert f"since {datetime.now(UTC):%Y-%m-%d}" in text
    assert "Looks like: negative: polarity inverted;" in text
    assert alert["annotations"]["runbook_url"] == "docs/runbook.md#cxrscannerdrift"


def test_neighbour_that_did_not_change_is_silent(site: Site) -> None:
    wait_for(lambda: query(site.prometheus, "cxr_drift_ratio{scanner='room-2'} > 1"), "drift")

    assert query(site.prometheus, "cxr_drift_ratio{scanner='room-1'} > 1") == []


def test_heartbeat_arrives_while_nothing_else_is_wrong(site: Site) -> None:
    alert = wait_for(lambda: site.receiver.alert("CxrWatchdog"), "the heartbeat")

    assert alert["labels"] == {"alertname": "CxrWatchdog", "severity": "none"}


def test_notification_that_does_not_arrive_is_an_alert(site: Site) -> None:
    """Nobody listens on the port of the drill yet, so that one of the two webhooks fails."""
    alert = wait_for(lambda: site.receiver.alert("CxrNotificationsFailing"), "the alert")

    assert alert["labels"]["integration"] == "webhook"


def test_new_software_is_counted(site: Site) -> None:
    changes = "cxr_scanner_device_changes_total{scanner='room-2', part='software'} == 1"

    assert wait_for(lambda: query(site.prometheus, changes), "the device change")


@pytest.mark.parametrize(
    ("panel", "expression"), [pytest.param(*found, id=found[0]) for found in dashboard_queries()]
)
def test_panel_returns_series_from_a_service_under_traffic(
    site: Site, panel: str, expression: str
) -> None:
    assert wait_for(lambda: query(site.prometheus, expression), f"series for {panel}")


def test_metrics_are_clean_for_promtool(site: Site) -> None:
    exposition = httpx.get(f"{site.service}/metrics").content

    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition, capture_output=True, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_fire_drill_proves_that_the_alert_arrives(site: Site, tmp_path: Path) -> None:
    pictures, key = tmp_path / "pictures", tmp_path / "drill.key"
    pictures.mkdir()
    for seed in range(9700, 9712):
        (pictures / f"{seed}.png").write_bytes(png_bytes(draw_radiograph(seed).grey))
    key.write_text("the service of the test asks for no key")
    variables = {
        "CXR_SCANNERS": json.dumps(SCANNERS),
        "SCANNER": "room-3",
        "RADIOGRAPHS": str(pictures),
        "SERVICE_URL": site.service,
        "KEY_FILE": str(key),
        "DRILL_PORT": str(site.drill_port),
    }

    done = run_block(commands_of("Fire drill", PAGE)[0], variables, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "Scanner room-3" in done.stdout
    assert "docs/runbook.md#cxrscannerdrift" in done.stdout
