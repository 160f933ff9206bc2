"""One upload on its way through the pipeline, and what is known of it so far."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np

from service.core.artifact import Artifact, OperatingPoint, digest_of
from service.core.drift_reference import DRIFT_REFERENCE
from service.core.drift_scalars import GreySample
from service.core.inference import Recipe, recipe_of
from service.core.intake import sniff
from service.core.ood import OodPoint
from service.core.radiograph import Caution, DicomContext, FileFormat, Radiograph, StoredPixels
from service.core.scope import IntendedUse
from service.core.triage import Priority
from service.drift_state import digest_of_reference
from service.metrics import MODEL_WARNINGS
from service.record import ModelStamp, Outcome
from service.record.rows import canonical_json
from service.scanners import OTHER
from service.turns import ANYBODY, Turn

PIXEL_DIGEST: Final = "stored-sha256"
"""What a pixel digest is of, before its colon; `sha256` alone is of grey levels as displayed, in
rows of releases up to 0.1."""

BLOCK_ROWS: Final = 64

Facts = dict[str, str | int | float | bool | list[str] | None]
"""Fields of a log line."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What the manifest of the serving model prescribes, as the pipeline needs it."""

    stamp: ModelStamp
    intended_use: IntendedUse
    recipe: Recipe
    operating_points: tuple[OperatingPoint, ...]
    out_of_distribution: OodPoint | None = None
    drift_reference: str = digest_of_reference(None)


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the work on one upload, on the pipeline's clock."""

    name: str
    started: float
    ended: float


@dataclass(slots=True)
class Case:
    """The facts of one request; grey levels are let go as soon as they are preprocessed.

    Attributes
    ----------
    deadline
        On the event loop's clock.
    turn
        Who asks, and how urgently: who goes first where several wait.
    seconds
        Time spent so far, by stage.
    steps
        When the stages, and parts of them, took place: for tracing.
    hold
        Counts bytes beyond the body as held for as long as it is open.
    scanner
        Alias out of the site's closed set.
    sample
        Some rows of the radiograph, for drift.
    outcome, reason, priority
        How it ended; None until its row is durable.
    """

    id: str
    body: bytes = field(repr=False)
    received_at: datetime
    deadline: float
    seconds: dict[str, float]
    turn: Turn = ANYBODY
    hold: Callable[[int], AbstractContextManager[object]] = nullcontext
    file_format: FileFormat | None = None
    input_digest: str = ""
    pixel_digest: str | None = None
    dicom: DicomContext | None = field(default=None, repr=False)
    scanner: str = OTHER
    cautions: tuple[Caution, ...] = ()
    sample: GreySample | None = field(default=None, repr=False)
    out_of_distribution: float | None = None
    steps: list[Step] = field(default_factory=list, repr=False)
    outcome: Outcome | None = None
    reason: str | None = None
    priority: Priority | None = None

    def stamp_input(self, digest: str) -> None:
        """Note what the bytes are, whether they can be decoded or not."""
        self.file_format = sniff(self.body)
        self.input_digest = digest

    def identify(self, context: DicomContext, scanner: str) -> None:
        """Keep what the tags say, whether the pixels can be read or not."""
        self.dicom, self.scanner = context, scanner

    def keep(self, radiograph: Radiograph) -> None:
        """Note what was read; what has a SOP instance is known again by its pixels."""
        self.dicom = radiograph.dicom
        self.cautions = radiograph.cautions
        if radiograph.stored is not None:
            self.pixel_digest = digest_of_pixels(radiograph.stored)

    def facts(self, *, tells_results: bool) -> Facts:
        """What a log line may say of it.

        Parameters
        ----------
        tells_results
            False in shadow mode: what the model thinks is told by the row alone.
        """
        facts: Facts = {f"{stage}_seconds": round(s, 6) for stage, s in self.seconds.items()}
        untold = () if tells_results else MODEL_WARNINGS
        return facts | {
            "id": self.id,
            "lane": "stat" if self.turn.is_urgent else "routine",
            "body_bytes": len(self.body),
            "file_format": self.file_format,
            "scanner": self.scanner,
            "outcome": self.outcome,
            "reason": self.reason,
            "priority": self.priority if tells_results else None,
            "warnings": [told.code for told in self.cautions if told.code not in untold],
        }

    @contextmanager
    def timed(self, stage: str, clock: Callable[[], float]) -> Iterator[None]:
        """Add the time of one stage, however it ends."""
        started = clock()
        try:
            yield
        finally:
            self._note(stage, started, clock())

    @contextmanager
    def step(self, name: str, clock: Callable[[], float]) -> Iterator[None]:
        """Note when a part of a stage took place, however it ends."""
        started = clock()
        try:
            yield
        finally:
            self.steps.append(Step(name, started, clock()))

    def note_scored(self, queue_seconds: float, inference_seconds: float, now: float) -> None:
        """Add the two stages that the batcher times, the second of which has just ended."""
        began = now - inference_seconds
        self._note("queue", began - queue_seconds, began)
        self._note("inference", began, now)

    def _note(self, stage: str, started: float, ended: float) -> None:
        self.seconds[stage] = ended - started
        self.steps.append(Step(stage, started, ended))


def serve_model(artifact: Artifact) -> ServedModel:
    """Take from the manifest all that the pipeline obeys, each part stamped by its digest."""
    manifest = artifact.manifest
    points = [point.model_dump(mode="json") for point in manifest.operating_points]
    ood = manifest.out_of_distribution
    points += [ood.model_dump(mode="json")] if ood else []
    stamp = ModelStamp(
        name=manifest.name,
        version=manifest.version,
        digest=artifact.digest,
        weights_digest=manifest.operating_points[0].weights_digest,
        threshold_digest=digest_of(canonical_json(points).encode()),
        preprocess_digest=digest_of(
            canonical_json(manifest.preprocess.model_dump(mode="json")).encode()
        ),
    )
    recipe = recipe_of(artifact)
    drift_reference = digest_of_reference(artifact.files.get(DRIFT_REFERENCE))
    return ServedModel(
        stamp, manifest.intended_use, recipe, manifest.operating_points, ood, drift_reference
    )


def digest_of_pixels(stored: StoredPixels) -> str:
    """SHA-256 of size and stored pixels: equal for every lossless encoding of one exposure.

    Tags that say how bright it is to be shown have no part in it. Row by row in blocks that stay
    in the cache, so that the bits that hold no pixel are masked at no cost.
    """
    rows, columns = stored.words.shape
    digest = hashlib.sha256(f"{rows}x{columns}:".encode())
    mask = np.uint16((1 << stored.bits) - 1)
    for row in range(0, rows, BLOCK_ROWS):
        block = stored.words[row : row + BLOCK_ROWS].astype(np.uint16, order="C", copy=False)
        pixels = np.bitwise_and(np.right_shift(block, np.uint16(stored.shift)), mask)
        digest.update(pixels.astype("<u2", copy=False).data)
    return f"{PIXEL_DIGEST}:{digest.hexdigest()}"
