"""A copy of a radiograph is no second patient: not for a threshold, nor for an interval."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.core.artifact import Purpose
from service.core.findings import Finding
from training.data.index import index_studies, survey_folder
from training.data.lots import one_per_patient
from training.data.patients import patients_of
from training.data.splits import SplitLeak
from training.data.studies import Split, Study
from training.measures.operating import count_patients
from training.tune import tune_finding

PATIENTS = 20
FILMS = tuple(
    Study(f"{n}.png", Finding.TUBERCULOSIS, Split.VAL, "east", f"file:{n}.png", sha256=f"{n:064d}")
    for n in range(PATIENTS)
)
COPIES = tuple(
    replace(film, file=f"copy-of-{film.file}", patient_id=f"file:copy-of-{film.file}")
    for film in FILMS
)


def write(folder: Path, name: str, body: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def test_copies_certify_no_threshold_that_their_patients_do_not() -> None:
    studies = FILMS + COPIES
    scores_nf = np.tile(np.array([0.1, 0.1, 0.8], np.float32), (len(studies), 1))

    flag, _ = tune_finding(Finding.TUBERCULOSIS, scores_nf, studies, "sha256:" + "0" * 64)

    assert flag.purpose is Purpose.FLAG
    assert flag.positives == PATIENTS
    assert flag.threshold is None


def test_patients_who_share_a_file_are_one_with_all_their_files() -> None:
    own = [
        Study(f"own-{n}.png", Finding.NORMAL, Split.VAL, "east", name, sha256=f"f{n}")
        for n, name in enumerate(["b", "a", "c"])
    ]
    shared = [replace(own[0], file=f"{n}.png", patient_id=n, sha256="e") for n in ("c", "b")]

    assert patients_of([*own, *shared]) == ("b", "a", "b", "b", "b")
    assert count_patients([*own, *shared]) == 2
    assert len(one_per_patient([*own, *shared])) == 2


def test_order_of_the_list_joins_nobody_else() -> None:
    studies = (*FILMS, *COPIES)

    turned = patients_of(studies[::-1])[::-1]

    assert turned == patients_of(studies)


def test_files_without_a_digest_are_their_patients_own() -> None:
    studies = [replace(study, sha256=None) for study in FILMS + COPIES]

    assert patients_of(studies) == tuple(study.patient_id for study in studies)


def test_copies_are_told_and_keep_the_patients_that_they_name(tmp_path: Path) -> None:
    write(tmp_path, "val/normal/a.png", b"one")
    write(tmp_path, "val/normal/b.png", b"one")
    write(tmp_path, "val/normal/c.png", b"other")

    survey = survey_folder(tmp_path)

    assert any("make 2 patients of 3" in note for note in survey.notes)
    assert len({study.patient_id for study in survey.studies}) == 3


def test_one_picture_under_two_names_and_two_labels_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train/normal/a.png", b"one")
    write(tmp_path, "train/pneumonia/b.png", b"one")

    with pytest.raises(SplitLeak, match=r"a\.png and .*b\.png .*normal and pneumonia"):
        index_studies(tmp_path)
