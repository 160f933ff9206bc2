"""The model that speed is measured with: DenseNet-121 at 224 px, one view, weights drawn at random.

What it finds means nothing; what it costs is what a trained one of this shape costs. The batch
norms see drawn chests first, so that activations have the size that trained ones have.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from service.core.artifact import (
    GOLDEN,
    MANIFEST,
    ONNX,
    WEIGHTS,
    AuditVerdict,
    Calibration,
    DataSource,
    FileEntry,
    Manifest,
    OperatingPoint,
    Provenance,
    Purpose,
    Tolerance,
    digest_of,
    load_artifact,
    write_current,
)
from service.core.findings import ABNORMAL, FINDINGS, Finding
from service.core.golden import write_golden
from service.core.inference import Recipe
from service.core.network import Architecture, TriageNetwork, build_network
from service.core.precision import Precision
from service.core.preprocess import PreprocessSpec, normalise, preprocess
from service.core.radiograph import FileFormat, Radiograph
from service.core.scope import IntendedUse
from service.core.tta import TtaView
from training.onnx_export import export_onnx
from training.phantoms import draw_chest
from training.release import make_golden, measure_tolerance
from training.scoring import torch_forward

NAME, VERSION = "speed", "1.0.0"
SIDE_PX = 224
SPEC = PreprocessSpec(side_px=SIDE_PX)


def open_store(
    folder: Path,
    *,
    architecture: Architecture = Architecture.DENSENET121,
    views: tuple[TtaView, ...] = (TtaView.IDENTITY,),
) -> Path:
    """The store in this folder, made at first use."""
    store = folder / f"{architecture}-{len(views)}"
    if not (store / "CURRENT").exists():
        _write_store(store, architecture, views)
    return store


def _write_store(store: Path, architecture: Architecture, views: tuple[TtaView, ...]) -> None:
    network = _draw_network(architecture)
    recipe = Recipe(SPEC, views, 1.0)
    golden = make_golden(recipe, torch_forward(network))
    onnx_body = export_onnx(network, SIDE_PX)
    files = {
        WEIGHTS: save({name: value.contiguous() for name, value in _narrow(network).items()}),
        ONNX: onnx_body,
        GOLDEN: write_golden(golden),
    }
    manifest = _describe(files, architecture, views).model_copy(
        update={"tolerance": measure_tolerance(golden, onnx_body, recipe, tuple(Precision))}
    )
    folder = store / NAME / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    (folder / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    write_current(store, load_artifact(folder))


def _draw_network(architecture: Architecture) -> TriageNetwork:
    torch.manual_seed(0)
    network = build_network(architecture, findings=len(FINDINGS))
    nn.init.normal_(network.head.weight, std=0.1)
    chests = [
        preprocess(Radiograph(draw_chest(seed, Finding.NORMAL), FileFormat.PNG), SPEC)
        for seed in range(4)
    ]
    pixels = torch.from_numpy(normalise(np.stack(chests), SPEC))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the average of what was seen
    with torch.no_grad():
        network.train()(pixels)
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
    return network.eval()


def _narrow(network: TriageNetwork) -> dict[str, torch.Tensor]:
    state = network.state_dict()
    for value in state.values():
        if value.is_floating_point():
            value.copy_(value.half().float())
    return {n: v.half() for n, v in state.items() if not n.endswith("num_batches_tracked")}


def _describe(
    files: dict[str, bytes], architecture: Architecture, views: tuple[TtaView, ...]
) -> Manifest:
    drawn = DataSource(name="nothing", licence="MIT", citation="weights are drawn", images=0)
    return Manifest(
        name=NAME,
        version=VERSION,
        created="2026-01-01T00:00:00Z",
        description="Random weights, for the benchmarks alone.",
        architecture=architecture.value,
        findings=FINDINGS,
        preprocess=SPEC,
        views=views,
        calibration=Calibration(temperature=1.0, images=0),
        operating_points=tuple(
            OperatingPoint(
                finding=finding, purpose=Purpose.FLAG, target_sensitivity=0.9, confidence=0.95,
                positives=0, misses_allowed=0, threshold=0.5,
                weights_digest=digest_of(files[WEIGHTS]),
            )
            for finding in ABNORMAL
        ),
        intended_use=IntendedUse(),
        tolerance=Tolerance(),
        provenance=Provenance(
            data_sources=(drawn,), split_digest=digest_of(b""), config_digest=digest_of(b""),
            config="", git_commit="", seed=0, libraries={},
        ),
        metrics={},
        audit=AuditVerdict.NOT_RUN,
        monai={},
        files={n: FileEntry(sha256=digest_of(b), size_bytes=len(b)) for n, b in files.items()},
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--views", type=int, default=1)
    chosen = parser.parse_args()
    print(open_store(chosen.folder, views=tuple(TtaView)[: chosen.views]))
