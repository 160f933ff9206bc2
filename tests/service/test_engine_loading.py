"""Only the released model serves, on the engine that was asked for."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.core.artifact import (
    CURRENT,
    GOLDEN,
    MANIFEST,
    ONNX,
    WEIGHTS,
    Artifact,
    Tolerance,
    load_current,
)
from service.core.errors import ArtifactError, ArtifactInvalid, ArtifactMissing, SelfTestFailed
from service.core.tta import TtaView
from service.engine import loading
from service.engine.base import EngineUnavailable
from service.engine.loading import finish_engine, open_engine
from service.engine.openvino import OpenVinoEngine
from service.engine.torch import (
    TorchEngine,
)
from tests.support.models import (
    TinyChoices,
    build_files,
    build_tiny_artifact,
    describe,
    write_version,
)
from tests.support.tiny_network import build_onnx, draw_weights


@pytest.fixture(scope="module")
def openvino(artifact: Artifact) -> OpenVinoEngine:
    return OpenVinoEngine(artifact)


# ---------------------------------------------------------------- not the released model


@pytest.mark.parametrize("name", [CURRENT, MANIFEST, WEIGHTS, ONNX, GOLDEN])
@pytest.mark.parametrize("place", [0.25, 0.5, 0.999])
def test_one_flipped_bit_is_refused_by_name(
    tiny_store: Path, tmp_path: Path, name: str, place: float
) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_store, store)
    (path,) = store.rglob(name)
    body = bytearray(path.read_bytes())
    body[int(place * len(body))] ^= 1
    path.write_bytes(body)

    with pytest.raises(ArtifactError, match=name):
        load_current(store)


def test_pointer_to_a_version_that_is_not_there_is_refused(
    tiny_store: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_store, store)
    pointer = (store / CURRENT).read_text(encoding="utf-8")
    (store / CURRENT).write_text(pointer.replace("0.0.1", "0.0.2"), encoding="utf-8")

    with pytest.raises(ArtifactMissing, match=CURRENT):
        load_current(store)


@pytest.mark.parametrize("name", [CURRENT, MANIFEST, WEIGHTS, ONNX, GOLDEN])
def test_missing_file_is_refused_by_name(tiny_store: Path, tmp_path: Path, name: str) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_store, store)
    (path,) = store.rglob(name)
    path.unlink()

    with pytest.raises(ArtifactError, match=name):
        load_current(store)


def test_network_with_other_weights_fails_the_self_test(tmp_path: Path) -> None:
    choices = TinyChoices()
    files = build_files(choices) | {ONNX: build_onnx(draw_weights(seed=1))}
    swapped = write_version(tmp_path, describe(choices, files), files)

    with pytest.raises(SelfTestFailed, match="probabilities"):
        open_engine(swapped, engine="openvino")


def test_probabilities_beyond_the_tolerance_fail_the_self_test(tmp_path: Path) -> None:
    strict = TinyChoices(tolerance=Tolerance(probability=0))
    store = build_tiny_artifact(tmp_path, strict)

    with pytest.raises(SelfTestFailed, match=GOLDEN):
        open_engine(load_current(store), engine="openvino")


def test_onnx_that_does_not_compile_is_refused(tmp_path: Path) -> None:
    choices = TinyChoices()
    files = build_files(choices) | {ONNX: b"not a network"}
    broken = write_version(tmp_path, describe(choices, files), files)

    with pytest.raises(ArtifactInvalid, match=ONNX):
        OpenVinoEngine(broken)


@pytest.mark.parametrize("architecture", ["densenet121", "no-such-network"])
def test_weights_of_another_architecture_are_refused(tmp_path: Path, architecture: str) -> None:
    files = build_files(TinyChoices())
    manifest = describe(TinyChoices(), files).model_copy(update={"architecture": architecture})
    other = write_version(tmp_path, manifest, files)

    with pytest.raises(ArtifactInvalid, match=WEIGHTS):
        TorchEngine(other)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    files = build_files(TinyChoices()) | {WEIGHTS: b"\xff" * 64}
    damaged = write_version(tmp_path, describe(TinyChoices(), files), files)

    with pytest.raises(ArtifactInvalid, match=WEIGHTS):
        TorchEngine(damaged)


# ---------------------------------------------------------------- opening


@pytest.mark.parametrize(("engine", "name"), [("openvino", "openvino"), ("torch", "torch")])
def test_asked_engine_is_opened(artifact: Artifact, engine: loading.EngineName, name: str) -> None:
    opened = open_engine(artifact, engine=engine, device="cpu", threads=1)

    assert opened.name == name
    assert opened.device.startswith("cpu ")
    opened.close()


def test_auto_takes_openvino_where_there_is_no_gpu(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "GPU_DEVICE_FILES", ())

    assert open_engine(artifact).name == "openvino"


def test_what_fails_when_an_engine_is_finished_is_told_and_it_serves_on(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(artifact, engine="openvino")
    strict = Tolerance(probability=0)
    manifest = artifact.manifest.model_copy(update={"tolerance": strict})

    with capture_logs() as told:
        finish_engine(replace(artifact, manifest=manifest), engine)
        finish_engine(artifact, engine)

    assert [(entry["event"], entry.get("error")) for entry in told] == [
        ("engine.unfinished", "ARTIFACT_SELF_TEST_FAILED"),
        ("engine.finished", None),
    ]


def test_nothing_is_proven_before_what_the_proof_needs(artifact: Artifact) -> None:
    order: list[str] = []

    with capture_logs() as told:
        opened = open_engine(artifact, before_proof=lambda: order.append(f"{len(told)} told"))

    opened.close()
    assert order == ["0 told"]
    assert [entry["event"] for entry in told] == ["engine.opened"]


def test_views_and_temperature_of_the_manifest_are_proven_too(tmp_path: Path) -> None:
    choices = TinyChoices(views=tuple(TtaView), temperature=1.7)
    store = build_tiny_artifact(tmp_path, choices)

    assert open_engine(load_current(store)).name == "openvino"


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_device_that_is_not_there_is_refused(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, engine: loading.EngineName
) -> None:
    monkeypatch.setattr(loading, "GPU_DEVICE_FILES", ())

    with pytest.raises(EngineUnavailable, match="cuda:0"):
        open_engine(artifact, engine=engine, device="cuda:0")


def test_cpu_service_opens_its_engine_without_torch(tiny_store: Path) -> None:
    script = """
import sys
from dataclasses import replace
from pathlib import Path
from service.core.artifact import load_current
from service.engine.loading import open_engine
open_engine(load_current(Path(sys.argv[1])), engine="openvino")
print("torch" in sys.modules)
"""
    command = [sys.executable, "-c", script, str(tiny_store)]

    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    assert finished.stdout.splitlines()[-1] == "False"
