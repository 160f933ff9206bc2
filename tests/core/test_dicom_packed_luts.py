"""Tables of 8 bits, two entries to a word: the first in its low byte, whatever the byte order."""

from typing import Any

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from service.core.intake import read_radiograph
from service.core.radiograph import Grey
from tests.support.dicom_damage import palette_tags
from tests.support.radiographs import build_lut, chest_levels, dicom_bytes

LEVELS = chest_levels(96, 80, bits=8).astype(np.uint8)
STEEP = ((np.arange(256) * 37) % 256).astype(np.uint8)
"""Neighbours far apart, so that none can stand in for the other."""


def in_words_of(octets: bytes, transfer_syntax: str) -> bytes:
    """As OW is sent: low byte first, or last in big endian."""
    order = ">u2" if transfer_syntax == ExplicitVRBigEndian else "<u2"
    return np.frombuffer(octets, "<u2").astype(order).tobytes()


def read_grey(transfer_syntax: str, **options: Any) -> Grey:
    body = dicom_bytes(LEVELS, bits_stored=8, transfer_syntax=transfer_syntax, **options)
    return read_radiograph(body).grey


@pytest.mark.parametrize("transfer_syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_voi_lut_of_packed_entries_is_read_in_either_byte_order(transfer_syntax: str) -> None:
    lut = build_lut((range(256), 0, 8))
    lut["LUTData"].value = in_words_of(STEEP.tobytes(), transfer_syntax)

    grey = read_grey(transfer_syntax, tags={"VOILUTSequence": [lut]})

    np.testing.assert_array_equal(grey, STEEP[LEVELS].astype(np.uint16) * 257)


@pytest.mark.parametrize("transfer_syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_palette_of_packed_entries_is_read_in_either_byte_order(transfer_syntax: str) -> None:
    tags = palette_tags()
    data = in_words_of(STEEP.tobytes(), transfer_syntax)
    tags |= {f"{name}PaletteColorLookupTableData": data for name in ("Red", "Green", "Blue")}

    grey = read_grey(transfer_syntax, photometric="PALETTE COLOR", tags=tags)

    np.testing.assert_array_equal(grey, STEEP[LEVELS].astype(np.uint16) * 257)
