"""A training item and what the service hands to its batcher are equal, bit for bit."""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.findings import Finding
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import Grey
from training.data.dataset import load_dataset, load_item
from training.data.studies import Split, Study
from training.phantoms import (
    draw_chest,
    encode_dicom,
    encode_jpeg,
    encode_png8,
    encode_png16,
)

ENCODERS: dict[str, Callable[[Grey], bytes]] = {
    "png": encode_png8,
    "16.png": encode_png16,
    "jpeg": encode_jpeg,
    "dcm": encode_dicom,
    "inverted.dcm": lambda grey: encode_dicom(grey, inverted=True),
}
SPECS = (PreprocessSpec(side_px=64), PreprocessSpec(side_px=128, trim_level_ratio=0.1))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    finding=st.sampled_from(Finding),
    rows=st.integers(64, 200),
    columns=st.integers(64, 200),
    kind=st.sampled_from(sorted(ENCODERS)),
    spec=st.sampled_from(SPECS),
)
def test_training_item_is_what_the_service_would_score(
    seed: int, finding: Finding, rows: int, columns: int, kind: str, spec: PreprocessSpec
) -> None:
    body = ENCODERS[kind](draw_chest(seed, finding, rows, columns))
    served = preprocess(read_radiograph(body), spec)

    with tempfile.TemporaryDirectory() as folder:
        study = write_study(Path(folder), f"chest.{kind}", body)
        item = load_item(Path(folder), study, spec)
        dataset = load_dataset(Path(folder), [study, study], spec)

    assert item.dtype == served.dtype == np.float32
    assert np.array_equal(item, served)
    assert np.array_equal(dataset.pixels, np.stack([served, served]))


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_no_kind_of_file_comes_out_empty(kind: str) -> None:
    body = ENCODERS[kind](draw_chest(3, Finding.PNEUMONIA))

    pixels = preprocess(read_radiograph(body), SPECS[0])

    assert pixels.min() == 0
    assert pixels.max() == 1
    assert pixels.std() > 0.1


def write_study(folder: Path, name: str, body: bytes) -> Study:
    (folder / name).write_bytes(body)
    digest = hashlib.sha256(body).hexdigest()
    return Study(name, Finding.NORMAL, Split.TRAIN, "east", "p", digest)
