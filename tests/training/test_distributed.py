"""Two processes train what one would: the same metrics, from every start and after every kill."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.study_folders import FEW, tiny_toml, write_manifest_folder
from training.checkpoint import WEIGHTS
from training.config import read_config
from training.data.dataset import load_dataset
from training.data.index import index_studies
from training.data.studies import Split, select
from training.distributed import Team, TeamMismatch, join_team
from training.fit import fit
from training.measures.results import LOG

ROOT = Path(__file__).parents[2]
LONGER = {"epochs": 4, "samples_per_epoch": 480}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest_folder(tmp_path_factory.mktemp("data"), FEW)


def together(data: Path, folder: Path) -> list[float]:
    """Validation losses of a run that two processes share."""
    toml = tiny_toml(folder / "tiny.toml", **LONGER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
               "-m", "training", "fit", "--config", str(toml), "--models", str(folder),
               "--data", str(data)]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights are in") == 1
    lines = (folder / "tiny" / LOG).read_text().splitlines()
    return [json.loads(line)["val_loss"] for line in lines]


def alone(data: Path, folder: Path, seed: int) -> list[float]:
    """The same of one process."""
    config = read_config(tiny_toml(folder / f"{seed}.toml", **LONGER))
    config = config.model_copy(update={"seed": seed})
    train, val = (
        load_dataset(data, select(index_studies(data), split), config.preprocess)
        for split in (Split.TRAIN, Split.VAL)
    )
    log = fit(config, train=train, val=val, folder=folder / f"alone-{seed}")
    return [epoch.val_loss for epoch in log]


def test_two_processes_train_as_well_as_one(tmp_path: Path, data: Path) -> None:
    lasts = [alone(data, tmp_path, seed)[-1] for seed in (0, 1, 2)]
    shared = together(data, tmp_path)

    noise = max(lasts) - min(lasts)
    assert abs(shared[-1] - float(np.mean(lasts))) <= 2 * noise
    assert shared[-1] < shared[0]
    assert (tmp_path / "tiny" / WEIGHTS).is_file()


def test_team_of_one_needs_no_launcher() -> None:
    team = join_team()

    assert (team.rank, team.size, team.is_leader) == (0, 1, True)
    assert team.mean(2.5) == team.leaders(2.5) == 2.5


def test_batch_that_cannot_be_shared_is_refused() -> None:
    alone = join_team()

    with pytest.raises(TeamMismatch, match="batch of 33"):
        Team(0, 2, alone.device).check_batch(33)
