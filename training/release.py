"""Act 6: a tuned and evaluated run -> one version of the model store, verified, then renamed.

Axes: N images, F findings.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from service.core.artifact import (
    GOLDEN,
    MANIFEST,
    ONNX,
    VERSION_NAME,
    WEIGHTS,
    Artifact,
    AuditVerdict,
    Tolerance,
    digest_of,
    load_artifact,
)
from service.core.golden import Golden, write_golden
from service.core.inference import Forward, Recipe, score_batch, stack_pixels
from service.core.intake import read_radiograph
from service.core.ood import OodPoint
from service.core.precision import Precision
from service.core.preprocess import normalise, preprocess
from service.core.self_test import self_test
from training.card.page import write_model_card
from training.manifest import Findings, Version, entry_of, write_manifest
from training.measures.results import EVALUATION, Evaluation, Tuning
from training.onnx_export import check_onnx, export_onnx, openvino_forward
from training.phantoms import golden_uploads
from training.scoring import Run, torch_forward

MODEL_CARD = "MODEL_CARD.md"
SMALLEST_TOLERANCE, LARGEST_TOLERANCE = 0.01, 0.05
LARGEST_CHANGE = 0.02
"""Of a probability: a format that moves one further, on any evaluated image, does not serve."""

SOUND = (AuditVerdict.PASS, AuditVerdict.WARN)


class ReleaseRefused(ValueError):
    """The version exists, its parts do not belong together, or its audit speaks against it."""


@dataclass(frozen=True, slots=True)
class Attachments:
    """What the acts beside tuning and evaluation found.

    Attributes
    ----------
    accepted_because
        Why it is released although the audit failed or was not run; stands in the model card.
    sections
        Markdown for the model card.
    limits
        Lines for the limits of the model card: what was not measured, and why.
    files
        Bodies by their names in the version.
    """

    audit: AuditVerdict = AuditVerdict.NOT_RUN
    accepted_because: str = ""
    out_of_distribution: OodPoint | None = None
    sections: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def release(
    version: Version, run: Run, tuning: Tuning, evaluation: Evaluation, attached: Attachments
) -> Artifact:
    """Build the version beside its place, verify it on every engine, and rename it into place.

    Raises
    ------
    ReleaseRefused
        It exists already or cannot be named so, the tuning or the evaluation is of other weights,
        or the audit did not pass and no reason is given.
    service.core.errors.ArtifactError
        What was built does not verify.
    """
    check_version(version)
    _check_chain(run, tuning, evaluation)
    _check_audit(attached)
    version.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=version.store, prefix=".release-") as scratch:
        built = Path(scratch) / version.number
        built.mkdir()
        _build(built, version, run, tuning, evaluation, attached)
        artifact = load_artifact(built)
        verify(artifact, torch_forward(run.network))
        for path in built.iterdir():
            path.chmod(0o444)
        shutil.move(built, version.folder)
    return artifact


def check_version(version: Version) -> None:
    """Whether the store can take a version of this name and number.

    Raises
    ------
    ReleaseRefused
        It exists already, or `CURRENT` could not name it.
    """
    reference = f"{version.name}/{version.number}"
    if not VERSION_NAME.fullmatch(f"{reference} {digest_of(b'')}"):
        raise ReleaseRefused(f"{reference} names no version; expected one like cxr-triage/1.0.1")
    if version.folder.exists():
        raise ReleaseRefused(f"{reference} exists, and a version never changes")


def verify(artifact: Artifact, reference: Forward) -> dict[str, float]:
    """Golden self-test with torch and with OpenVINO in what may serve: the difference of each."""
    onnx_body = artifact.files[ONNX]
    engines = {"torch f32": reference}
    for precision in artifact.manifest.tolerance.precisions:
        engines[f"openvino {precision}"] = openvino_forward(onnx_body, precision)
    return {name: self_test(artifact, forward) for name, forward in engines.items()}


def make_golden(recipe: Recipe, reference: Forward) -> Golden:
    """Score the phantom uploads with the reference engine."""
    uploads = golden_uploads()
    pixels = stack_pixels([preprocess(read_radiograph(u), recipe.preprocess) for u in uploads])
    scored = score_batch(pixels, reference, recipe)
    return Golden(uploads, pixels, np.stack([scores.probabilities for scores in scored]))


def choose_precisions(evaluation: Evaluation) -> tuple[Precision, ...]:
    """fp32, and bf16 where it was measured and moved no probability of an evaluated image too far.

    A CPU without bf16 measures none (`training.onnx_export.precisions_here`).
    """
    moved = evaluation.engines.get(f"openvino {Precision.BF16}")
    is_borne = moved is not None and moved.largest_difference <= LARGEST_CHANGE
    return tuple(Precision) if is_borne else (Precision.F32,)


def measure_tolerance(
    golden: Golden, onnx_body: bytes, recipe: Recipe, precisions: tuple[Precision, ...]
) -> Tolerance:
    """Twice what the fastest served precision differs by on the golden uploads, within bounds."""
    differences = []
    for precision in precisions:
        scored = score_batch(golden.pixels, openvino_forward(onnx_body, precision), recipe)
        probabilities = np.stack([scores.probabilities for scores in scored])
        differences.append(float(np.abs(probabilities - golden.probabilities).max()))
    measured = round(2 * max(differences), 4)
    probability = min(max(measured, SMALLEST_TOLERANCE), LARGEST_TOLERANCE)
    return Tolerance(precisions=precisions, probability=probability)


def _check_chain(run: Run, tuning: Tuning, evaluation: Evaluation) -> None:
    if tuning.weights_digest != run.weights_digest:
        raise ReleaseRefused("the thresholds were tuned for other weights: run `cxr-train tune`")
    if evaluation.weights_digest != run.weights_digest:
        raise ReleaseRefused("the evaluation is of other weights: run `cxr-train evaluate`")
    if tuning.config_digest != run.config.digest():
        raise ReleaseRefused("the thresholds were tuned for another configuration")
    if evaluation.config_digest not in ("", tuning.config_digest):
        raise ReleaseRefused("the evaluation is of another configuration: run `cxr-train evaluate`")
    if evaluation.split_digest != tuning.split_digest:
        raise ReleaseRefused("the evaluation is of another split: run `cxr-train evaluate`")


def _check_audit(attached: Attachments) -> None:
    if attached.audit not in SOUND and not attached.accepted_because:
        is_asked = attached.audit is not AuditVerdict.NOT_RUN
        remedy = "audit.json says why" if is_asked else "run `cxr-train audit`"
        raise ReleaseRefused(
            f"the audit of these weights: {attached.audit}; {remedy}, or say with "
            "`cxr-train release --accept-audit` why it is released all the same; no act is repeated"
        )


def _build(
    folder: Path,
    version: Version,
    run: Run,
    tuning: Tuning,
    evaluation: Evaluation,
    attached: Attachments,
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
        **attached.files,
    }
    precisions = choose_precisions(evaluation)
    tolerance = measure_tolerance(golden, onnx_body, recipe, precisions)
    found = Findings(run, tuning, evaluation, attached.audit, attached.out_of_distribution)
    manifest = write_manifest(version, found, tolerance, bodies)
    notes = (*version.notes, *_accepted(attached), *attached.limits)
    card = write_model_card(manifest, tuning, evaluation, notes, attached.sections).encode()
    files = {**manifest.files, MODEL_CARD: entry_of(card)}
    manifest = manifest.model_copy(update={"files": files})
    bodies |= {MODEL_CARD: card, MANIFEST: manifest.model_dump_json(indent=2).encode() + b"\n"}
    for name, body in bodies.items():
        (folder / name).write_bytes(body)


def _accepted(attached: Attachments) -> tuple[str, ...]:
    if not attached.accepted_because:
        return ()
    return (f"Released although the audit reads *{attached.audit}*: {attached.accepted_because}",)
