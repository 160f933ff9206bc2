"""A server is started with its own settings, waited for, and stopped with all that it started."""

import json
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from bench.contenders import FIELDS, PEERS, is_installed, ours, peer, running
from bench.peers.network import PATIENCE_SECONDS
from bench.traffic import Plan
from tests.bench.servers import answering, broken


def told_by(folder: Path) -> tuple[int, dict[str, str]]:
    """The id of its child, and its environment."""
    child, environment = json.loads((folder / "told.json").read_text("utf-8"))
    return child, environment


def test_server_answers_while_it_runs_and_is_gone_with_its_children(tmp_path: Path) -> None:
    with running(answering(tmp_path), b"probe") as server:
        answer = httpx.post(server.url, content=b"a picture")
        child, _ = told_by(tmp_path)
        was_alive = psutil.pid_exists(child)
        used, resident = server.cpu_seconds(), server.resident_bytes()

    assert answer.status_code == 200
    assert was_alive
    assert not psutil.pid_exists(child)
    assert not server.process.is_running()
    assert used > 0
    assert resident > psutil.Process().memory_info().rss / 100
    with pytest.raises(httpx.ConnectError):
        httpx.post(server.url, content=b"a picture")


def test_server_that_ends_is_refused_with_its_last_words() -> None:
    with (
        pytest.raises(RuntimeError, match="broken does not answer: no model here"),
        running(broken(), b"probe"),
    ):
        pytest.fail("it never answered")


def test_settings_of_whoever_measures_do_not_reach_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_MODE", "shadow")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")

    with running(answering(tmp_path, CXR_LOG_LEVEL="warning", PEER_PORT="{port}"), b"") as server:
        _, environment = told_by(tmp_path)

    assert "CXR_MODE" not in environment
    assert "OMP_NUM_THREADS" not in environment
    assert environment["CXR_LOG_LEVEL"] == "warning"
    assert f":{environment['PEER_PORT']}/" in server.url


def test_ours_keeps_its_record_in_the_folder_it_is_given(tmp_path: Path) -> None:
    contender = ours(tmp_path / "store", tmp_path, CXR_BATCH__MAX_QUEUED="64")

    assert contender.environment["CXR_RECORD__URL"] == f"sqlite:///{tmp_path}/shadow.db"
    assert contender.environment["CXR_BATCH__MAX_QUEUED"] == "64"
    assert contender.field_name is None


def test_ours_stands_in_the_environment_that_serves_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.contenders.ROOT", tmp_path)
    assert ours(tmp_path / "store", tmp_path).command[0] == sys.executable

    python = tmp_path / ".venv-cpu" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()

    assert ours(tmp_path / "store", tmp_path).command[0] == str(python)


@pytest.mark.parametrize("name", PEERS)
def test_peer_gets_the_network_its_port_and_its_form(tmp_path: Path, name: str) -> None:
    contender = peer(name, "torch", tmp_path / "model.onnx")

    assert contender.name == f"{name} (torch)"
    assert contender.environment["PEER_ONNX"] == str(tmp_path / "model.onnx")
    assert contender.environment["PEER_PORT"] == "{port}"
    assert contender.field_name == FIELDS.get(name)
    assert Path(contender.command[1]).is_file()


def test_peer_without_an_environment_is_not_installed() -> None:
    assert not is_installed("nobody")


def test_nobody_gives_up_before_the_load_generator_does() -> None:
    ours_seconds = ours(Path("store"), Path()).environment["CXR_SERVER__DEADLINE_SECONDS"]

    assert Plan("").drain_seconds <= PATIENCE_SECONDS == int(ours_seconds)


@pytest.mark.parametrize("name", ["bentoml", "litserve", "mosec"])
def test_peer_whose_default_is_shorter_is_told_to_be_patient(name: str) -> None:
    script = peer(name, "torch", Path("model.onnx")).command[1]

    assert "PATIENCE_SECONDS" in Path(script).read_text("utf-8").partition("PATIENCE_SECONDS,")[2]
