"""What drift remembers on disk comes back as it was, after a switch of the model too."""

import json
from pathlib import Path

import numpy as np
import pytest

from service.core.drift import WINDOW_IMAGES, Detector
from service.drift_state import STATE, DriftState, ScannerState, load_state, save_state
from tests.support.drift import small_reference, stream

REFERENCE = "digest"
EARLIER_IMAGES = 1000
"""Of the same scanner, with the model before."""


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(small_reference())


def remembered(detector: Detector, images: int) -> DriftState:
    """A scanner that was there before the model was switched, and so many images after it."""
    track = detector.start()
    for number, values in enumerate(stream(images)):
        detector.update(track, values, float(number))
    scanner = ScannerState(
        track=track, images=EARLIER_IMAGES + images, devices={"software": ["a", "b"]}
    )
    return DriftState(REFERENCE, scanners={"room-1": scanner})


def as_before(path: Path) -> None:
    """As a release left it that wrote no count of the track, and one device a part."""
    with np.load(path) as arrays:
        kept = dict(arrays)
    notes = json.loads(kept["notes"].tobytes())
    for note in notes["scanners"].values():
        del note["track_images"]
        note["devices"] = {part: digests[-1] for part, digests in note["devices"].items()}
    kept["notes"] = np.frombuffer(json.dumps(notes).encode(), np.uint8)
    np.savez(path, allow_pickle=False, **kept)


@pytest.mark.parametrize("images", [0, 12, WINDOW_IMAGES + 7])
@pytest.mark.parametrize("is_old", [False, True], ids=["this release", "the release before"])
def test_track_goes_on_where_it_was(
    detector: Detector, tmp_path: Path, images: int, is_old: bool
) -> None:
    before = remembered(detector, images)
    save_state(tmp_path / STATE, before)
    if is_old:
        as_before(tmp_path / STATE)

    after = load_state(tmp_path / STATE, REFERENCE, detector)

    old, new = before.scanners["room-1"], after.scanners["room-1"]
    assert old.track is not None
    assert new.track is not None
    assert new.devices == {"software": ["b"] if is_old else ["a", "b"]}
    assert (new.images, new.track.images) == (EARLIER_IMAGES + images, images)
    np.testing.assert_array_equal(
        new.track.recent(WINDOW_IMAGES), old.track.recent(WINDOW_IMAGES), strict=True
    )


def test_track_whose_images_were_put_in_wrong_places_begins_anew(
    detector: Detector, tmp_path: Path
) -> None:
    state = remembered(detector, 12)
    track = state.scanners["room-1"].track
    assert track is not None
    track.images = EARLIER_IMAGES + 12  # as the release before read it back
    for values in stream(3):
        detector.update(track, values, 20.0)
    save_state(tmp_path / STATE, state)
    as_before(tmp_path / STATE)

    after = load_state(tmp_path / STATE, REFERENCE, detector)

    assert after.scanners["room-1"].track is None
    assert after.scanners["room-1"].images == EARLIER_IMAGES + 12
