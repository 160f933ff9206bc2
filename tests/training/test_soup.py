"""Several runs become one network: the mean of their weights, whoever trained them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.study_folders import FEW, tiny_config, write_manifest_folder
from training.checkpoint import WEIGHTS
from training.data.dataset import Dataset, load_dataset
from training.data.index import index_studies
from training.data.studies import Split, select
from training.measures.results import CONFIG, MEMBERS
from training.soup import Members, fit_members, list_members, member_table

Splits = tuple[Dataset, Dataset]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    data = write_manifest_folder(tmp_path_factory.mktemp("data"), FEW)
    studies, spec = index_studies(data), tiny_config().preprocess
    train, val = (load_dataset(data, select(studies, s), spec) for s in (Split.TRAIN, Split.VAL))
    return train, val


def make(folder: Path, splits: Splits, only: int | None = None) -> Members | None:
    config = tiny_config(members=2, seed=5)
    return fit_members(config, train=splits[0], val=splits[1], folder=folder, only=only)


def test_weights_are_the_mean_of_the_members(tmp_path: Path, splits: Splits) -> None:
    members = make(tmp_path, splits)

    first, second = (load_file(tmp_path / f"seed-{seed}" / WEIGHTS) for seed in (5, 6))
    mean = load_file(tmp_path / WEIGHTS)
    assert members is not None
    assert set(members.runs) == {5, 6}
    for name, tensor in mean.items():
        expected = (first[name].double() + second[name].double()) / 2
        assert torch.equal(tensor, expected.half())
        assert not torch.equal(first[name], second[name])
    assert (tmp_path / CONFIG).is_file()
    assert (tmp_path / MEMBERS).is_file()
    assert member_table(members).row_count == 3


def test_members_trained_apart_give_the_same_mean(tmp_path: Path, splits: Splits) -> None:
    make(tmp_path / "together", splits)

    assert make(tmp_path / "apart", splits, only=6) is None
    assert not (tmp_path / "apart" / WEIGHTS).exists()
    make(tmp_path / "apart", splits)

    together, apart = ((tmp_path / name / WEIGHTS).read_bytes() for name in ("together", "apart"))
    assert together == apart


def test_member_that_is_not_there_is_refused(tmp_path: Path, splits: Splits) -> None:
    with pytest.raises(ValueError, match="seed 9"):
        make(tmp_path, splits, only=9)


def test_one_member_is_the_run_itself(tmp_path: Path, splits: Splits) -> None:
    config = tiny_config()

    assert fit_members(config, train=splits[0], val=splits[1], folder=tmp_path) is None

    assert (tmp_path / WEIGHTS).is_file()
    assert list_members(config) == (config,)
