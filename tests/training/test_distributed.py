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
from training.distributed import Team, TeamMismatch, join_team
from training.results import LOG

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest_folder(tmp_path_factory.mktemp("data"), FEW)


def train(data: Path, folder: Path, *, processes: int, seed: int = 0) -> list[dict[str, float]]:
    config = tiny_toml(folder.with_suffix(".toml"), epochs=4, samples_per_epoch=480)
    config.write_text(f"seed = {seed}\n" + config.read_text())
    words = ["-m", "training", "fit", "--config", str(config), "--models", str(folder)]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), *words, "--data", str(data)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    folder.mkdir()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights are in") == 1
    return [json.loads(line) for line in (folder / "tiny" / LOG).read_text().splitlines()]


def test_two_processes_train_as_well_as_one(tmp_path: Path, data: Path) -> None:
    alone = [train(data, tmp_path / f"one-{seed}", processes=1, seed=seed) for seed in (0, 1, 2)]
    together = train(data, tmp_path / "two", processes=2)

    losses = [log[-1]["val_loss"] for log in alone]
    noise = max(losses) - min(losses)
    assert abs(together[-1]["val_loss"] - float(np.mean(losses))) <= 2 * noise
    assert together[-1]["val_loss"] < together[0]["val_loss"]
    assert (tmp_path / "two" / "tiny" / WEIGHTS).is_file()


def test_team_of_one_needs_no_launcher() -> None:
    team = join_team()

    assert (team.rank, team.size, team.is_leader) == (0, 1, True)
    assert team.mean(2.5) == team.leaders(2.5) == 2.5


def test_batch_that_cannot_be_shared_is_refused() -> None:
    alone = join_team()

    with pytest.raises(TeamMismatch, match="batch of 33"):
        Team(0, 2, alone.device).check_batch(33)
