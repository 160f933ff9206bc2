"""Candidates are compared on a source that none of them learned from, without the test split."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from service.core.findings import FINDINGS, Finding
from tests.training.study_folders import FEW, NO_AUGMENT, tiny_config, write_manifest_folder
from training.acts.search import run_search, search_table
from training.acts.steps import Workplace
from training.config import ConfigInvalid, DataConfig, RunConfig
from training.data.dataset import load_dataset, subset
from training.data.index import index_studies
from training.data.sampling import source_priors
from training.data.sources import shared_with
from training.data.splits import trained_on, validated_on
from training.data.studies import NoStudies, Split, Study, select
from training.measures.results import RunIncomplete
from training.search.recipes import FOLD, Fold, Search, left_out_sources, run_fold, summarise

NORMAL, PNEUMONIA, TUBERCULOSIS = Finding.NORMAL, Finding.PNEUMONIA, Finding.TUBERCULOSIS


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest_folder(tmp_path_factory.mktemp("data"), FEW)


def study(source: str, finding: Finding, split: Split = Split.TRAIN) -> Study:
    return Study(f"{source}-{finding}-{split}", finding, split, source, f"{source}-{finding}")


STUDIES = (
    study("nih", NORMAL),
    study("nih", PNEUMONIA),
    study("qatar_kaggle", NORMAL, Split.TRAIN_OPTIONAL),
    study("qatar_kaggle", TUBERCULOSIS, Split.TRAIN_OPTIONAL),
    study("kermany", NORMAL),
    study("nih", NORMAL, Split.VAL),
)


def test_left_out_source_takes_its_patients_in_other_collections_along() -> None:
    config = DataConfig(include_optional=True, leave_out=("nih",))

    kept = trained_on(STUDIES, config)

    assert [(s.source, s.finding) for s in kept] == [
        ("qatar_kaggle", TUBERCULOSIS),
        ("kermany", NORMAL),
    ]
    assert shared_with(["kermany"]) == set()


def test_left_out_collection_takes_along_those_whose_patients_it_may_hold() -> None:
    config = DataConfig(include_optional=True, leave_out=("qatar_kaggle",))

    kept = trained_on(STUDIES, config)

    assert [(s.source, s.finding) for s in kept] == [("nih", PNEUMONIA), ("kermany", NORMAL)]


def test_epoch_is_not_chosen_by_what_may_be_of_patients_that_were_left_out() -> None:
    shared = study("qatar_kaggle", NORMAL, Split.VAL)
    other = study("kermany", NORMAL, Split.VAL)

    kept = validated_on([*STUDIES, shared, other], DataConfig(leave_out=("nih",)))

    assert kept == (other,)


def test_optional_images_are_trained_on_only_when_asked_for() -> None:
    sources = {s.source for s in trained_on(STUDIES, DataConfig(include_optional=False))}

    assert sources == {"nih", "kermany"}


def test_source_that_does_not_exist_cannot_be_left_out() -> None:
    with pytest.raises(NoStudies, match="shenzen"):
        trained_on(STUDIES, DataConfig(leave_out=("shenzen",)))


def with_prior(strength: float) -> RunConfig:
    optimiser = tiny_config().optimiser.model_copy(update={"source_prior": strength})
    return tiny_config(optimiser=optimiser)


def test_prior_says_what_the_source_alone_says_of_the_finding() -> None:
    studies = [study("one", TUBERCULOSIS), study("both", NORMAL), study("both", PNEUMONIA)]

    np.testing.assert_allclose(source_priors(studies, with_prior(0.0)), 1 / 3)
    half = source_priors(studies, with_prior(0.5))
    np.testing.assert_allclose(half[0], [1 / 6, 1 / 6, 4 / 6])
    np.testing.assert_allclose(half[1], [5 / 12, 5 / 12, 2 / 12])


def test_fold_measures_the_source_that_it_left_out(tmp_path: Path, data: Path) -> None:
    studies = index_studies(data)
    sources = left_out_sources(studies)
    pool_studies = select(studies, Split.TRAIN, Split.VAL)
    pool = load_dataset(data, pool_studies, tiny_config().preprocess)

    fold = run_fold(tiny_config(), sources[0], pool, tmp_path)

    assert fold.left_out == sources[0]
    assert set(fold.external)
    assert all(name.startswith(sources[0]) for name in fold.external)
    assert not any(name.startswith(sources[0]) for name in fold.internal)
    assert run_fold(tiny_config(), sources[0], pool, tmp_path) == fold


def test_search_is_resumed_and_never_reads_the_test_split(tmp_path: Path, data: Path) -> None:
    for path in [data / s.file for s in select(index_studies(data), Split.TEST)]:
        path.write_bytes(b"not an image")
    place = Workplace(data, tmp_path / "search", Console(quiet=True))

    first = run_search(place, [tiny_config()], [1])
    stamps = {path: path.stat().st_mtime_ns for path in place.run.rglob(FOLD)}
    again = run_search(place, [tiny_config()], [1])

    assert again == first
    assert {path: path.stat().st_mtime_ns for path in place.run.rglob(FOLD)} == stamps


def test_two_recipes_of_one_name_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "nowhere", tmp_path / "search", Console(quiet=True))
    other = tiny_config(augment=NO_AUGMENT)

    with pytest.raises(ConfigInvalid, match="tiny"):
        run_search(place, [tiny_config(), other], [1])


def test_fold_of_other_data_is_not_read_back(tmp_path: Path) -> None:
    few = {split: dict.fromkeys(FINDINGS, 10) for split in ("train", "val", "test")}
    more = {**few, "train": dict.fromkeys(FINDINGS, 12)}
    before = write_manifest_folder(tmp_path / "before", few)
    after = write_manifest_folder(tmp_path / "after", more)
    run_search(Workplace(before, tmp_path / "search", Console(quiet=True)), [tiny_config()], [1])

    with pytest.raises(RunIncomplete, match="another split"):
        run_search(Workplace(after, tmp_path / "search", Console(quiet=True)), [tiny_config()], [1])


def test_source_that_a_candidate_does_without_stays_away(tmp_path: Path, data: Path) -> None:
    config = tiny_config(data=DataConfig(leave_out=("west",)))
    studies = select(index_studies(data), Split.TRAIN, Split.VAL)
    pool = load_dataset(data, studies, config.preprocess)

    with pytest.raises(NoStudies):
        run_fold(config, "east", pool, tmp_path)


def test_search_without_a_source_to_leave_out_is_refused(tmp_path: Path) -> None:
    one = write_manifest_folder(tmp_path / "one", {**FEW, "val": {Finding.NORMAL: 12}})
    place = Workplace(one, tmp_path / "search", Console(quiet=True))

    with pytest.raises(NoStudies, match="left out"):
        run_search(place, [tiny_config()], [1])


def test_table_ranks_by_the_mean_over_left_out_sources_with_its_spread() -> None:
    fold = Fold(
        "poor", "d", 1, "a", 10, 60.0, 0.5, {"b: x vs normal": 0.9}, {"a: x vs normal": 0.5}
    )
    better = replace(fold, candidate="good", external={"a: x vs normal": 0.7})
    folds = (fold, better, replace(better, seed=2, external={"a: x vs normal": 0.9}))

    heading, rows = summarise(Search(folds))

    assert [row[0] for row in rows] == ["good", "poor"]
    assert rows[0][heading.index("mean, left out")] == "0.800 (sd 0.141)"
    assert rows[1][heading.index("mean, left out")] == "0.500"
    assert search_table(Search(folds)).row_count == 2


def test_subset_keeps_images_and_labels_together(data: Path) -> None:
    studies = index_studies(data)
    dataset = load_dataset(data, select(studies, Split.VAL), tiny_config().preprocess)
    chosen = [s for s in dataset.studies if s.finding is TUBERCULOSIS]

    part = subset(dataset, reversed(chosen))

    assert part.studies == tuple(chosen)
    assert set(part.targets) == {2}
    np.testing.assert_array_equal(part.pixels[0], dataset.pixels[dataset.studies.index(chosen[0])])
