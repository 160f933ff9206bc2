"""The study index: both layouts, patients from file names, and leaks."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.core.findings import Finding
from service.core.preprocess import PreprocessSpec
from tests.training.study_folders import FEW, write_class_folders, write_manifest_folder
from training.data.dataset import StudyUnreadable, load_dataset
from training.data.index import index_studies, survey_folder
from training.data.sampling import sampling_weights
from training.data.splits import SplitLeak, check_splits, is_split, split_digest
from training.data.studies import NoStudies, Split, Study, select
from training.phantoms import draw_chest, encode_dicom

SPEC = PreprocessSpec(side_px=64)
IMAGES = sum(sum(findings.values()) for findings in FEW.values())


def write_file(folder: Path, name: str, body: bytes = b"") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body or name.encode())


def patient_of(folder: Path, name: str) -> str:
    write_file(folder, f"train/pneumonia/{name}")
    return next(s.patient_id for s in index_studies(folder) if s.file.endswith(name))


def study(split: Split, patient: str = "p", **changes: object) -> Study:
    base = Study(f"{split}-{patient}.png", Finding.NORMAL, split, "east", patient)
    return replace(base, **changes)  # type: ignore[arg-type]  # the fields of Study


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person123_bacteria_456.jpeg", "person123_bacteria"),
        ("person123_virus_12.jpeg", "person123_virus"),
        ("IM-0115-0001.jpeg", "im-0115"),
        ("NORMAL2-IM-1427-0001.jpeg", "normal2-im-1427"),
        ("NORMAL2-IM-0374-0001-0002.jpeg", "normal2-im-0374"),
        ("CHNCXR_0001_0.png", "chncxr_0001"),
        ("MCUCXR_0301_1.png", "mcucxr_0301"),
        ("00000013_005.png", "00000013"),
        ("Tuberculosis-12.png", "file:train/pneumonia/Tuberculosis-12.png"),
        ("Normal-12.png", "file:train/pneumonia/Normal-12.png"),
        ("image12.png", "file:train/pneumonia/image12.png"),
    ],
)
def test_file_names_of_the_public_sets_tell_the_patient(
    tmp_path: Path, name: str, patient: str
) -> None:
    assert patient_of(tmp_path, name) == patient


def test_same_number_in_bacteria_and_virus_is_another_patient(tmp_path: Path) -> None:
    write_file(tmp_path, "train/PNEUMONIA/person1_bacteria_1.jpeg")
    write_file(tmp_path, "test/PNEUMONIA/person1_virus_6.jpeg")

    assert len(index_studies(tmp_path)) == 2


def test_same_running_number_in_two_splits_is_no_leak(tmp_path: Path) -> None:
    write_file(tmp_path, "train/tuberculosis/Tuberculosis-1.png")
    write_file(tmp_path, "test/tuberculosis/Tuberculosis-1.png")

    assert len(index_studies(tmp_path)) == 2


def test_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_file(tmp_path, "train/pneumonia/person7_virus_1.jpeg")
    write_file(tmp_path, "test/pneumonia/person7_virus_2.jpeg")

    with pytest.raises(SplitLeak, match="person7_virus is in test, train"):
        index_studies(tmp_path)


def test_same_bytes_under_two_names_are_refused(tmp_path: Path) -> None:
    write_file(tmp_path, "train/normal/a.png", b"same")
    write_file(tmp_path, "val/normal/b.png", b"same")

    with pytest.raises(SplitLeak, match="file digest"):
        index_studies(tmp_path)


def test_dropping_leaks_takes_them_out_of_training_only(tmp_path: Path) -> None:
    write_file(tmp_path, "train/pneumonia/person7_virus_1.jpeg")
    write_file(tmp_path, "train/pneumonia/person8_virus_1.jpeg")
    write_file(tmp_path, "test/pneumonia/person7_virus_2.jpeg")

    studies = index_studies(tmp_path, drop_leaks=True)

    assert {s.file for s in select(studies, Split.TEST)} == {"test/pneumonia/person7_virus_2.jpeg"}
    assert {s.file for s in select(studies, Split.TRAIN)} == {
        "train/pneumonia/person8_virus_1.jpeg"
    }


def test_leak_between_val_and_test_cannot_be_dropped(tmp_path: Path) -> None:
    write_file(tmp_path, "val/pneumonia/person7_virus_1.jpeg")
    write_file(tmp_path, "test/pneumonia/person7_virus_2.jpeg")

    with pytest.raises(SplitLeak):
        index_studies(tmp_path, drop_leaks=True)


def test_patient_in_the_optional_set_and_in_test_is_refused() -> None:
    with pytest.raises(SplitLeak):
        check_splits([study(Split.TRAIN_OPTIONAL), study(Split.TEST)])


def test_both_layouts_are_read_whole(tmp_path: Path) -> None:
    folders = index_studies(write_class_folders(tmp_path / "folders"))
    manifest = index_studies(write_manifest_folder(tmp_path / "manifest"))

    assert len(folders) == len(manifest) == IMAGES
    assert {s.source for s in folders} == {"folders"}
    assert {s.source for s in manifest} == {"east", "west"}


def test_empty_folder_names_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(NoStudies, match=r"manifest.csv.*DATA_DIR"):
        index_studies(tmp_path)


def test_unknown_label_names_its_line(tmp_path: Path) -> None:
    header = "split,file,label,source,patient_id\n"
    (tmp_path / "manifest.csv").write_text(header + "train,a.png,covid,nih,nih:1\n")

    with pytest.raises(NoStudies, match="line 2"):
        index_studies(tmp_path)


def test_changed_file_is_refused(tmp_path: Path) -> None:
    studies = index_studies(write_manifest_folder(tmp_path))
    (tmp_path / studies[0].file).write_bytes((tmp_path / studies[1].file).read_bytes())

    with pytest.raises(StudyUnreadable, match=studies[0].file):
        load_dataset(tmp_path, studies[:2], SPEC)


def test_broken_file_is_named(tmp_path: Path) -> None:
    write_file(tmp_path, "train/normal/a.png", b"\x89PNG\r\n\x1a\n rubbish")

    with pytest.raises(StudyUnreadable, match=r"train/normal/a.png"):
        load_dataset(tmp_path, index_studies(tmp_path), SPEC)


def test_dataset_holds_pixels_and_targets_in_order(tmp_path: Path) -> None:
    studies = index_studies(write_manifest_folder(tmp_path))
    done: list[int] = []

    dataset = load_dataset(tmp_path, studies, SPEC, done.append)

    assert dataset.pixels.shape == (IMAGES, 1, 64, 64)
    assert dataset.pixels.dtype == np.float32
    assert [s.finding for s in studies[::12]] == list(Finding) * 3
    assert dataset.targets[::12].tolist() == [0, 1, 2] * 3
    assert sum(done) == IMAGES


def test_small_groups_are_drawn_more_often_than_their_share() -> None:
    crowd = [study(Split.TRAIN, f"a{i}") for i in range(90)]
    rare = [study(Split.TRAIN, f"b{i}", source="west") for i in range(10)]

    weights = sampling_weights([*crowd, *rare])

    assert weights.sum() == pytest.approx(1)
    assert weights[90:].sum() == pytest.approx(0.25)


def test_split_digest_ignores_order_and_sees_every_change() -> None:
    studies = [study(Split.TRAIN, "a"), study(Split.TEST, "b")]
    moved = [study(Split.TRAIN, "a"), study(Split.VAL, "b", file=studies[1].file)]

    assert split_digest(studies) == split_digest(studies[::-1])
    assert split_digest(studies) != split_digest(moved)


CHEST = draw_chest(5, Finding.NORMAL, 96, 96)


def write_dicom(folder: Path, name: str, seed: int = 0, **tags: str) -> None:
    write_file(folder, name, encode_dicom(CHEST + np.uint16(16 * seed), tags=tags))


def test_patient_of_the_tags_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_dicom(tmp_path, "train/normal/a.dcm", 1, PatientID="HOSP-1")
    write_dicom(tmp_path, "test/normal/b.dcm", 2, PatientID="HOSP-1 ")

    with pytest.raises(SplitLeak, match="dicom:") as caught:
        index_studies(tmp_path)
    assert "HOSP-1" not in str(caught.value)


def test_equal_numbers_of_two_issuers_are_two_patients(tmp_path: Path) -> None:
    write_dicom(tmp_path, "train/normal/a.dcm", 1, PatientID="7", IssuerOfPatientID="east")
    write_dicom(tmp_path, "test/normal/b.dcm", 2, PatientID="7", IssuerOfPatientID="west")

    assert len(index_studies(tmp_path)) == 2


def test_age_sex_and_view_come_from_the_tags(tmp_path: Path) -> None:
    write_dicom(tmp_path, "train/normal/a.dcm", PatientSex="F", ViewPosition="AP")

    (found,) = index_studies(tmp_path)

    assert (found.age_years, found.sex, found.view) == (45.0, "F", "AP")


def test_studies_whose_patient_nothing_tells_are_counted(tmp_path: Path) -> None:
    write_dicom(tmp_path, "train/normal/a.dcm", 1, PatientID="")
    write_dicom(tmp_path, "train/normal/IM-0115-0001.dcm", 2, PatientID="")
    write_dicom(tmp_path, "train/normal/b.dcm", 3, PatientID="HOSP-1")
    write_file(tmp_path, "train/normal/image12.png")

    (note,) = survey_folder(tmp_path).notes

    assert note.startswith("unproved: of 2 of 4 studies")


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"ViewPosition": "LL"}, "VIEW_LATERAL"),
        ({"PatientAge": "003Y"}, "AGE_OUT_OF_SCOPE"),
        ({"NumberOfFrames": "2"}, "MULTI_FRAME"),
    ],
)
def test_what_the_service_refuses_by_its_tags_is_left_out(
    tmp_path: Path, tags: dict[str, str], reason: str
) -> None:
    write_dicom(tmp_path, "test/normal/a.dcm", 1, PatientID="1", **tags)
    write_dicom(tmp_path, "test/normal/b.dcm", 2, PatientID="2")

    survey = survey_folder(tmp_path)

    assert [s.file for s in survey.studies] == ["test/normal/b.dcm"]
    assert survey.notes[0].endswith(f"{reason} 1")


def test_a_lateral_of_a_manifest_is_left_out(tmp_path: Path) -> None:
    write_dicom(tmp_path, "a.dcm", 1, ViewPosition="LL")
    write_dicom(tmp_path, "b.dcm", 2)
    header = "split,file,label,source,patient_id\n"
    rows = "test,a.dcm,normal,east,1\ntest,b.dcm,normal,east,2\n"
    (tmp_path / "manifest.csv").write_text(header + rows)

    assert [s.file for s in index_studies(tmp_path)] == ["b.dcm"]


HEADER = "split,file,label,source,patient_id\n"


def write_manifest(folder: Path, rows: str, header: str = HEADER) -> Path:
    (folder / "manifest.csv").write_text(header + rows)
    return folder


def test_same_bytes_are_refused_where_a_manifest_has_no_digests(tmp_path: Path) -> None:
    write_file(tmp_path, "a.png", b"same")
    write_file(tmp_path, "b.png", b"same")
    write_manifest(tmp_path, "train,a.png,normal,east,1\ntest,b.png,normal,east,2\n")

    with pytest.raises(SplitLeak, match="file digest"):
        index_studies(tmp_path)


def test_one_file_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, "train,a.png,normal,east,1\ntest,a.png,normal,east,2\n")

    with pytest.raises(SplitLeak, match=r"file a.png is in test, train"):
        index_studies(tmp_path)


def test_one_file_with_two_labels_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, "train,a.png,normal,east,1\ntrain,a.png,pneumonia,east,1\n")

    with pytest.raises(SplitLeak, match=r"a.png is labelled normal and pneumonia"):
        index_studies(tmp_path)


def test_a_blank_around_a_patient_id_makes_no_other_patient(tmp_path: Path) -> None:
    write_manifest(tmp_path, "train,a.png,normal,east,1\ntest,b.png,normal,east,1 \n")

    with pytest.raises(SplitLeak, match="patient 1"):
        index_studies(tmp_path)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("train,a.png,normal,east", "line 2: patient_id is empty; `file:`"),
        ("train,a.png,normal,,1", "line 2: source is empty"),
        ("train,a.png,normal,east,1,x", "line 2: more cells than columns"),
        ("train,a.png,normal,east," + "x" * 140_000, "line 1: field larger"),
        ("train,a.png,covid,east,1", "line 2: 'covid' is not a valid Finding; expected normal"),
    ],
)
def test_a_row_that_is_not_whole_is_refused(tmp_path: Path, row: str, told: str) -> None:
    with pytest.raises(NoStudies, match=told):
        index_studies(write_manifest(tmp_path, row + "\n"))


@pytest.mark.parametrize("age", ["nan", "inf", "-5"])
def test_an_age_that_no_one_has_is_refused(tmp_path: Path, age: str) -> None:
    header = HEADER.strip() + ",age\n"

    with pytest.raises(NoStudies, match=f"line 2: age {age}"):
        index_studies(write_manifest(tmp_path, f"train,a.png,normal,east,1,{age}\n", header))


def test_a_missing_column_is_named_beside_those_found(tmp_path: Path) -> None:
    header = "split;file;label;source;patient_id\n"

    with pytest.raises(NoStudies, match=r"missing column split.*found split;file"):
        index_studies(write_manifest(tmp_path, "", header))


def test_a_manifest_of_excel_is_read_and_another_encoding_refused(tmp_path: Path) -> None:
    text = HEADER.strip() + ",sha256\ntrain,a.png,normal,east,M\u00fc," + "AB" * 32 + "\n"
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8-sig")
    (found,) = index_studies(tmp_path)
    (tmp_path / "manifest.csv").write_text(text, encoding="latin-1")

    assert (found.split, found.sha256) == (Split.TRAIN, "ab" * 32)
    with pytest.raises(NoStudies, match=r"manifest.csv is not UTF-8"):
        index_studies(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"source": "x"}, {"sha256": "0" * 64}, {"tier": "B"}, {"age_years": 3.0}, {"sex": "F"},
     {"view": "AP"}],
)  # fmt: skip
def test_split_digest_binds_what_the_evidence_is_grouped_by(change: dict[str, object]) -> None:
    assert split_digest([study(Split.TEST)]) != split_digest([study(Split.TEST, **change)])  # type: ignore[arg-type]  # the fields of Study


def test_the_digest_of_an_earlier_release_still_names_its_split() -> None:
    studies = [study(Split.TEST)]
    lines = "test\ttest-p.png\tnormal\tp"

    assert is_split("sha256:" + hashlib.sha256(lines.encode()).hexdigest(), studies)
    assert is_split(split_digest(studies), studies)
    assert not is_split("sha256:" + "0" * 64, studies)
