"""What the acts found -> the manifest of a version: every field that decides or proves a score."""

import importlib.metadata
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.core.artifact import (
    AuditVerdict,
    DataSource,
    FileEntry,
    Manifest,
    MetricInterval,
    Provenance,
    Purpose,
    Tolerance,
    digest_of,
)
from service.core.findings import FINDINGS
from service.core.ood import OodPoint
from service.core.scope import IntendedUse
from training.data.sources import Collection, read_sources
from training.measures.results import Counts, Evaluation, Tuning
from training.scoring import Run

LIBRARIES = (
    "torch", "torchvision", "numpy", "scipy", "scikit-learn", "opencv-python-headless",
    "pillow", "pydicom", "onnx", "openvino", "safetensors",
)  # fmt: skip
SCORING_CODE = (":(top)training", ":(top)service/core")
DESCRIPTION = (
    "Orders frontal chest radiographs for reading: normal, pneumonia, tuberculosis. "
    "Research software, not a medical device."
)
EPOCH = "SOURCE_DATE_EPOCH"
"""Environment variable of reproducible-builds.org: seconds that stand for the time of making."""

UNLISTED = Collection(
    name="", licence="unknown: not listed in training/sources.toml", citation="unknown"
)


class TimeInvalid(ValueError):
    """`SOURCE_DATE_EPOCH` names no time."""


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


@dataclass(frozen=True, slots=True)
class Findings:
    """What the manifest takes from the acts."""

    run: Run
    tuning: Tuning
    evaluation: Evaluation
    audit: AuditVerdict
    out_of_distribution: OodPoint | None


def time_of_making() -> str:
    """Now, or the time that `SOURCE_DATE_EPOCH` fixes so that a rerun gives the same bytes.

    Raises
    ------
    TimeInvalid
        The variable holds no number of seconds since 1970.
    """
    fixed = os.environ.get(EPOCH)
    try:
        moment = datetime.fromtimestamp(int(fixed), UTC) if fixed else datetime.now(UTC)
    except (OSError, OverflowError, ValueError) as error:
        raise TimeInvalid(f"{EPOCH} is {fixed!r}; expected seconds since 1970") from error
    return moment.isoformat(timespec="seconds")


def write_manifest(
    version: Version, found: Findings, tolerance: Tolerance, bodies: Mapping[str, bytes]
) -> Manifest:
    """The manifest that names every one of `bodies` by its digest."""
    run, tuning = found.run, found.tuning
    return Manifest(
        name=version.name,
        version=version.number,
        created=time_of_making(),
        description=DESCRIPTION,
        architecture=run.config.architecture.value,
        findings=FINDINGS,
        preprocess=run.config.preprocess,
        views=run.config.views,
        calibration=tuning.calibration,
        operating_points=tuple(rates.point for rates in tuning.points),
        out_of_distribution=found.out_of_distribution,
        intended_use=IntendedUse(),
        tolerance=tolerance,
        provenance=_provenance(run, tuning),
        metrics=headline_metrics(found.evaluation),
        audit=found.audit,
        monai=_monai(version, tuning),
        files={name: entry_of(body) for name, body in sorted(bodies.items())},
    )


def entry_of(body: bytes) -> FileEntry:
    """Digest and size of a file."""
    return FileEntry(sha256=digest_of(body), size_bytes=len(body))


def list_sources(images: Counts) -> tuple[DataSource, ...]:
    """Licence and citation of each collection that was trained on."""
    known = read_sources()
    found = {
        source: known.get(source, UNLISTED.model_copy(update={"name": source})) for source in images
    }
    return tuple(
        DataSource(
            name=found[source].name,
            licence=found[source].licence,
            citation=found[source].citation,
            images=sum(counts.values()),
        )
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
