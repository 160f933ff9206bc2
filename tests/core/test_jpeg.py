"""A JPEG that lacks blocks is damage, whatever libjpeg paints in their place."""

import imagecodecs
import numpy as np
import pytest

from service.core.errors import DamagedFile, UnsupportedPixelFormat
from service.core.intake import read_radiograph
from tests.support.radiographs import chest_levels, jpeg_bytes

LEVELS_8 = chest_levels(75, 85, bits=8).astype(np.uint8)
GREY_RGB = np.dstack([LEVELS_8] * 3)
END = b"\xff\xd9"
SCAN = b"\xff\xda"
PICTURES = {
    "grey": jpeg_bytes(LEVELS_8, progressive=True),
    "RGB": jpeg_bytes(GREY_RGB, progressive=True),
    "restart intervals": jpeg_bytes(LEVELS_8, progressive=True, restart_marker_blocks=5),
    "lossless": bytes(imagecodecs.jpeg8_encode(LEVELS_8, lossless=True, bitspersample=8)),
    "sequential with restart intervals": jpeg_bytes(LEVELS_8, restart_marker_blocks=5),
}
SEQUENTIAL = {"sequential grey": jpeg_bytes(LEVELS_8), "sequential RGB": jpeg_bytes(GREY_RGB)}


COLLIMATED = LEVELS_8.copy()
COLLIMATED[64:] = COLLIMATED[:, 76:] = 0
"""Its last block is flat, so that every scan is read on."""

ENDS = {
    "fill byte": b"\xff" + END,
    "fill bytes": b"\xff" * 1_000 + END,
    "zeros behind": END + bytes(512),
    "one byte behind": END + b"\0",
    "fill bytes behind": END + b"\xff" * 3,
    "fill bytes before and behind": b"\xff\xff" + END + b"\xff\xff",
    "text behind": END + b"\r\nacquired 10:42",
    "another end behind": END + END,
    "another picture behind": END + jpeg_bytes(LEVELS_8),
}
"""How cameras and gateways end a picture; T.81 B.1.1.2 allows any number of fill bytes."""

LEVELS_12 = chest_levels(75, 85)


def with_process(marker: int) -> bytes:
    """A JPEG whose frame header names another process."""
    return jpeg_bytes(LEVELS_8).replace(b"\xff\xc0", bytes((0xFF, marker)))


def cut(body: bytes, share: float) -> bytes:
    """Its beginning, with an end-of-image marker put back."""
    return body[: int(len(body) * share)] + END


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("name", PICTURES)
def test_picture_that_was_cut_is_damaged_and_not_scored(name: str, share: float) -> None:
    with pytest.raises(DamagedFile, match="jpeg data"):
        read_radiograph(cut(PICTURES[name], share))


@pytest.mark.parametrize("name", PICTURES)
def test_whole_picture_is_read(name: str) -> None:
    grey = read_radiograph(PICTURES[name]).grey

    assert np.corrcoef(grey.ravel(), LEVELS_8.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 5}])
def test_whole_picture_may_end_in_other_ways(end: str, options: dict[str, bool | int]) -> None:
    body = jpeg_bytes(COLLIMATED, **options)

    grey = read_radiograph(body[:-2] + ENDS[end]).grey

    np.testing.assert_array_equal(grey, read_radiograph(body).grey)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", [*PICTURES, *SEQUENTIAL])
def test_cut_picture_is_damaged_however_it_ends(end: str, name: str) -> None:
    body = {**PICTURES, **SEQUENTIAL}[name]

    with pytest.raises(DamagedFile, match="jpeg data"):
        read_radiograph(body[: len(body) * 7 // 10] + ENDS[end])


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("name", [*PICTURES, *SEQUENTIAL])
def test_cut_picture_is_damaged_with_a_restart_before_its_end(number: int, name: str) -> None:
    body = {**PICTURES, **SEQUENTIAL}[name]

    with pytest.raises(DamagedFile, match="jpeg data"):
        read_radiograph(body[: len(body) * 7 // 10] + bytes((0xFF, 0xD0 + number)) + END)


@pytest.mark.parametrize("count", [2, 20_000])
@pytest.mark.parametrize("name", [*PICTURES, *SEQUENTIAL])
def test_picture_whose_end_was_overwritten_by_zeros_is_damaged(count: int, name: str) -> None:
    body = {**PICTURES, **SEQUENTIAL}[name]

    with pytest.raises(DamagedFile, match="jpeg data"):
        read_radiograph(body[: -max(2, count // 50)] + bytes(count))


@pytest.mark.parametrize("scans", range(1, 6))
def test_progression_that_stops_after_a_whole_scan_is_damaged(scans: int) -> None:
    body = PICTURES["grey"]
    starts = [at for at in range(len(body)) if body.startswith(SCAN, at)]
    tables = body.rindex(b"\xff\xc4", 0, starts[scans])

    with pytest.raises(DamagedFile, match="jpeg data"):
        read_radiograph(body[:tables] + END)


def test_middle_scan_that_lacks_blocks_is_damaged() -> None:
    body = PICTURES["grey"]
    starts = [at for at in range(len(body)) if body.startswith(SCAN, at)]
    tables = body.rindex(b"\xff\xc4", 0, starts[2])

    with pytest.raises(DamagedFile, match="jpeg data"):
        read_radiograph(body[: tables - 100] + body[tables:])


@pytest.mark.parametrize("body", [PICTURES["grey"], jpeg_bytes(LEVELS_8)])
def test_cut_that_leaves_half_a_marker_is_noticed(body: bytes) -> None:
    half = body.rindex(b"\xff\x00", 0, len(body) * 2 // 3) + 1

    with pytest.raises(DamagedFile, match="jpeg data"):
        read_radiograph(body[:half] + END)


def test_cut_picture_before_a_whole_one_is_damaged() -> None:
    body = jpeg_bytes(LEVELS_8)

    with pytest.raises(DamagedFile, match="jpeg data"):
        read_radiograph(cut(body, 0.7) + body)


def test_cut_that_spares_half_of_the_last_row_of_blocks_is_noticed() -> None:
    rows = np.random.default_rng(1).integers(0, 255, (73, 85), np.uint8)
    body = jpeg_bytes(rows, restart_marker_blocks=1)
    last_row = body.rindex(b"\xff\xd3", 0, body.rindex(b"\xff\xd3") - 20)

    with pytest.raises(DamagedFile, match="jpeg data"):
        read_radiograph(body[:last_row] + END)


def test_lossless_picture_is_exact_and_not_called_lossy() -> None:
    read = read_radiograph(PICTURES["lossless"])

    np.testing.assert_array_equal(read.grey, LEVELS_8.astype(np.uint16) * 257)
    assert {caution.code for caution in read.cautions} == {"NO_METADATA"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (imagecodecs.jpeg8_encode(LEVELS_12, bitspersample=12), "12 bits"),
        (imagecodecs.jpeg8_encode(LEVELS_12, lossless=True, bitspersample=16), "16 bits"),
        (imagecodecs.jpegls_encode(LEVELS_12), "JPEG-LS"),
        (imagecodecs.jpegls_encode(LEVELS_8), "JPEG-LS"),
        (with_process(0xC9), "arithmetic"),
        (with_process(0xC5), "hierarchical"),
    ],
    ids=["12 bit", "lossless, 16 bit", "JPEG-LS, 12 bit", "JPEG-LS", "arithmetic", "hierarchical"],
)
def test_sound_jpeg_that_is_not_read_here_is_not_called_damaged(body: bytes, said: str) -> None:
    with pytest.raises(UnsupportedPixelFormat, match=said):
        read_radiograph(body)


@pytest.mark.parametrize("count", [100, 2_000])
def test_more_scans_than_any_encoder_writes_are_not_decoded(count: int) -> None:
    body = PICTURES["grey"]
    scan = body[body.rindex(b"\xff\xc4", 0, body.rindex(SCAN)) : -2]

    with pytest.raises(DamagedFile, match="more than"):
        read_radiograph(body[:-2] + scan * count + END)


def test_segments_without_end_before_the_picture_are_not_walked() -> None:
    body = PICTURES["grey"]

    with pytest.raises(DamagedFile, match="segments"):
        read_radiograph(body[:2] + b"\xff\xef\0\2" * 2_000 + body[2:])
