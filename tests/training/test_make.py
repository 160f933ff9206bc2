"""`make` on a site of one source and few radiographs: what it goes without is told at once."""

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from service.core.artifact import Artifact, AuditVerdict, load_artifact
from service.core.errors import ArtifactMissing
from service.core.findings import FINDINGS
from tests.training.chains import copy_run
from tests.training.study_folders import (
    FEW,
    Counts,
    quiet,
    tiny_config,
    write_manifest_folder,
)
from training.acts.audit import AuditOptions
from training.acts.make import run_make
from training.acts.ood import run_ood
from training.acts.release import Wish, run_release
from training.acts.steps import Workplace
from training.audit.results import AUDIT, Audit
from training.checkpoint import WEIGHTS
from training.data.studies import NoStudies, Split
from training.drift.reference import Effort, TooFewImages
from training.manifest import EPOCH, TimeInvalid, Version
from training.measures.results import RunIncomplete, dump_record, load_record
from training.ood.absence import NO_DETECTOR, NoDetector
from training.ood.fitting import DetectorRefused
from training.release import ReleaseRefused

AUDITED = AuditOptions(images_per_group=6, draws=30, altered_images=6)
FEW_IMAGES = Effort(training_per_group=3, signature_images=2, streams=20, run_images=100)
REASON = "Drawn chests."


@dataclass(frozen=True, slots=True)
class Made:
    """What `make` left behind, and what it printed."""

    place: Workplace
    artifact: Artifact
    printed: str

    @property
    def card(self) -> str:
        return self.artifact.files["MODEL_CARD.md"].decode()


def write_site(folder: Path) -> Path:
    """The studies of one hospital alone, of whose ages it tells none."""
    data = write_manifest_folder(folder, FEW)
    with (data / "manifest.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    with (data / "manifest.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows([{**row, "source": "hospital", "age": ""} for row in rows])
    return data


def wish_for(store: Path, number: str = "0.0.1") -> Wish:
    version = Version(store, "cxr-tiny", number)
    return Wish(version, accepted_because=REASON, audit=AUDITED, draws=30, drift=FEW_IMAGES)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("site")
    printed = io.StringIO()
    console = Console(file=printed, width=400)
    place = Workplace(write_site(folder / "data"), folder / "run", console)
    artifact = run_make(place, tiny_config(), wish_for(folder / "store"))
    return Made(place, artifact, printed.getvalue())


@pytest.fixture
def untouched(tmp_path: Path) -> Workplace:
    """A place where nothing was trained yet."""
    return Workplace(write_site(tmp_path / "data"), tmp_path / "run", quiet())


def test_audit_of_one_source_says_that_none_could_be_left_out(made: Made) -> None:
    audit = load_record(made.place.run, AUDIT, Audit, "audit")
    transfer = audit.tests[2]

    assert transfer.verdict is AuditVerdict.NOT_RUN
    assert "no source could be left out: without hospital" in transfer.reasons[0]
    assert audit.verdict is not AuditVerdict.PASS
    assert f"Audit test *{transfer.name}* was not run: {transfer.reasons[0]}." in made.card


def test_version_of_few_radiographs_has_no_detector_and_says_so(made: Made) -> None:
    absent = load_record(made.place.run, NO_DETECTOR, NoDetector, "ood")

    assert made.artifact.manifest.out_of_distribution is None
    assert made.artifact.files[NO_DETECTOR] == dump_record(absent)
    assert "36 validation patients of 299 needed" in absent.reason
    assert f"**No out-of-distribution detector**: {absent.reason}." in made.card


def test_missing_detector_is_told_before_the_first_epoch(made: Made) -> None:
    told, began = made.printed.index("will have no detector"), made.printed.index("epoch 1/3")

    assert told < began


def test_card_of_one_source_speaks_of_no_others_and_has_no_empty_table(made: Made) -> None:
    assert "All images are of one source" in made.card
    assert "some collections hold one finding only" not in made.card
    assert "nan%" not in made.card
    assert "What they give on the test split:\n\nNothing: no threshold" in made.card
    assert "| --- |\n\n" not in made.card


def test_card_says_that_nobody_certifies_for_the_intended_use(made: Made) -> None:
    assert "| pneumonia flag | 0 | 0 | 12 | - | - | no |" in made.card


def test_act_alone_refuses_and_takes_an_earlier_detector_away(made: Made, tmp_path: Path) -> None:
    place = copy_run(made.place, tmp_path)
    for name in ("ood.npz", "ood.json"):
        (place.run / name).write_bytes(b"of other data")
    (place.run / NO_DETECTOR).unlink()

    with pytest.raises(DetectorRefused, match="too few radiographs"):
        run_ood(place, None)

    assert (place.run / NO_DETECTOR).is_file()
    assert not (place.run / "ood.npz").exists()
    assert not (place.run / "ood.json").exists()


@pytest.mark.parametrize("field", ["weights_digest", "config_digest", "split_digest"])
def test_missing_detector_of_another_run_is_not_released(
    made: Made, tmp_path: Path, field: str
) -> None:
    place = copy_run(made.place, tmp_path / "run")
    absent = load_record(place.run, NO_DETECTOR, NoDetector, "ood")
    other = replace(absent, **{field: "sha256:" + "0" * 64})
    (place.run / NO_DETECTOR).write_bytes(dump_record(other))

    with pytest.raises(RunIncomplete, match="cxr-train ood"):
        run_release(place, None, wish_for(tmp_path / "store"))


def test_detector_that_was_not_asked_for_is_told_too(made: Made, tmp_path: Path) -> None:
    place = copy_run(made.place, tmp_path / "run")
    (place.run / NO_DETECTOR).unlink()

    artifact = run_release(place, None, wish_for(tmp_path / "store"))

    assert "detector**: `cxr-train ood` was not run" in artifact.files["MODEL_CARD.md"].decode()


def test_version_that_exists_is_refused_before_anything_is_trained(
    made: Made, untouched: Workplace
) -> None:
    store = made.place.run.parent / "store"

    with pytest.raises(ReleaseRefused, match="never changes"):
        run_make(untouched, tiny_config(), wish_for(store))

    assert not untouched.run.exists()


@pytest.mark.parametrize("number", ["latest", "../1.0.0", "", "1.0.0/x", "1.0 0"])
def test_number_that_names_no_version_is_refused_before_anything_is_trained(
    untouched: Workplace, tmp_path: Path, number: str
) -> None:
    with pytest.raises(ReleaseRefused, match="names no version"):
        run_make(untouched, tiny_config(), wish_for(tmp_path / "store", number))

    assert not untouched.run.exists()


def test_version_to_compare_with_is_read_before_anything_is_trained(
    untouched: Workplace, tmp_path: Path
) -> None:
    wish = replace(wish_for(tmp_path / "store"), against=tmp_path / "nothing")

    with pytest.raises(ArtifactMissing):
        run_make(untouched, tiny_config(), wish)

    assert not untouched.run.exists()


def test_time_that_is_none_is_refused_before_anything_is_trained(
    untouched: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EPOCH, "tomorrow")

    with pytest.raises(TimeInvalid):
        run_make(untouched, tiny_config(), wish_for(tmp_path / "store"))

    assert not untouched.run.exists()


@pytest.mark.parametrize(
    ("counts", "error", "told"),
    [
        ({**FEW, "test": {}}, NoStudies, "no study in test"),
        ({**FEW, "val": {}}, NoStudies, "no study in val"),
        ({**FEW, "val": {FINDINGS[0]: 1}}, TooFewImages, "two or more validation images"),
    ],
)
def test_split_that_an_act_to_come_would_refuse_is_refused_before_anything_is_trained(
    tmp_path: Path, counts: Counts, error: type[Exception], told: str
) -> None:
    data = write_manifest_folder(tmp_path / "data", counts)
    place = Workplace(data, tmp_path / "run", quiet())

    with pytest.raises(error, match=told):
        run_make(place, tiny_config(), wish_for(tmp_path / "store"))

    assert not place.run.exists()


def test_version_of_one_source_is_whole(made: Made) -> None:
    folder = made.place.run.parent / "store" / "cxr-tiny" / "0.0.1"

    assert load_artifact(folder).digest == made.artifact.digest
    assert made.artifact.files[WEIGHTS] == (made.place.run / WEIGHTS).read_bytes()
    assert made.artifact.manifest.metrics
    assert Split.TEST in made.card
