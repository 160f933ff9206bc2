"""The training loop: learns, repeats itself exactly, and survives being killed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.study_folders import FEW, quiet, tiny_config, tiny_toml, write_manifest_folder
from training.acts.steps import Workplace, run_fit
from training.checkpoint import CHECKPOINT, WEIGHTS, RunDamaged
from training.config import OptimiserConfig, RunConfig, Sampling, read_config
from training.data.dataset import Dataset, load_dataset
from training.data.index import index_studies
from training.data.studies import Split, select
from training.fit import Epoch, RunDiverged, RunMismatch, fit
from training.measures.results import CONFIG, LOG, RunIncomplete

ROOT = Path(__file__).parents[2]
LONG = {"epochs": 5, "samples_per_epoch": 1600}
"""Epochs long enough for a kill to arrive within one."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest_folder(tmp_path_factory.mktemp("data"), FEW)


@pytest.fixture(scope="module")
def splits(data: Path) -> tuple[Dataset, Dataset]:
    studies = index_studies(data)
    spec = tiny_config().preprocess
    train, val = (load_dataset(data, select(studies, s), spec) for s in (Split.TRAIN, Split.VAL))
    return train, val


def train_in(folder: Path, splits: tuple[Dataset, Dataset], config: RunConfig) -> tuple[Epoch, ...]:
    return fit(config, train=splits[0], val=splits[1], folder=folder)


def test_loss_falls_and_the_best_weights_are_kept(
    tmp_path: Path, splits: tuple[Dataset, Dataset]
) -> None:
    log = train_in(tmp_path, splits, tiny_config())

    assert log[-1].train_loss < log[0].train_loss
    assert (tmp_path / WEIGHTS).is_file()
    assert RunConfig.model_validate_json((tmp_path / CONFIG).read_bytes()) == tiny_config()


def test_same_seed_gives_the_same_losses_and_weights(
    tmp_path: Path, splits: tuple[Dataset, Dataset]
) -> None:
    first = train_in(tmp_path / "a", splits, tiny_config())
    second = train_in(tmp_path / "b", splits, tiny_config())

    assert first == second
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()


def test_another_seed_gives_other_losses(tmp_path: Path, splits: tuple[Dataset, Dataset]) -> None:
    first = train_in(tmp_path / "a", splits, tiny_config())
    second = train_in(tmp_path / "b", splits, tiny_config(seed=1))

    assert first[0].train_loss != second[0].train_loss


def test_natural_sampling_shows_every_image_once_an_epoch(
    tmp_path: Path, splits: tuple[Dataset, Dataset]
) -> None:
    data = tiny_config().data.model_copy(update={"sampling": Sampling.NATURAL})

    log = train_in(tmp_path, splits, tiny_config(data=data))

    assert len(log) == 3


def test_finished_run_is_left_alone(tmp_path: Path, splits: tuple[Dataset, Dataset]) -> None:
    log = train_in(tmp_path, splits, tiny_config())
    before = (tmp_path / WEIGHTS).read_bytes()

    again = train_in(tmp_path, splits, tiny_config())

    assert again == log
    assert (tmp_path / WEIGHTS).read_bytes() == before


def test_finished_run_whose_weights_are_gone_is_not_called_finished(
    tmp_path: Path, splits: tuple[Dataset, Dataset]
) -> None:
    train_in(tmp_path, splits, tiny_config())
    (tmp_path / WEIGHTS).unlink()

    with pytest.raises(RunDamaged, match=f"remove {CHECKPOINT}, and it begins anew"):
        train_in(tmp_path, splits, tiny_config())


def test_folder_of_another_configuration_is_refused(
    tmp_path: Path, splits: tuple[Dataset, Dataset]
) -> None:
    train_in(tmp_path, splits, tiny_config())

    with pytest.raises(RunMismatch):
        train_in(tmp_path, splits, tiny_config(seed=1))


def test_diverging_run_stops_and_keeps_no_weights(
    tmp_path: Path, splits: tuple[Dataset, Dataset]
) -> None:
    optimiser = OptimiserConfig(epochs=1, batch_images=16, learning_rate=1e30, warmup_epochs=0)

    with pytest.raises(RunDiverged, match="epoch 0"):
        train_in(tmp_path, splits, tiny_config(optimiser=optimiser))

    assert not (tmp_path / WEIGHTS).exists()


def test_killed_run_continues_as_if_nothing_had_happened(tmp_path: Path, data: Path) -> None:
    config = tiny_toml(tmp_path / "tiny.toml", **LONG)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    kill_after_epoch(2, data, config, killed)
    assert len((killed / LOG).read_text().splitlines()) < LONG["epochs"]

    for folder in (killed, whole):
        run_fit(Workplace(data, folder, quiet()), read_config(config))

    assert read_log(killed) == read_log(whole)
    assert len(read_log(whole)) == LONG["epochs"]
    assert (killed / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


def test_run_is_not_continued_on_another_split(tmp_path: Path, data: Path) -> None:
    place = Workplace(data, tmp_path / "run", quiet())
    run_fit(place, tiny_config())
    fewer = {**FEW, "val": dict.fromkeys(FEW["val"], 6)}
    other = write_manifest_folder(tmp_path / "other", fewer)

    with pytest.raises(RunIncomplete, match="another split"):
        run_fit(Workplace(other, tmp_path / "run", quiet()), tiny_config())


def kill_after_epoch(epoch: int, data: Path, config: Path, folder: Path) -> None:
    """Start `cxr-train fit` and send SIGKILL as soon as it tells of an epoch."""
    options = ["--config", str(config), "--data", str(data), "--run", f"{folder}", "--threads", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "training", "fit", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        seen = next((line for line in process.stdout if line.startswith(f"epoch {epoch}/")), None)
        process.kill()
    assert seen is not None


def read_log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
