"""The engine that opens while the rest of the program is imported."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from service import verified_engine
from service.core.artifact import load_current, write_current
from service.core.inference import Forward
from service.engine.base import Engine
from service.engine.openvino import OpenVinoEngine
from service.environment import read_settings
from service.verified_engine import HeadStart, open_verified_engine, open_whole_engine
from tests.support.apps import running_service
from tests.support.models import build_tiny_artifact


@pytest.fixture
def site(tiny_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings as a process finds them; the log stays as the tests have it."""
    monkeypatch.setenv("CXR_MODEL__STORE", str(tiny_store))
    monkeypatch.setattr(verified_engine, "set_up_logs", lambda _level: None)
    return tiny_store


def test_it_hands_over_a_proven_engine_once(site: Path) -> None:
    artifact = load_current(site)
    side_px = artifact.manifest.preprocess.side_px
    head_start = HeadStart()

    engine = head_start.take(artifact)

    assert engine is not None
    scores = engine.forward(np.zeros((2, 1, side_px, side_px), np.float32))
    engine.close()
    assert np.isfinite(scores.logits).all()
    assert head_start.take(artifact) is None


def test_what_it_read_is_not_read_twice_unless_another_version_was_promoted(
    site: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(site, store)
    head_start = HeadStart()

    read = head_start.artifact(store)
    write_current(store, load_current(build_tiny_artifact(tmp_path / "other", seed=1)))

    assert read is not None
    assert read.digest == load_current(site).digest
    assert head_start.artifact(store) is None
    assert head_start.artifact(site) is read
    engine = head_start.take(read)
    assert engine is not None
    engine.close()


def test_every_way_to_score_is_proven_before_a_version_is_promoted(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven: list[Forward] = []
    monkeypatch.setattr(verified_engine, "prove", lambda _, forward: proven.append(forward))

    open_whole_engine(read_settings(), load_current(site)).close()

    assert len(proven) == 1


def test_another_version_gets_none_and_the_engine_is_closed(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Engine] = []
    other = load_current(build_tiny_artifact(tmp_path / "other", seed=1))
    assert other.digest != load_current(site).digest

    def close(engine: Engine) -> None:
        closed.append(engine)

    monkeypatch.setattr(OpenVinoEngine, "close", close)

    assert HeadStart().take(other) is None
    assert len(closed) == 1


def test_a_model_that_is_refused_is_left_to_the_ordinary_way(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = load_current(site)
    monkeypatch.setenv("CXR_MODEL__STORE", str(tmp_path))

    head_start = HeadStart()

    assert head_start.artifact(tmp_path) is None
    assert head_start.take(artifact) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("CXR_NO_SUCH_SETTING", "1"), ("CXR_RECORD__URL", "mysql://cxr@localhost/cxr")],
)
def test_settings_that_are_refused_are_left_to_the_ordinary_way(
    name: str, value: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = load_current(site)
    monkeypatch.setenv(name, value)

    head_start = HeadStart()

    assert head_start.artifact(site) is None
    assert head_start.take(artifact) is None


@pytest.mark.parametrize(
    "variables",
    [{"CXR_ENGINE__NAME": "torch"}, {"CXR_ENGINE__DEVICE": "cuda"}, {"CXR_MODEL__PUBLIC_KEY": "k"}],
)
def test_what_imports_packages_of_its_own_is_left_to_the_ordinary_way(
    variables: dict[str, str], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = load_current(site)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with capture_logs() as told:
        assert HeadStart().take(artifact) is None

    assert told == []


def test_the_process_opens_one_engine(tiny_store: Path, tmp_path: Path) -> None:
    with running_service(tiny_store, tmp_path) as service:
        assert service.stop(signal.SIGTERM) == 0

    lines = (tmp_path / "service.log").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events.count("engine.opened") == 1
    assert events.index("engine.opened") < events.index("service.started")


def test_no_head_start_opens_the_engine_all_the_same(site: Path) -> None:
    with capture_logs() as told:
        open_verified_engine(read_settings(), load_current(site)).close()

    assert [entry["event"] for entry in told] == ["engine.opened"]
