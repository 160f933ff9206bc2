"""Studies read and preprocessed with the functions that serve requests.

Axes: N images, S side of the square.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.errors import CxrError
from service.core.findings import FINDINGS
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import Pixels, Radiograph
from training.data.studies import Study


class StudyUnreadable(ValueError):
    """A file of the study index cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Preprocessed studies in memory: pixels (N, 1, S, S) float32, targets (N,) int64."""

    studies: tuple[Study, ...]
    pixels: Pixels
    targets: NDArray[np.int64]


def load_dataset(
    folder: Path,
    studies: Sequence[Study],
    spec: PreprocessSpec,
    on_images: Callable[[int], None] = lambda images: None,
) -> Dataset:
    """Read and preprocess every study with the functions that serve requests.

    Raises
    ------
    StudyUnreadable
        A file cannot be read, or its bytes are not those that the manifest names.
    """

    def load(study: Study) -> Pixels:
        return load_item(folder, study, spec)

    pixels = np.empty((len(studies), 1, spec.side_px, spec.side_px), np.float32)
    with ThreadPoolExecutor() as pool:
        for index, item in enumerate(pool.map(load, studies)):
            pixels[index] = item
            on_images(1)
    return Dataset(tuple(studies), pixels, targets_of(studies))


def load_item(folder: Path, study: Study, spec: PreprocessSpec) -> Pixels:
    """One training item (1, S, S): bit for bit what the service would hand to its batcher."""
    return preprocess(read_study(folder, study), spec)


def read_study(folder: Path, study: Study) -> Radiograph:
    """Read one file as an upload would be read.

    Raises
    ------
    StudyUnreadable
        It is not there, does not decode, or is not the file that the manifest names.
    """
    try:
        body = (folder / study.file).read_bytes()
        radiograph = read_radiograph(body)
    except (OSError, CxrError) as error:
        raise StudyUnreadable(f"{study.file}: {error}") from error
    if study.sha256 and hashlib.sha256(body).hexdigest() != study.sha256:
        raise StudyUnreadable(f"{study.file} is not the file that the manifest names")
    return radiograph


def targets_of(studies: Sequence[Study]) -> NDArray[np.int64]:
    """(N,) place of each study's label in `FINDINGS`."""
    return np.array([FINDINGS.index(study.finding) for study in studies], np.int64)


def subset(dataset: Dataset, studies: Iterable[Study]) -> Dataset:
    """Some studies of a dataset, in its order."""
    chosen = set(studies)
    places = [index for index, study in enumerate(dataset.studies) if study in chosen]
    return Dataset(
        tuple(dataset.studies[index] for index in places),
        dataset.pixels[places],
        dataset.targets[places],
    )
