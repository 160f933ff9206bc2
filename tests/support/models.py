"""A whole, valid model store for tests, made from a seed in a fraction of a second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from safetensors.numpy import save

from service.core.artifact import (
    GOLDEN,
    MANIFEST,
    ONNX,
    WEIGHTS,
    Artifact,
    AuditVerdict,
    Calibration,
    DataSource,
    FileEntry,
    Manifest,
    MetricInterval,
    OperatingPoint,
    Provenance,
    Purpose,
    Tolerance,
    digest_of,
    load_artifact,
    write_current,
)
from service.core.findings import ABNORMAL, FINDINGS
from service.core.golden import Golden, write_golden
from service.core.inference import Recipe, describe_first_view, score_batch
from service.core.ood import OOD, OodPoint, write_detector
from service.core.scope import IntendedUse
from service.core.tta import TtaView
from tests.support.detectors import TinyDetector
from tests.support.tiny_network import (
    SPEC,
    build_onnx,
    chest_pixels,
    chest_uploads,
    draw_weights,
    reference_forward,
)

NAME = "tiny"
VIEWS = (TtaView.IDENTITY, TtaView.HFLIP)


@dataclass(frozen=True, slots=True)
class TinyChoices:
    """What a test may want to be different about a tiny version.

    Attributes
    ----------
    seed
        Another seed is another model, with other scores.
    flag_threshold, refer_threshold
        Of both abnormal findings; None is a threshold that could not be certified.
    extra_files
        Further files of the version; the manifest names them.
    detector
        Of what is out of distribution; None is a version without one.
    """

    seed: int = 0
    version: str = "0.0.1"
    views: Sequence[TtaView] = VIEWS
    temperature: float = 1.0
    flag_threshold: float | None = 0.5
    refer_threshold: float | None = 0.3
    intended_use: IntendedUse = field(default_factory=IntendedUse)
    tolerance: Tolerance = field(default_factory=Tolerance)
    extra_files: Mapping[str, bytes] = field(default_factory=dict)
    detector: TinyDetector | None = None

    @property
    def recipe(self) -> Recipe:
        """How it scores."""
        return Recipe(SPEC, tuple(self.views), self.temperature)


def build_tiny_artifact(folder: Path, choices: TinyChoices | None = None, *, seed: int = 0) -> Path:
    """Write a complete, valid model store whose scores depend on the picture.

    `tiny/<version>/` is made in the folder and `CURRENT` then names it, so a second call with
    another version is a promotion.

    Parameters
    ----------
    seed
        Short for `TinyChoices(seed=seed)`, where nothing else is chosen.

    Returns
    -------
    The store, for `load_current`.
    """
    choices = choices or TinyChoices(seed=seed)
    files = build_files(choices)
    write_version(folder, describe(choices, files), files)
    return folder


def build_files(choices: TinyChoices) -> dict[str, bytes]:
    """Every file of the version but its manifest."""
    weights = draw_weights(choices.seed)
    body = build_onnx(weights)
    scored = score_batch(chest_pixels(), reference_forward(body), choices.recipe)
    probabilities = np.stack([scores.probabilities for scores in scored])
    golden_nd = describe_first_view(chest_pixels(), reference_forward(body), choices.recipe)
    detector = choices.detector
    ood = {OOD: write_detector(detector.fit(golden_nd))} if detector else {}
    return {
        WEIGHTS: save(weights),
        ONNX: body,
        GOLDEN: write_golden(Golden(chest_uploads(), chest_pixels(), probabilities)),
        **ood,
        **choices.extra_files,
    }


def write_version(store: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Artifact:
    """Write one version, whatever it holds, and point `CURRENT` at it."""
    folder = store / manifest.name / manifest.version
    folder.mkdir(parents=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    artifact = load_artifact(folder)
    write_current(store, artifact)
    return artifact


def describe(choices: TinyChoices, files: Mapping[str, bytes]) -> Manifest:
    """The manifest of these files."""
    return Manifest(
        name=NAME,
        version=choices.version,
        created="2025-01-01T00:00:00Z",
        description="Two convolutions with random weights; finds nothing, for tests only.",
        architecture="tiny",
        findings=FINDINGS,
        preprocess=SPEC,
        views=tuple(choices.views),
        calibration=Calibration(temperature=choices.temperature, images=len(chest_uploads())),
        operating_points=_operating_points(choices, digest_of(files[WEIGHTS])),
        out_of_distribution=_ood_point(choices, digest_of(files[WEIGHTS])),
        intended_use=choices.intended_use,
        tolerance=choices.tolerance,
        provenance=_provenance(choices.seed),
        metrics={"auc.pneumonia": MetricInterval(value=0.5, low=0.4, high=0.6)},
        audit=AuditVerdict.NOT_RUN,
        monai={"version": choices.version, "task": "tests"},
        files={
            name: FileEntry(sha256=digest_of(body), size_bytes=len(body))
            for name, body in files.items()
        },
    )


def _operating_points(choices: TinyChoices, weights_digest: str) -> tuple[OperatingPoint, ...]:
    asked = (
        (Purpose.FLAG, 0.9, choices.flag_threshold),
        (Purpose.REFER, 0.97, choices.refer_threshold),
    )
    return tuple(
        OperatingPoint(
            finding=finding,
            purpose=purpose,
            target_sensitivity=sensitivity,
            confidence=0.95,
            positives=120,
            misses_allowed=None if threshold is None else 1,
            threshold=threshold,
            weights_digest=weights_digest,
        )
        for finding in ABNORMAL
        for purpose, sensitivity, threshold in asked
    )


def _ood_point(choices: TinyChoices, weights_digest: str) -> OodPoint | None:
    detector = choices.detector
    return detector.point(weights_digest) if detector else None


def _provenance(seed: int) -> Provenance:
    drawn = DataSource(name="drawn chests", licence="MIT", citation="drawn by the tests", images=6)
    return Provenance(
        data_sources=(drawn,),
        split_digest=digest_of(b"split"),
        config_digest=digest_of(b"config"),
        config="",
        git_commit="0" * 40,
        seed=seed,
        libraries={"onnx": onnx.__version__},
    )
