"""Drawn chests: readable, in scope, different by finding, and the same every time."""

import numpy as np
import pytest

from service.core.findings import Finding
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import FileFormat
from service.core.scope import IntendedUse, check_scope
from training.phantoms import draw_chest, encode_dicom, encode_png16, golden_uploads

SPEC = PreprocessSpec(side_px=64)


def test_golden_uploads_are_the_same_bytes_each_time() -> None:
    assert golden_uploads() == golden_uploads()


def test_golden_uploads_hold_every_kind_of_file_and_are_in_scope() -> None:
    radiographs = [read_radiograph(upload) for upload in golden_uploads()]

    for radiograph in radiographs:
        check_scope(radiograph, IntendedUse())

    assert len(radiographs) >= 4
    assert {radiograph.file_format for radiograph in radiographs} == set(FileFormat)


def test_sixteen_bit_png_is_read_as_it_was_drawn() -> None:
    grey = draw_chest(1, Finding.NORMAL)

    assert np.array_equal(read_radiograph(encode_png16(grey)).grey, grey)


def test_inverted_dicom_is_the_same_picture() -> None:
    grey = draw_chest(1, Finding.PNEUMONIA)
    plain, inverted = (
        preprocess(read_radiograph(encode_dicom(grey, inverted=flag)), SPEC)
        for flag in (False, True)
    )

    assert np.abs(plain - inverted).max() < 0.01


@pytest.mark.parametrize("finding", [Finding.PNEUMONIA, Finding.TUBERCULOSIS])
def test_opacities_are_brighter_than_the_normal_chest(finding: Finding) -> None:
    normal, ill = draw_chest(5, Finding.NORMAL), draw_chest(5, finding)

    assert ill.mean() > normal.mean()
