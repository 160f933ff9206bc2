"""`cxr-triage drift status` reads what a service left, and says it in words."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from service.cli import app
from service.core.artifact import load_current
from service.core.drift_reference import DRIFT_REFERENCE, write_reference
from service.core.drift_shifts import parse_shift
from service.drift_metrics import DriftMetrics
from service.drift_monitor import DriftMonitor
from service.drift_sighting import open_comparison
from service.drift_state import STATE
from tests.support.drift import draw_radiograph, small_reference
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.sightings import see


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site whose model has a reference."""
    files = {DRIFT_REFERENCE: write_reference(small_reference())}
    store = build_tiny_artifact(tmp_path / "store", TinyChoices(extra_files=files))
    monkeypatch.setenv("CXR_MODEL__STORE", str(store))
    monkeypatch.setenv("CXR_RECORD__SITE_KEY_FILE", str(tmp_path / "record/site.key"))
    return tmp_path


def watch(site: Path, scanner: str, count: int, shift: str) -> None:
    """What a service would have left on disk."""
    metrics = DriftMetrics(CollectorRegistry(), scanners=(scanner,), tells_results=True)
    monitor = DriftMonitor(
        metrics=metrics,
        shared=frozenset(),
        path=site / "record" / STATE,
        on_pixels=lambda _alias, _raw, _seen: None,
        clock=lambda: 0.0,
    )
    monitor.use(open_comparison(load_current(site / "store").files))
    for number in range(count):
        changed = parse_shift(shift).apply(draw_radiograph(8000 + number))
        monitor.observe(see(changed, number, scanner))
        monitor.settle()
    monitor.close()


def test_drifting_scanner_is_told_in_words(site: Path) -> None:
    watch(site, "room-2", 30, "invert")

    result = CliRunner().invoke(app, ["drift", "status", "--json"])

    told = json.loads(result.stdout)
    assert result.exit_code == 3
    assert (told["scanner"], told["images"], told["drifts"]) == ("room-2", 30, True)
    assert told["since"].startswith("2023-11-14T22:13:2")
    assert "negative" in told["cause"]
    assert told["sensitivity"]["tuberculosis"] < 0


def test_table_loses_no_word_on_a_narrow_terminal(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    watch(site, "room-2", 30, "invert")

    told = CliRunner().invoke(app, ["drift", "status"]).stdout

    assert "…" not in told
    assert re.search(r"room-2 +30 +1\.25 +[a-z0-9_]+ +2023-11-14 22:13 +undecided", told)
    assert "room-2: negative: polarity inverted" in told
    assert "Forecast of the sensitivity: pneumonia -" in " ".join(told.split())


def test_name_with_square_brackets_is_shown_as_it_is(site: Path) -> None:
    watch(site, "room[red]2:x:", 30, "invert")

    told = CliRunner().invoke(app, ["drift", "status"]).stdout

    assert told.count("room[red]2:x:") == 2  # in the table, and beside the cause


def test_quiet_scanner_ends_well(site: Path) -> None:
    watch(site, "room-1", 20, "gain:1")

    result = CliRunner().invoke(app, ["drift", "status"])

    assert result.exit_code == 0
    assert "room-1" in result.stdout


def test_model_without_a_reference_says_so(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_MODEL__STORE", str(tiny_store))
    monkeypatch.setenv("CXR_RECORD__SITE_KEY_FILE", str(tmp_path / "site.key"))

    result = CliRunner().invoke(app, ["drift", "status"])

    assert result.exit_code == 1
    assert "without a drift reference" in result.stderr


def test_a_state_that_cannot_be_read_is_not_told_as_silence(site: Path) -> None:
    nothing = CliRunner().invoke(app, ["drift", "status"])
    (site / "record").mkdir(exist_ok=True)
    (site / "record" / STATE).write_bytes(b"not an archive")

    result = CliRunner().invoke(app, ["drift", "status"])

    assert (nothing.exit_code, result.exit_code) == (0, 1)
    assert "whether a scanner drifts is not known" in result.output


@pytest.mark.parametrize(("listed", "exit_code"), [("room-1", 0), ("room-2", 3)])
def test_drift_of_a_scanner_that_was_taken_off_the_list_is_told_as_past(
    site: Path, monkeypatch: pytest.MonkeyPatch, listed: str, exit_code: int
) -> None:
    watch(site, "room-2", 30, "invert")
    monkeypatch.setenv("CXR_SCANNERS", json.dumps({"STATION": listed}))

    result = CliRunner().invoke(app, ["drift", "status"])
    told = json.loads(CliRunner().invoke(app, ["drift", "status", "--json"]).stdout)

    is_listed = listed == "room-2"
    past = "room-2: not in CXR_SCANNERS any more; last radiograph 2023-11-14"
    assert result.exit_code == exit_code
    assert (past in result.stdout) != is_listed
    assert (told["drifts"], told["is_listed"]) == (True, is_listed)
