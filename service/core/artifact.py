"""A model version on disk: manifest schema, and loading that verifies every byte before use.

`model_store/<name>/<version>/manifest.json` names every other file with its SHA-256;
`model_store/CURRENT` names the version that serves and the digest of its manifest, so no byte of
a release can change unnoticed. Nothing is ever unpickled.
"""

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.core.errors import ArtifactInvalid, ArtifactMissing, DigestMismatch
from service.core.files import write_whole
from service.core.findings import ABNORMAL, FINDINGS, Finding
from service.core.ood import OOD, OodPoint
from service.core.precision import Precision
from service.core.preprocess import PreprocessSpec
from service.core.scope import IntendedUse
from service.core.tta import TtaView

MANIFEST, CURRENT = "manifest.json", "CURRENT"
WEIGHTS, ONNX, GOLDEN = "weights.safetensors", "model.onnx", "golden.npz"

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0, le=1)]
VERSION_NAME = re.compile(r"([a-z0-9][a-z0-9.-]*)/([0-9][0-9A-Za-z.+-]*) (sha256:[0-9a-f]{64})\n?")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Purpose(StrEnum):
    """What crossing an operating point means."""

    FLAG = "flag"
    """Raises a flag: read first."""
    REFER = "refer"
    """Opens the uncertain zone below the flag: review."""


class OperatingPoint(_Frozen):
    """A threshold and the sensitivity that it was tuned for.

    `threshold` is None when the positives are too few to certify the target: the finding is
    then shadow-only and raises no flag.
    """

    finding: Finding
    purpose: Purpose
    target_sensitivity: Annotated[float, Field(gt=0, lt=1)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    positives: Annotated[int, Field(ge=0)]
    misses_allowed: Annotated[int, Field(ge=0)] | None
    threshold: Probability | None
    weights_digest: Digest

    @property
    def label(self) -> str:
        """How answers name it, for example `sensitivity>=0.97`."""
        return f"sensitivity>={self.target_sensitivity:g}"


class Calibration(_Frozen):
    """Temperature scaling of the averaged logits (Guo et al., ICML 2017)."""

    method: Literal["temperature"] = "temperature"
    temperature: Annotated[float, Field(gt=0, le=20)]
    images: Annotated[int, Field(ge=0)]


class Tolerance(_Frozen):
    """Formats to compute in, and the largest differences of golden values on any engine."""

    precisions: Annotated[tuple[Precision, ...], Field(min_length=1)] = tuple(Precision)
    pixels: Annotated[float, Field(ge=0, le=0.05)] = 0.004
    probability: Annotated[float, Field(ge=0, le=0.05)] = 0.02


class DataSource(_Frozen):
    """A collection that the model learned from."""

    name: str
    licence: str
    citation: str
    images: Annotated[int, Field(ge=0)]


class Provenance(_Frozen):
    """Where the weights come from, so that the run can be repeated."""

    data_sources: tuple[DataSource, ...]
    split_digest: Digest
    config_digest: Digest
    config: str
    git_commit: str
    seed: int
    libraries: dict[str, str]


class MetricInterval(_Frozen):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class AuditVerdict(StrEnum):
    """Outcome of the confounding audit."""

    NOT_RUN = "not_run"
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


class FileEntry(_Frozen):
    """One file of the version."""

    sha256: Digest
    size_bytes: Annotated[int, Field(ge=0)]


class Manifest(_Frozen):
    """Everything that decides a score, and the evidence for it."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    version: Annotated[str, Field(pattern=r"^[0-9][0-9A-Za-z.+-]*$")]
    created: str
    description: str
    architecture: str
    findings: tuple[Finding, ...]
    preprocess: PreprocessSpec
    views: Annotated[tuple[TtaView, ...], Field(min_length=1)]
    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...]
    out_of_distribution: OodPoint | None = None
    intended_use: IntendedUse
    tolerance: Tolerance
    provenance: Provenance
    metrics: dict[str, MetricInterval]
    audit: AuditVerdict
    monai: dict[str, str]
    """Fields of MONAI bundle metadata that fit (version, task, authors, data_source ...)."""
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.findings != FINDINGS:
            raise ValueError(f"findings {self.findings} are not {FINDINGS}, in this order")
        for name in (WEIGHTS, ONNX, GOLDEN):
            if name not in self.files:
                raise ValueError(f"files does not name {name}")
        if any(Path(name).name != name for name in self.files):
            raise ValueError("files holds a name that is not a plain file name")
        tuned_for = self.files[WEIGHTS].sha256 if OOD in self.files else None
        if getattr(self.out_of_distribution, "weights_digest", None) != tuned_for:
            raise ValueError(f"{OOD} and out_of_distribution go together, and with the weights")
        self._check_operating_points(self.files[WEIGHTS].sha256)
        return self

    def _check_operating_points(self, weights_digest: str) -> None:
        for point in self.operating_points:
            if point.weights_digest != weights_digest:
                raise ValueError(f"{point.finding} threshold was tuned for other weights")
        flagged = [p.finding for p in self.operating_points if p.purpose is Purpose.FLAG]
        if sorted(flagged) != sorted(ABNORMAL):
            raise ValueError(f"expected one flag operating point each for {ABNORMAL}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified model version; file contents are the very bytes that were digested."""

    manifest: Manifest
    digest: str
    """SHA-256 of the manifest, which binds every other file."""
    files: dict[str, bytes] = field(repr=False)

    @property
    def reference(self) -> str:
        """`name/version`, for people."""
        return f"{self.manifest.name}/{self.manifest.version}"


def digest_of(body: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def load_current(store: Path) -> Artifact:
    """Load the version that `CURRENT` names and verify all of it.

    Raises
    ------
    ArtifactMissing, ArtifactInvalid, DigestMismatch
        Says which file and why.
    """
    pointer = _read(store, CURRENT).decode("utf-8", errors="replace")
    named = VERSION_NAME.fullmatch(pointer)
    if named is None:
        raise ArtifactInvalid(f"{CURRENT} must read 'name/version sha256:<manifest digest>'")
    name, version, digest = named.groups()
    if not (store / name / version).is_dir():
        raise ArtifactMissing(f"{CURRENT} names {name}/{version}, which is not in the store")
    return load_artifact(store / name / version, manifest_digest=digest)


def load_artifact(folder: Path, *, manifest_digest: str | None = None) -> Artifact:
    """Read a version folder; each file is read once, and used only if its digest fits.

    Parameters
    ----------
    manifest_digest
        What the manifest must be; None accepts the manifest as it is (a release being made).
    """
    text = _read(folder, MANIFEST)
    digest = digest_of(text)
    if manifest_digest is not None and digest != manifest_digest:
        raise DigestMismatch(f"{MANIFEST} is {digest}; {CURRENT} promises {manifest_digest}")
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise ArtifactInvalid(f"{MANIFEST}: {error}") from error
    files = {name: _read_verified(folder, name, entry) for name, entry in manifest.files.items()}
    return Artifact(manifest, digest, files)


def write_current(store: Path, artifact: Artifact) -> None:
    """Make a version the one that serves, in one step."""
    write_whole(store / CURRENT, _pointer_to(artifact).encode())


def is_current(store: Path, artifact: Artifact) -> bool:
    """Whether `CURRENT` names this very version, as it was verified.

    Raises
    ------
    ArtifactMissing
        There is no `CURRENT`.
    """
    return _read(store, CURRENT).decode("utf-8", errors="replace") == _pointer_to(artifact)


def _pointer_to(artifact: Artifact) -> str:
    return f"{artifact.reference} {artifact.digest}\n"


def _read_verified(folder: Path, name: str, entry: FileEntry) -> bytes:
    body = _read(folder, name)
    found = digest_of(body)
    if found != entry.sha256:
        raise DigestMismatch(f"{name} is {found}; {MANIFEST} promises {entry.sha256}")
    return body


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ArtifactMissing(f"{name} of the model cannot be read: {error.strerror}") from error
