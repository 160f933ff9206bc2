"""What is damaged or misspelt is told in one line, with exit code 1, before hours are spent."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from service.core.findings import FINDINGS
from service.core.network import build_network
from tests.training.study_folders import FEW, tiny_config, tiny_toml, write_manifest_folder
from training import cli
from training.audit.results import AUDIT, Audit
from training.checkpoint import (
    CHECKPOINT,
    WEIGHTS,
    RunDamaged,
    read_weights,
    save_checkpoint,
    save_weights,
)
from training.config import ConfigInvalid, read_config
from training.data.sources import SourcesInvalid, read_sources
from training.manifest import EPOCH, TimeInvalid, time_of_making
from training.measures.results import CONFIG, LOG, SPLIT, RunIncomplete, load_record
from training.scoring import load_run
from training.search.transfer import is_complete

NOISE = b"\xff\xfe\x00noise\x80"
Refusal = Callable[..., str]


@pytest.fixture(autouse=True)
def somewhere_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATA_DIR", "MODELS_DIR", EPOCH):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Run a command that must end with exit code 1; gives the one line that it leaves."""

    def run(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["cxr-train", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert stopped.value.code == 1
        return line

    return run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run as `fit` leaves it, of weights that learned nothing."""
    folder, config = tmp_path / "runs" / "tiny", tiny_config()
    folder.mkdir(parents=True)
    save_weights(folder, build_network(config.architecture, findings=len(FINDINGS)).state_dict())
    (folder / CONFIG).write_text(config.model_dump_json())
    return folder


def test_damaged_weights_are_named(refused: Refusal, run_folder: Path) -> None:
    (run_folder / WEIGHTS).write_bytes(NOISE)

    assert f"{WEIGHTS} is damaged" in refused("tune", "--run", "tiny")


def test_weights_that_were_cut_are_named(run_folder: Path) -> None:
    body = (run_folder / WEIGHTS).read_bytes()
    (run_folder / WEIGHTS).write_bytes(body[: len(body) // 2])

    with pytest.raises(RunDamaged, match=WEIGHTS):
        read_weights(run_folder)


@pytest.mark.parametrize(
    ("name", "write"), [(WEIGHTS, save_weights), (CHECKPOINT, save_checkpoint)]
)
def test_full_disk_is_told_as_one(name: str, write: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / f"{name}.part").symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, {"weight": torch.zeros(9)})

    assert not (tmp_path / name).exists()


def test_damaged_configuration_of_a_run_is_named(run_folder: Path) -> None:
    (run_folder / CONFIG).write_bytes(NOISE)

    with pytest.raises(RunIncomplete, match=CONFIG) as told:
        load_run(run_folder)

    assert "\n" not in str(told.value)


def test_split_that_is_no_text_is_no_known_split(
    tmp_path: Path, refused: Refusal, run_folder: Path
) -> None:
    write_manifest_folder(tmp_path / "data", FEW)
    (run_folder / SPLIT).write_bytes(NOISE)

    assert "another split" in refused("tune", "--run", "tiny")


def test_damaged_checkpoint_is_named(tmp_path: Path, refused: Refusal) -> None:
    write_manifest_folder(tmp_path / "data", FEW)
    config = tiny_toml(tmp_path / "tiny.toml")
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    (tmp_path / "runs" / "tiny" / CHECKPOINT).write_bytes(NOISE)

    assert f"{CHECKPOINT} is damaged" in refused("fit", "--config", str(config))


@pytest.mark.parametrize("body", [b'{"x": 1}', NOISE, b"[]", b""])
def test_record_of_another_shape_is_one_line_that_names_its_act(
    run_folder: Path, body: bytes
) -> None:
    (run_folder / AUDIT).write_bytes(body)

    with pytest.raises(RunIncomplete, match=r"audit\.json is not what `cxr-train audit`") as told:
        load_record(run_folder, AUDIT, Audit, "audit")

    assert "\n" not in str(told.value)


def test_a_fold_with_a_damaged_configuration_is_trained_anew(run_folder: Path) -> None:
    (run_folder / CONFIG).write_bytes(NOISE)
    (run_folder / LOG).write_bytes(NOISE)

    assert not is_complete(tiny_config(), run_folder)


@pytest.mark.parametrize(("members", "there"), [(1, "tiny has 0"), (3, "tiny has 0, 1, 2")])
def test_member_that_is_not_there_is_refused_before_the_data_are_read(
    tmp_path: Path, refused: Refusal, members: int, there: str
) -> None:
    config = tiny_toml(tmp_path / "tiny.toml")
    config.write_text(f"members = {members}\n{config.read_text()}")

    line = refused("fit", "--config", str(config), "--member", "99")

    assert "no member has the seed 99" in line
    assert there in line


@pytest.mark.parametrize("body", [NOISE, b"epochs", b"seed = 1\nseed = 2\n", b'seed = "many"\n'])
def test_configuration_that_cannot_be_read_is_named(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "run.toml").write_bytes(body)

    with pytest.raises(ConfigInvalid, match=r"run\.toml: ") as told:
        read_config(tmp_path / "run.toml")

    assert "\n" not in str(told.value)


def test_environment_file_that_is_no_text_is_named(
    tmp_path: Path, refused: Refusal, run_folder: Path
) -> None:
    (tmp_path / ".env").write_bytes(NOISE)

    assert ".env" in refused("tune", "--run", "tiny")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'[east]\nname = "East"\nlicence = "CC0"\n', "east.citation"),
        (b"[east]\nmay_hold = 3\n", "east"),
        (b"east = 1\n", "east"),
        (NOISE, "utf-8"),
    ],
)
def test_list_of_collections_that_lacks_something_is_named(
    tmp_path: Path, body: bytes, fault: str
) -> None:
    (tmp_path / "sources.toml").write_bytes(body)

    with pytest.raises(SourcesInvalid, match=fault):
        read_sources(tmp_path / "sources.toml")


@pytest.mark.parametrize("text", ["yesterday", "1e9", "99999999999999999999"])
def test_time_that_is_no_number_of_seconds_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(EPOCH, text)

    with pytest.raises(TimeInvalid, match=text):
        time_of_making()
