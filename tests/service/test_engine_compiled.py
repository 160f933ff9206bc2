"""A compiled network is kept for the next start, and trusted no more than one compiled anew."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import openvino
import pytest
from structlog.testing import capture_logs

from service.core.artifact import ONNX, Artifact
from service.core.errors import SelfTestFailed
from service.core.radiograph import Pixels
from service.engine import compiled, layout
from service.engine.loading import finish_engine, open_engine, prove
from service.engine.openvino import OpenVinoEngine
from tests.support.models import TinyChoices, build_files, describe, write_version
from tests.support.tiny_network import build_onnx, draw_weights

DAMAGED, REFUSED, FAILED, UNAVAILABLE = (
    "engine.kept_network_damaged", "engine.kept_network_refused", "engine.kept_network_failed",
    "engine.cache_unavailable",
)  # fmt: skip
DIGEST_BYTES = 32
Change = Callable[[bytes], bytes]


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


@pytest.fixture(scope="module")
def uncached(artifact: Artifact) -> OpenVinoEngine:
    return OpenVinoEngine(artifact)


def _open(artifact: Artifact, cache_dir: Path) -> tuple[OpenVinoEngine, list[str]]:
    """With both ways to score, and the warnings and errors that were logged meanwhile."""
    with capture_logs() as lines:
        engine = open_engine(artifact, engine="openvino", cache_dir=cache_dir)
        finish_engine(artifact, engine)
    assert isinstance(engine, OpenVinoEngine)
    return engine, [line["event"] for line in lines if line["log_level"] != "info"]


def _without_network(artifact: Artifact) -> Artifact:
    return replace(artifact, files=artifact.files | {ONNX: b"not a network"})


def _kept(cache_dir: Path) -> Path:
    (file,) = cache_dir.iterdir()
    return file


def _seal(network: bytes) -> bytes:
    return hashlib.sha256(network).digest() + network


def _compiled(onnx: bytes, side_px: int = 64, *, outputs: int = 3) -> bytes:
    core = openvino.Core()
    model = core.read_model(onnx, b"")
    model.reshape({"pixels": [1, 1, side_px, side_px]})
    fewer = openvino.Model(model.get_results()[:outputs], model.get_parameters())
    return bytes(core.compile_model(fewer, "CPU").export_model().getbuffer())


def test_second_start_needs_no_network_and_gives_the_same_scores(
    artifact: Artifact, uncached: OpenVinoEngine, batch_nchw: Pixels, cache_dir: Path
) -> None:
    _open(artifact, cache_dir)

    again, warnings = _open(_without_network(artifact), cache_dir)

    assert warnings == []
    for pictures in (batch_nchw, batch_nchw[:1]):
        for ours, theirs in zip(again.forward(pictures), uncached.forward(pictures), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda kept: kept[: len(kept) // 2] + b"!" + kept[len(kept) // 2 + 1 :], DAMAGED),
        (lambda kept: kept[:-1], DAMAGED),
        (lambda kept: kept[:7], DAMAGED),
        (lambda _: b"", DAMAGED),
        (lambda _: _seal(b""), REFUSED),
        (lambda _: _seal(b"no network of this version"), REFUSED),
        (lambda kept: _seal(kept[32:-5000]), REFUSED),
        (lambda _: _seal(_compiled(build_onnx(draw_weights(seed=1)))), FAILED),
        (lambda _: _seal(_compiled(build_onnx(draw_weights(seed=0)), 96)), FAILED),
    ],
    ids=["changed", "shorter", "a few bytes", "empty", "of nothing", "of words", "of a part",
         "of other weights", "of another size"],
)  # fmt: skip
def test_what_cannot_serve_is_compiled_anew_and_replaced(
    artifact: Artifact,
    uncached: OpenVinoEngine,
    batch_nchw: Pixels,
    cache_dir: Path,
    change: Change,
    warning: str,
) -> None:
    _open(artifact, cache_dir)
    kept = _kept(cache_dir)
    kept.write_bytes(change(kept.read_bytes()))

    engine, warnings = _open(artifact, cache_dir)
    _, later = _open(_without_network(artifact), cache_dir)

    assert (warnings, later) == ([warning], [])
    expected = uncached.forward(batch_nchw).logits
    np.testing.assert_array_equal(engine.forward(batch_nchw).logits, expected)


def test_kept_network_of_other_outputs_is_replaced(artifact: Artifact, cache_dir: Path) -> None:
    _open(artifact, cache_dir)
    _kept(cache_dir).write_bytes(_seal(_compiled(artifact.files[ONNX], outputs=1)))

    _open(artifact, cache_dir)
    _, later = _open(_without_network(artifact), cache_dir)

    assert later == []


def test_network_that_fails_the_self_test_is_not_kept(tmp_path: Path, cache_dir: Path) -> None:
    choices = TinyChoices()
    files = build_files(choices) | {ONNX: build_onnx(draw_weights(seed=1))}
    swapped = write_version(tmp_path / "swapped", describe(choices, files), files)

    with pytest.raises(SelfTestFailed, match="probabilities"):
        open_engine(swapped, engine="openvino", cache_dir=cache_dir)

    assert list(cache_dir.iterdir()) == []


def test_other_cpu_or_other_rules_get_a_network_of_their_own(
    artifact: Artifact, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rule = tmp_path / "rule.py"
    rule.write_text("as it was")
    monkeypatch.setattr(compiled, "RULES", (rule,))
    _open(artifact, cache_dir)
    monkeypatch.setattr(compiled, "read_cpu_flags", lambda: frozenset({"fpu"}))
    _open(artifact, cache_dir)
    rule.write_text("as it is now")

    _, warnings = _open(artifact, cache_dir)

    assert warnings == []
    assert len(list(cache_dir.iterdir())) == 3


def test_folder_that_cannot_be_made_is_a_warning_and_no_refusal(
    artifact: Artifact, uncached: OpenVinoEngine, batch_nchw: Pixels, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"no folder")

    engine, warnings = _open(artifact, tmp_path / "file" / "cache")

    assert warnings == [UNAVAILABLE]
    np.testing.assert_array_equal(engine.forward(batch_nchw)[0], uncached.forward(batch_nchw)[0])


def test_file_that_can_be_neither_read_nor_written_is_no_refusal(
    artifact: Artifact, uncached: OpenVinoEngine, batch_nchw: Pixels, cache_dir: Path
) -> None:
    _open(artifact, cache_dir)
    kept = _kept(cache_dir)
    kept.unlink()
    (kept / "in its place").mkdir(parents=True)

    engine, warnings = _open(artifact, cache_dir)

    assert warnings == [UNAVAILABLE, UNAVAILABLE]
    np.testing.assert_array_equal(engine.forward(batch_nchw)[0], uncached.forward(batch_nchw)[0])


def test_network_that_could_not_be_laid_out_is_not_kept(
    artifact: Artifact, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(layout, "read_cpu_flags", lambda: frozenset({"avx2"}))
    with monkeypatch.context() as full:
        full.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
        _, warnings = _open(artifact, cache_dir)

    assert warnings == ["engine.layout_unavailable"]
    assert list(cache_dir.iterdir()) == []
    _open(artifact, cache_dir)
    assert _kept(cache_dir).stat().st_size > DIGEST_BYTES


def test_engine_can_be_finished_twice(artifact: Artifact, cache_dir: Path) -> None:
    engine, _ = _open(artifact, cache_dir)

    engine.finish(partial(prove, artifact))


def test_quota_of_the_container_bounds_streams_and_threads(
    artifact: Artifact, batch_nchw: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO sees every core of the machine; on 64 of them it would open 64 streams for two."""
    free = OpenVinoEngine(artifact)
    monkeypatch.setattr("service.cores.count_cores", lambda: 1)

    engine = OpenVinoEngine(artifact)

    assert engine.lanes == 1
    np.testing.assert_array_equal(engine.forward(batch_nchw)[0], free.forward(batch_nchw)[0])
