"""The monitor: off the request path, one state per scanner, and it survives restarts."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog.testing
from prometheus_client import CollectorRegistry

from service.core.drift import WINDOW_IMAGES, Alarm, Detector, Track
from service.core.drift_reference import DRIFT_REFERENCE, write_reference
from service.core.drift_scalars import Scalar
from service.core.drift_shifts import parse_shift
from service.core.errors import ArtifactInvalid
from service.drift_metrics import DriftMetrics
from service.drift_monitor import DIAGNOSE_IMAGES, DriftMonitor
from service.drift_sighting import open_comparison
from service.drift_state import STATE, load_state
from tests.support.drift import draw_radiograph, small_reference
from tests.support.monitoring import wait_for
from tests.support.sightings import see

FILES = {DRIFT_REFERENCE: write_reference(small_reference())}
FIRST_SEED = 7000


class Watch:
    """A monitor, its registry, and what it told of pixels."""

    def __init__(
        self,
        folder: Path,
        *,
        tells_results: bool = True,
        save_seconds: float = 30.0,
        scanners: tuple[str, ...] = ("room-1", "room-2", "other"),
    ) -> None:
        self.registry = CollectorRegistry()
        self.pixels: list[str] = []
        self.path = folder / STATE
        metrics = DriftMetrics(self.registry, scanners=scanners, tells_results=tells_results)
        self.monitor = DriftMonitor(
            metrics=metrics,
            shared=frozenset({"room-2"}),
            path=self.path,
            on_pixels=lambda alias, _raw, _seen: self.pixels.append(alias),
            clock=lambda: 0.0,
            save_seconds=save_seconds,
        )

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def worst(self, scanner: str) -> float:
        values = [self.value("cxr_drift_ratio", scanner=scanner, scalar=s) for s in Scalar]
        return max(value for value in values if value is not None)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    opened = Watch(tmp_path)
    yield opened
    opened.monitor.close()


def feed(watch: Watch, scanner: str, count: int, shift: str = "", first: int = FIRST_SEED) -> None:
    for number in range(count):
        radiograph = draw_radiograph(first + number)
        changed = parse_shift(shift).apply(radiograph) if shift else radiograph
        watch.monitor.observe(see(changed, number, scanner))
        watch.monitor.settle()


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


@pytest.mark.parametrize("files", [FILES, {}], ids=["reference", "no reference"])
def test_silence_of_a_scanner_is_counted_from_before_a_restart(
    watch: Watch, tmp_path: Path, files: dict[str, bytes]
) -> None:
    last = "cxr_scanner_last_radiograph_timestamp_seconds"
    watch.monitor.use(open_comparison(files))
    feed(watch, "room-2", 2)
    before = watch.value(last, scanner="room-2")
    watch.monitor.close()

    again = Watch(tmp_path)
    again.monitor.use(open_comparison(files))

    assert before
    assert [again.value(last, scanner=name) for name in ("room-1", "room-2")] == [0, before]
    again.monitor.close()


def test_scanner_that_left_the_list_has_no_series_after_a_restart(
    watch: Watch, tmp_path: Path
) -> None:
    watch.monitor.use(open_comparison(FILES))
    feed(watch, "room-2", 12, "invert")
    watch.monitor.close()

    again = Watch(tmp_path, scanners=("room-1", "other"))
    again.monitor.use(open_comparison(FILES))
    samples = [sample for family in again.registry.collect() for sample in family.samples]

    assert {s.labels["scanner"] for s in samples if "scanner" in s.labels} == {"room-1", "other"}
    again.monitor.close()


def test_last_radiograph_before_a_silence_is_saved_too(tmp_path: Path) -> None:
    watch = Watch(tmp_path, save_seconds=0.01)
    watch.monitor.use(open_comparison(FILES))

    feed(watch, "room-2", 1)

    wait_for(watch.path.is_file, "the state, though no radiograph follows")
    watch.monitor.close()


def test_another_reference_begins_anew(watch: Watch) -> None:
    watch.monitor.use(open_comparison(FILES))
    feed(watch, "room-2", 12, "invert")

    watch.monitor.use(open_comparison({DRIFT_REFERENCE: write_reference(small_reference(300))}))

    assert watch.worst("room-2") == 0


class _Echo(list[str]):
    """Has each radiograph that was measured followed by another one."""

    def __init__(self, monitor: DriftMonitor) -> None:
        super().__init__()
        self._monitor, self._next = monitor, see(draw_radiograph(1), 1, "room-1")

    def append(self, _alias: str) -> None:
        self._monitor.observe(self._next)


def is_used_in_time(monitor: DriftMonitor) -> bool:
    """Whether another reference is taken over, on a thread as the service does it."""
    using = threading.Thread(target=monitor.use, args=[open_comparison(FILES)], daemon=True)
    using.start()
    using.join(timeout=20)
    return not using.is_alive()


def test_another_reference_waits_for_no_radiograph_that_comes_later(watch: Watch) -> None:
    watch.pixels = _Echo(watch.monitor)
    watch.pixels.append("the first")

    is_used = is_used_in_time(watch.monitor)
    watch.pixels = []

    assert is_used


def test_state_that_cannot_be_written_at_all_ends_no_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def refuse(*_: object) -> None:
        tried.set()
        raise ValueError("not a number")

    monkeypatch.setattr("service.drift_monitor.save_state", refuse)
    watch = Watch(tmp_path, save_seconds=0.01)
    feed(watch, "room-1", 1)
    assert tried.wait(20)

    assert is_used_in_time(watch.monitor)
    assert watch.monitor._thread.is_alive()
    watch.monitor.close()


def test_restart_after_another_reference_goes_on_with_its_images(
    watch: Watch, tmp_path: Path
) -> None:
    other = open_comparison({DRIFT_REFERENCE: write_reference(small_reference(300))})
    watch.monitor.use(open_comparison(FILES))
    feed(watch, "room-2", 12, "invert")
    watch.monitor.use(other)
    feed(watch, "room-2", 5)
    watch.monitor.close()

    again = Watch(tmp_path)
    again.monitor.use(other)
    feed(again, "room-2", 2)
    again.monitor.close()

    scanner = load_state(again.path, other.digest, other.detector).scanners["room-2"]
    assert scanner.track is not None
    recent = scanner.track.recent(WINDOW_IMAGES)
    assert (scanner.images, len(recent)) == (19, 7)
    assert not np.isnan(recent).all(axis=1).any()


@pytest.mark.parametrize("body", [b"", b"garbage", b"PK\x03\x04"])
def test_unreadable_state_is_reported_and_begun_anew(tmp_path: Path, body: bytes) -> None:
    (tmp_path / STATE).write_bytes(body)
    watch = Watch(tmp_path)

    with structlog.testing.capture_logs() as events:
        watch.monitor.use(open_comparison(FILES))

    assert [event["event"] for event in events] == ["drift.state_unreadable"]
    assert watch.worst("room-1") == 0
    watch.monitor.close()


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
