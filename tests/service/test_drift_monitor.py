"""The monitor: off the request path, one state per scanner, and it survives restarts."""

from pathlib import Path

import pytest
import structlog.testing

from service.core.drift import Alarm, Detector, Track
from service.core.drift_reference import DRIFT_REFERENCE
from service.core.drift_scalars import Scalar
from service.core.errors import ArtifactInvalid
from service.drift_monitor import DIAGNOSE_IMAGES
from service.drift_sighting import open_comparison
from tests.support.drift import draw_radiograph
from tests.support.drift_watch import FILES, Watch, feed
from tests.support.sightings import see


def test_changed_scanner_is_named_and_its_neighbour_is_not(watch: Watch) -> None:
    watch.monitor.use(open_comparison(FILES))

    feed(watch, "room-1", 30)
    with structlog.testing.capture_logs() as events:
        feed(watch, "room-2", 15, "invert")

    assert watch.worst("room-1") < 1 < watch.worst("room-2")
    told = [event for event in events if event["event"] == "drift.detected"]
    assert [event["scanner"] for event in told] == ["room-2"]
    assert (
        watch.value("cxr_drift_cause", scanner="room-2", cause="negative: polarity inverted") == 1
    )
    assert watch.value("cxr_drift_kind", scanner="room-2", kind="undecided") == 1
    forecast = watch.value(
        "cxr_drift_sensitivity_change_ratio", scanner="room-2", finding="tuberculosis"
    )
    assert forecast is not None
    assert forecast < 0


def test_an_alarm_that_lasts_is_not_named_anew_for_every_radiograph(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, named = Detector.alarm, list[int]()

    def note(detector: Detector, track: Track) -> Alarm | None:
        found = name(detector, track)
        if found is not None:
            named.append(track.images)
        return found

    monkeypatch.setattr(Detector, "alarm", note)
    watch.monitor.use(open_comparison(FILES))

    feed(watch, "room-1", 45, "invert")

    assert named == [named[0], named[0] + DIAGNOSE_IMAGES]
    assert watch.worst("room-1") > 1


def test_state_survives_a_restart(watch: Watch, tmp_path: Path) -> None:
    watch.monitor.use(open_comparison(FILES))
    feed(watch, "room-2", 12, "invert")
    before = watch.worst("room-2")
    watch.monitor.close()

    again = Watch(tmp_path)
    again.monitor.use(open_comparison(FILES))

    assert again.worst("room-2") == before
    again.monitor.close()


def test_new_software_is_an_event_at_once_and_its_words_stay_here(watch: Watch) -> None:
    watch.monitor.use(open_comparison({}))

    for software in ("SW 1.0", "SW 1.0", "SW 2.0"):
        watch.monitor.observe(see(draw_radiograph(1), 1, "room-1", software=software))
    watch.monitor.close()

    changes = {"scanner": "room-1", "part": "software"}
    assert watch.value("cxr_scanner_device_changes_total", **changes) == 1
    assert b"SW 2.0" not in watch.path.read_bytes()


@pytest.mark.parametrize(
    ("scanner", "changes"), [("room-1", 3), ("room-2", 1), ("other", 0)],
    ids=["one machine", "two machines of one name", "machines that nobody named"],
)  # fmt: skip
def test_machines_that_share_an_alias_do_not_change_by_taking_turns(
    watch: Watch, scanner: str, changes: int
) -> None:
    watch.monitor.use(open_comparison({}))

    for software in ("SW 1.0", "SW 2.0", "SW 1.0", "SW 2.0"):
        watch.monitor.observe(see(draw_radiograph(1), 1, scanner, software=software))
    watch.monitor.settle()

    counted = watch.value("cxr_scanner_device_changes_total", scanner=scanner, part="software")
    assert counted == changes


def test_model_without_a_reference_still_counts_its_scanners(watch: Watch) -> None:
    watch.monitor.use(open_comparison({}))

    feed(watch, "room-1", 3)

    assert watch.value("cxr_scanner_radiographs_total", scanner="room-1") == 3
    assert watch.value("cxr_drift_reference_timestamp_seconds") == 0
    assert watch.pixels == ["room-1"] * 3


@pytest.mark.parametrize(("reason", "count"), [("VIEW_LATERAL", 0), ("POLARITY_AMBIGUOUS", 1)])
def test_picture_refused_for_its_tags_is_not_watched(watch: Watch, reason: str, count: int) -> None:
    watch.monitor.use(open_comparison(FILES))

    watch.monitor.observe(see(draw_radiograph(1), 1, "room-1", reason=reason))
    watch.monitor.settle()

    assert watch.value("cxr_scanner_radiographs_total", scanner="room-1") == count


def test_shadow_mode_exports_no_score(tmp_path: Path) -> None:
    watch = Watch(tmp_path, tells_results=False)
    watch.monitor.use(open_comparison(FILES))
    feed(watch, "room-1", 3)

    shown = {s for s in Scalar if watch.value("cxr_drift_ratio", scanner="room-1", scalar=s)}

    assert shown
    assert all(scalar.startswith(("raw_", "input_")) for scalar in shown)
    watch.monitor.close()


def test_damaged_reference_is_refused() -> None:
    with pytest.raises(ArtifactInvalid):
        open_comparison({DRIFT_REFERENCE: b"garbage"})
