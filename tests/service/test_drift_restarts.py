"""The monitor over restarts, other references and states that cannot be read or written."""

import threading
from pathlib import Path

import numpy as np
import pytest
import structlog.testing

from service.core.drift import WINDOW_IMAGES
from service.core.drift_reference import DRIFT_REFERENCE, write_reference
from service.core.drift_shifts import parse_shift
from service.drift_monitor import DriftMonitor
from service.drift_sighting import open_comparison
from service.drift_state import STATE, load_state
from tests.support.drift import draw_radiograph, small_reference
from tests.support.drift_watch import FILES, FIRST_SEED, Watch, feed
from tests.support.monitoring import wait_for
from tests.support.sightings import see


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


def test_what_an_earlier_model_scored_is_not_compared_with_the_next_one(watch: Watch) -> None:
    earlier, later = (
        open_comparison({DRIFT_REFERENCE: write_reference(small_reference(images))})
        for images in (400, 300)
    )
    watch.monitor.use(earlier)
    watch.monitor.use(later)
    inverted = parse_shift("invert").apply(draw_radiograph(FIRST_SEED))

    for number in range(15):
        late = see(inverted, number, "room-2", reference=earlier.digest)
        watch.monitor.observe(late)
    watch.monitor.settle()
    drifted_by_others = watch.worst("room-2")
    for number in range(15):
        watch.monitor.observe(see(inverted, number, "room-2", reference=later.digest))
    watch.monitor.settle()

    assert drifted_by_others == 0
    assert watch.worst("room-2") > 1
    assert watch.value("cxr_scanner_radiographs_total", scanner="room-2") == 30


@pytest.mark.parametrize("body", [b"", b"garbage", b"PK\x03\x04"])
def test_unreadable_state_is_reported_and_begun_anew(tmp_path: Path, body: bytes) -> None:
    (tmp_path / STATE).write_bytes(body)
    watch = Watch(tmp_path)

    with structlog.testing.capture_logs() as events:
        watch.monitor.use(open_comparison(FILES))

    assert [event["event"] for event in events] == ["drift.state_unreadable"]
    assert watch.worst("room-1") == 0
    watch.monitor.close()
