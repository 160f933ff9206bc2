"""Act 6: a tuned and evaluated run -> one version of the model store, verified, then renamed.

Axes: N images, F findings.
"""

import importlib.metadata
import json
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from service.core.artifact import (
    GOLDEN,
    MANIFEST,
    ONNX,
    WEIGHTS,
    Artifact,
    AuditVerdict,
    DataSource,
    FileEntry,
    Golden,
    Manifest,
    MetricInterval,
    Provenance,
    Purpose,
    Tolerance,
    digest_of,
    load_artifact,
    write_current,
    write_golden,
)
from service.core.findings import FINDINGS
from service.core.inference import Forward, Recipe, score_batch, self_test, stack_pixels
from service.core.intake import read_radiograph
from service.core.preprocess import normalise, preprocess
from service.core.scope import IntendedUse
from training.model_card import write_model_card
from training.onnx_export import PRECISIONS, check_onnx, export_onnx, openvino_forward
from training.phantoms import golden_uploads
from training.results import EVALUATION, Counts, Evaluation, Tuning
from training.scoring import Run, torch_forward

MODEL_CARD = "MODEL_CARD.md"
SOURCES = Path(__file__).with_name("sources.toml")
SMALLEST_TOLERANCE, LARGEST_TOLERANCE = 0.01, 0.05
LIBRARIES = (
    "torch", "torchvision", "numpy", "scipy", "scikit-learn", "opencv-python-headless",
    "pillow", "pydicom", "onnx", "openvino", "safetensors",
)  # fmt: skip
SCORING_CODE = (":(top)training", ":(top)service/core")
DESCRIPTION = (
    "Orders frontal chest radiographs for reading: normal, pneumonia, tuberculosis. "
    "Research software, not a medical device."
)


class ReleaseRefused(ValueError):
    """The version exists, or its parts do not belong together."""


@dataclass(frozen=True, slots=True)
class Version:
    """Where a release goes, and what its makers have to say of it.

    `notes` stand among the limits of the model card: what no number tells, for example that a
    choice was made after the test split had been read.
    """

    store: Path
    name: str
    number: str
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Of this version in the store."""
        return self.store / self.name / self.number


def release(
    version: Version, run: Run, tuning: Tuning, evaluation: Evaluation, figures: Mapping[str, bytes]
) -> Artifact:
    """Build the version beside its place, verify it on every engine, and rename it into place.

    Raises
    ------
    ReleaseRefused
        It exists already, or the tuning or the evaluation is of other weights.
    service.core.errors.ArtifactError
        What was built does not verify.
    """
    if version.folder.exists():
        raise ReleaseRefused(f"{version.name}/{version.number} exists, and a version never changes")
    _check_chain(run, tuning, evaluation)
    version.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=version.store, prefix=".release-") as scratch:
        built = Path(scratch) / version.number
        built.mkdir()
        _build(built, version, run, tuning, evaluation, figures)
        artifact = load_artifact(built)
        verify(artifact, torch_forward(run.network))
        for path in built.iterdir():
            path.chmod(0o444)
        shutil.move(built, version.folder)
    return artifact


def promote(version: Version) -> Artifact:
    """Make the version the one that serves."""
    artifact = load_artifact(version.folder)
    write_current(version.store, artifact)
    return artifact


def verify(artifact: Artifact, reference: Forward) -> dict[str, float]:
    """Golden self-test with torch and with OpenVINO in each precision: the difference of each."""
    onnx_body = artifact.files[ONNX]
    engines = {"torch f32": reference}
    engines |= {f"openvino {name}": openvino_forward(onnx_body, name) for name in PRECISIONS}
    return {name: self_test(artifact, forward) for name, forward in engines.items()}


def make_golden(recipe: Recipe, reference: Forward) -> Golden:
    """Score the phantom uploads with the reference engine."""
    uploads = golden_uploads()
    pixels = stack_pixels([preprocess(read_radiograph(u), recipe.preprocess) for u in uploads])
    scored = score_batch(pixels, reference, recipe)
    return Golden(uploads, pixels, np.stack([scores.probabilities for scores in scored]))


def measure_tolerance(golden: Golden, onnx_body: bytes, recipe: Recipe) -> Tolerance:
    """Twice what the fastest served precision differs by on the golden uploads, within bounds."""
    differences = []
    for precision in PRECISIONS:
        scored = score_batch(golden.pixels, openvino_forward(onnx_body, precision), recipe)
        probabilities = np.stack([scores.probabilities for scores in scored])
        differences.append(float(np.abs(probabilities - golden.probabilities).max()))
    measured = round(2 * max(differences), 4)
    return Tolerance(probability=min(max(measured, SMALLEST_TOLERANCE), LARGEST_TOLERANCE))


def list_sources(images: Counts) -> tuple[DataSource, ...]:
    """Licence and citation of each collection that was trained on."""
    known = tomllib.loads(SOURCES.read_text(encoding="utf-8"))
    unknown = {"licence": "unknown: not listed in training/sources.toml", "citation": "unknown"}
    return tuple(
        DataSource(**{"name": source, **known.get(source, unknown)}, images=sum(counts.values()))
        for source, counts in images.items()
    )


def headline_metrics(evaluation: Evaluation) -> dict[str, MetricInterval]:
    """The numbers that the manifest itself carries."""
    metrics = {
        "auc macro": evaluation.macro_auc.network,
        "auc macro, trivial baseline": evaluation.macro_auc.baseline,
        "expected calibration error": evaluation.calibration_error,
        "brier": evaluation.brier,
    }
    for name, measured in evaluation.discrimination.items():
        metrics[f"auc {name}"] = measured.network
    for rates in evaluation.points:
        point = rates.point
        if point.purpose is not Purpose.FLAG or rates.pooled is None:
            continue
        for where, found in {"pooled": rates.pooled, **rates.sources}.items():
            for what in ("sensitivity", "specificity"):
                value = getattr(found, what)
                if value is not None:
                    metrics[f"{what} {point.finding} flag, {where}"] = value
    return metrics


def git_commit(folder: Path) -> str:
    """The commit of the code, `-dirty` when the code behind a score differs; or `unknown`."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", *SCORING_CODE)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def _git(folder: Path, *words: str) -> str:
    command = ["git", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S603 - fixed words
    return done.stdout.strip()


def _check_chain(run: Run, tuning: Tuning, evaluation: Evaluation) -> None:
    if tuning.weights_digest != run.weights_digest:
        raise ReleaseRefused("the thresholds were tuned for other weights: run `cxr-train tune`")
    if evaluation.weights_digest != run.weights_digest:
        raise ReleaseRefused("the evaluation is of other weights: run `cxr-train evaluate`")
    if tuning.config_digest != run.config.digest():
        raise ReleaseRefused("the thresholds were tuned for another configuration")


def _build(
    folder: Path,
    version: Version,
    run: Run,
    tuning: Tuning,
    evaluation: Evaluation,
    figures: Mapping[str, bytes],
) -> None:
    recipe, reference = run.recipe(tuning.calibration.temperature), torch_forward(run.network)
    golden = make_golden(recipe, reference)
    onnx_body = export_onnx(run.network, recipe.preprocess.side_px)
    reference = torch_forward(run.network)
    check_onnx(onnx_body, reference, normalise(golden.pixels, recipe.preprocess))
    bodies = {
        WEIGHTS: (run.folder / WEIGHTS).read_bytes(),
        ONNX: onnx_body,
        GOLDEN: write_golden(golden),
        EVALUATION: (run.folder / EVALUATION).read_bytes(),
        **figures,
    }
    tolerance = measure_tolerance(golden, onnx_body, recipe)
    manifest = _write_manifest(version, run, tuning, evaluation, tolerance, bodies)
    card = write_model_card(manifest, tuning, evaluation, version.notes).encode()
    files = {**manifest.files, MODEL_CARD: _entry(card)}
    manifest = manifest.model_copy(update={"files": files})
    bodies |= {MODEL_CARD: card, MANIFEST: manifest.model_dump_json(indent=2).encode() + b"\n"}
    for name, body in bodies.items():
        (folder / name).write_bytes(body)


def _write_manifest(
    version: Version,
    run: Run,
    tuning: Tuning,
    evaluation: Evaluation,
    tolerance: Tolerance,
    bodies: Mapping[str, bytes],
) -> Manifest:
    return Manifest(
        name=version.name,
        version=version.number,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        description=DESCRIPTION,
        architecture=run.config.architecture.value,
        findings=FINDINGS,
        preprocess=run.config.preprocess,
        views=run.config.views,
        calibration=tuning.calibration,
        operating_points=tuple(rates.point for rates in tuning.points),
        intended_use=IntendedUse(),
        tolerance=tolerance,
        provenance=_provenance(run, tuning),
        metrics=headline_metrics(evaluation),
        audit=AuditVerdict.NOT_RUN,
        monai=_monai(version, tuning),
        files={name: _entry(body) for name, body in sorted(bodies.items())},
    )


def _entry(body: bytes) -> FileEntry:
    return FileEntry(sha256=digest_of(body), size_bytes=len(body))


def _provenance(run: Run, tuning: Tuning) -> Provenance:
    return Provenance(
        data_sources=list_sources(tuning.training_images),
        split_digest=tuning.split_digest,
        config_digest=run.config.digest(),
        config=run.config.model_dump_json(),
        git_commit=git_commit(Path(__file__).parent),
        seed=run.config.seed,
        libraries={name: importlib.metadata.version(name) for name in LIBRARIES},
    )


def _monai(version: Version, tuning: Tuning) -> dict[str, str]:
    """What MONAI's bundle metadata would hold under the same names."""
    return {
        "name": version.name,
        "version": version.number,
        "task": "Triage of frontal chest radiographs",
        "description": DESCRIPTION,
        "intended_use": "research only; not a medical device",
        "data_source": "; ".join(tuning.training_images),
        "data_type": "dicom, png, jpeg",
        "image_classes": "one grey channel, 0 to 1, then normalised",
        "pred_classes": json.dumps({str(i): name for i, name in enumerate(FINDINGS)}),
    }
