"""`cxr-train`: what is said, and with which exit code, when something is missing."""

import re
from pathlib import Path
from urllib.error import URLError

import pytest

from service.core.artifact import Manifest
from service.core.findings import Finding
from tests.training.study_folders import tiny_toml, write_manifest_folder
from training import cli
from training.config import OptimiserConfig, RunConfig, read_config
from training.phantoms import draw_chest, encode_png8

CONFIGS = Path(cli.__file__).with_name("configs")
STORE = Path(__file__).parents[2] / "model_store"


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["cxr-train", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


@pytest.fixture(autouse=True)
def somewhere_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_DIR", raising=False)
    monkeypatch.delenv("MODELS_DIR", raising=False)


def test_help_lists_the_acts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0

    printed = capsys.readouterr().out
    for act in ("fit", "tune", "evaluate", "release", "schema"):
        assert act in printed


@pytest.mark.parametrize(
    ("act", "folder"), [("search", "default `search`"), ("simulate", "`tune`")]
)
def test_help_tells_of_the_run_what_the_act_does_with_it(
    act: str, folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")

    run(monkeypatch, act, "--help")

    about = next(line for line in capsys.readouterr().out.splitlines() if "--run" in line)
    assert folder in about
    assert "config's name" not in about


def test_missing_data_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_toml(tmp_path / "tiny.toml")

    assert run(monkeypatch, "fit", "--config", str(config), "--data", str(tmp_path / "no")) == 1

    printed = capsys.readouterr().err
    assert "is DATA_DIR right?" in printed
    assert "Traceback" not in printed


def test_misspelt_key_of_a_config_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.toml").write_text("epoch = 3\n")

    assert run(monkeypatch, "fit", "--config", "bad.toml") == 1
    assert "epoch" in capsys.readouterr().err


def test_recipe_without_a_view_is_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("blind.toml").write_text("views = []\n")

    assert run(monkeypatch, "fit", "--config", "blind.toml") == 1
    assert "views" in capsys.readouterr().err


def test_folder_that_is_called_like_a_configuration_is_not_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_manifest_folder(tmp_path / "tiny")
    config = tiny_toml(tmp_path / "tiny.toml", epochs=1, samples_per_epoch=16)
    before = sorted(data.iterdir())
    words = ["fit", "--config", str(config), "--data", str(data), "--threads", "1"]

    assert run(monkeypatch, *words) == 0

    assert sorted(data.iterdir()) == before
    assert (tmp_path / "runs" / "tiny" / "weights.safetensors").is_file()


def leaking_folder(folder: Path) -> Path:
    body = encode_png8(draw_chest(1, Finding.NORMAL, 96, 96))
    for name in ("train/normal/patient1.png", "val/normal/patient1.png", "test/normal/a.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body + name.encode())
    return folder


def test_leak_that_can_be_dropped_names_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, data = tiny_toml(tmp_path / "tiny.toml"), leaking_folder(tmp_path / "data")

    assert run(monkeypatch, "fit", "--config", str(config), "--data", str(data)) == 1
    assert "--drop-leaks leaves out of training" in capsys.readouterr().err


def test_leak_between_val_and_test_names_no_option_that_would_not_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, data = tiny_toml(tmp_path / "tiny.toml"), leaking_folder(tmp_path / "data")
    (data / "test/normal/a.png").rename(data / "test/normal/patient1.png")

    assert run(monkeypatch, "fit", "--config", str(config), "--data", str(data)) == 1
    assert "--drop-leaks" not in capsys.readouterr().err


def test_whole_chain_drops_leaks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, data = tiny_toml(tmp_path / "tiny.toml"), leaking_folder(tmp_path / "data")
    words = ["make", "--config", str(config), "--data", str(data), "--version", "1.0.0"]

    assert run(monkeypatch, *words, "--drop-leaks") == 1
    assert "no study in train" in capsys.readouterr().err


def test_missing_config_file_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "fit", "--config", "no.toml") == 1
    assert "no.toml" in capsys.readouterr().err


@pytest.mark.parametrize("act", ["tune", "evaluate"])
def test_act_without_a_run_asks_for_one(
    act: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, act) == 2
    assert "--run" in capsys.readouterr().err


def test_tuning_an_unknown_run_names_the_act_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "tune", "--run", "nobody") == 1
    assert "cxr-train fit" in capsys.readouterr().err


def test_evaluation_on_the_training_split_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "evaluate", "--run", "x", "--split", "train") == 2
    assert "test" in capsys.readouterr().err


def test_unreachable_imagenet_weights_say_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest_folder(tmp_path / "data")
    (tmp_path / "big.toml").write_text(
        'architecture = "resnet50"\nimagenet = true\n[preprocess]\nside_px = 32\n'
    )

    def unreachable(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    assert run(monkeypatch, "fit", "--config", "big.toml", "--data", "data") == 1
    assert "imagenet = false" in " ".join(capsys.readouterr().err.split())


def test_places_come_from_the_environment_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest_folder(tmp_path / "chests")
    tiny_toml(tmp_path / "tiny.toml", epochs=1, samples_per_epoch=16)
    (tmp_path / ".env").write_text("DATA_DIR=chests\nMODELS_DIR=made\n")

    assert run(monkeypatch, "fit", "--config", "tiny.toml", "--threads", "1") == 0

    assert (tmp_path / "made" / "tiny" / "weights.safetensors").is_file()
    assert "epoch 1/1" in capsys.readouterr().out


def test_schema_is_that_of_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "schema") == 0
    printed = capsys.readouterr().out

    assert run(monkeypatch, "schema", "--output", "schema.json") == 0
    assert (tmp_path / "schema.json").read_text() == printed
    for name in Manifest.model_fields:
        assert f'"{name}"' in printed


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_committed_configuration_is_valid_and_named_after_its_run(path: Path) -> None:
    assert read_config(path).name == path.stem


def test_config_digest_follows_every_field() -> None:
    longer = RunConfig(optimiser=OptimiserConfig(epochs=21))

    assert RunConfig().digest() == RunConfig().digest()
    assert RunConfig().digest() != longer.digest()
    assert RunConfig().digest() != RunConfig(seed=1).digest()


def test_configurations_beside_the_search_are_those_of_released_versions() -> None:
    released = {
        f"{path.parent.parent.name}-{path.parent.name}" for path in STORE.glob("*/*/*.json")
    }

    assert {path.stem for path in CONFIGS.glob("*.toml")} == released


def test_page_of_training_names_configurations_that_are_there() -> None:
    page = (STORE.parent / "docs" / "training.md").read_text("utf-8")
    named = set(re.findall(r"training/configs/([\w./-]+\.toml)", page))

    assert "cxr-triage-1.0.0.toml" in named
    assert [name for name in named if not (CONFIGS / name).is_file()] == []


def test_a_refusal_keeps_what_stands_in_square_brackets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["cxr-train", "tune", "--run", str(tmp_path / "run[old]")])

    with pytest.raises(SystemExit):
        cli.main()

    assert "run[old]" in capsys.readouterr().err
