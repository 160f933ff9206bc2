"""The head of a JPEG: what a reader would step through for minutes is refused by its length."""

import pytest

from service.core.errors import DamagedFile
from service.core.intake import read_radiograph
from service.core.jpeg import MOST_IDLE_BYTES, MOST_PREVIEWS, check_head
from tests.support.radiographs import chest_levels, jpeg_bytes

JPEG = jpeg_bytes(chest_levels(96, 80, bits=8).astype("u1"))
EXIF = b"\xff\xe1\0\x16Exif\0\0II*\0\x08\0\0\0" + bytes(6)
PHOTOSHOP = b"\xff\xed\0\x10Photoshop 3.0\0"


def with_head(extra: bytes) -> bytes:
    """The picture with something behind its first marker."""
    return JPEG[:2] + extra + JPEG[2:]


@pytest.mark.parametrize(
    "idle", [b"\xff", b"\xff\0", b"\xff\xd0"], ids=["fill bytes", "stuffed bytes", "restarts"]
)
def test_head_of_idle_bytes_is_refused(idle: bytes) -> None:
    with pytest.raises(DamagedFile, match="fill bytes"):
        read_radiograph(with_head(idle * MOST_IDLE_BYTES + idle))


@pytest.mark.parametrize("segment", [EXIF, PHOTOSHOP], ids=["EXIF", "Photoshop"])
def test_head_of_very_many_previews_is_refused(segment: bytes) -> None:
    with pytest.raises(DamagedFile, match="EXIF"):
        read_radiograph(with_head(segment * (MOST_PREVIEWS + 1)))


def test_idle_bytes_without_any_marker_are_refused() -> None:
    with pytest.raises(DamagedFile, match="fill bytes"):
        check_head(JPEG[:2] + b"\xff" * (2 * MOST_IDLE_BYTES))


@pytest.mark.parametrize(
    "extra",
    [b"\xff" * 4096, EXIF * 3, PHOTOSHOP * 9, b"\xff\xfe\0\x04\xff\xff"],
    ids=["a page of fill bytes", "EXIF in parts", "Photoshop in parts", "a comment of FF"],
)
def test_head_that_encoders_write_is_read(extra: bytes) -> None:
    read = read_radiograph(with_head(extra))

    assert (read.grey == read_radiograph(JPEG).grey).all()


def test_bytes_behind_the_head_are_not_counted() -> None:
    read = read_radiograph(JPEG + b"\xff" * (2 * MOST_IDLE_BYTES))

    assert (read.grey == read_radiograph(JPEG).grey).all()
