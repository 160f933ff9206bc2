"""What drift remembers of each scanner, on disk: one file, replaced in one rename, no pickle."""

import hashlib
import io
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import structlog
from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.core.drift import Detector, Track
from service.core.files import PRIVATE, write_whole

log: structlog.stdlib.BoundLogger = structlog.get_logger()

STATE = "drift.npz"
ARRAYS = ("sums", "since_images", "since_seconds", "window")


class ScannerNote(BaseModel):
    """What is no array."""

    model_config = ConfigDict(extra="forbid")

    images: int = Field(0, ge=0)
    """Of its whole life."""
    track_images: int | None = Field(None, ge=0)
    """Since the track began, with the model that served then; absent in older files."""
    last_seconds: float = 0.0
    devices: dict[str, list[str]] = Field(default_factory=dict)
    """Part to salted digests of what the tags said, latest last: never the words themselves."""

    @field_validator("devices", mode="before")
    @classmethod
    def _is_of_any_release(cls, told: object) -> object:
        """Older files hold one digest a part."""
        if not isinstance(told, dict):
            return told
        return {part: [said] if isinstance(said, str) else said for part, said in told.items()}


class StateNotes(BaseModel):
    """Header of the file."""

    model_config = ConfigDict(extra="forbid")

    reference: str
    """Digest of the reference that the sums were made with; another one begins anew."""
    salt: str
    scanners: dict[str, ScannerNote] = Field(default_factory=dict)


@dataclass(slots=True)
class ScannerState:
    """One scanner; no track where the model has no reference."""

    track: Track | None = None
    devices: dict[str, list[str]] = field(default_factory=dict)
    images: int = 0
    last_seconds: float = 0.0


@dataclass(slots=True)
class DriftState:
    """All scanners that were seen."""

    reference: str
    salt: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    scanners: dict[str, ScannerState] = field(default_factory=dict)

    def digest(self, words: str) -> str:
        """Of what a tag says; nobody without this file can try words out."""
        return hashlib.sha256(f"{self.salt}\0{words}".encode()).hexdigest()[:16]


def digest_of_reference(body: bytes | None) -> str:
    """Identity of a reference; of none, `none`."""
    return "none" if body is None else hashlib.sha256(body).hexdigest()


def load_state(path: Path | None, reference: str, detector: Detector | None) -> DriftState:
    """What was remembered; sums of another reference are forgotten, device notes are kept.

    A file that cannot be read is reported and begun anew: drift must not keep a service down.
    """
    if path is None or not path.is_file():
        return DriftState(reference)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            notes = StateNotes.model_validate_json(arrays["notes"].tobytes())
            same = notes.reference == reference and detector is not None
            scanners = {
                alias: ScannerState(
                    _track(arrays, alias, note, detector) if same and detector else None,
                    dict(note.devices), note.images, note.last_seconds,
                )
                for alias, note in notes.scanners.items()
            }  # fmt: skip
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        log.error("drift.state_unreadable", error=type(error).__name__)
        return DriftState(reference)
    return DriftState(reference, notes.salt, scanners)


def save_state(path: Path, state: DriftState) -> None:
    """Replace it in one step; only this user may read it."""
    notes = StateNotes(
        reference=state.reference,
        salt=state.salt,
        scanners={
            alias: ScannerNote(
                images=scanner.images,
                track_images=None if scanner.track is None else scanner.track.images,
                last_seconds=scanner.last_seconds,
                devices=scanner.devices,
            )
            for alias, scanner in state.scanners.items()
        },
    )
    arrays = {
        f"{alias}/{name}": getattr(scanner.track, name)
        for alias, scanner in state.scanners.items()
        if scanner.track is not None
        for name in ARRAYS
    }
    buffer = io.BytesIO()
    header = np.frombuffer(notes.model_dump_json().encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, notes=header, **arrays)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue(), PRIVATE)


def _track(
    arrays: Mapping[str, np.ndarray], alias: str, note: ScannerNote, detector: Detector
) -> Track | None:
    """The remembered track, if it has the shape of this reference's; None if it lost its place."""
    fresh = detector.start()
    found = {name: arrays[f"{alias}/{name}"] for name in ARRAYS}
    for name, array in found.items():
        expected = getattr(fresh, name)
        if array.shape != expected.shape or array.dtype != expected.dtype:
            raise ValueError(f"{name} of a scanner has another shape")
    images = note.track_images
    if images is None:
        # A sum that is zero, as one of its two sides is, says that it begins at the last image.
        images = int(found["since_images"].max())
    remembered = int((~np.isnan(found["window"]).all(axis=1)).sum())
    if remembered != min(images, len(found["window"])):
        return None
    return Track(images=images, last_seconds=note.last_seconds, **found)
