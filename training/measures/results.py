"""What the acts write into a run folder for the acts after them: tuning.json, evaluation.json.

Plain values, read back through pydantic, so that a file of another shape is refused.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from service.core.artifact import Calibration, MetricInterval, OperatingPoint, Purpose
from service.core.findings import Finding
from training.config import first_fault
from training.measures.evidence import Comparison, Evidence, Simulation
from training.measures.statistics import CalibrationLine, ReliabilityBin

CONFIG = "config.json"
LOG = "log.jsonl"
SPLIT = "split.txt"
TUNING = "tuning.json"
EVALUATION = "evaluation.json"
MEMBERS = "members.json"

Counts = dict[str, dict[str, int]]
"""Source -> finding -> images."""

Record = TypeVar("Record")


class RunIncomplete(ValueError):
    """The run folder lacks what an earlier act should have written."""


@dataclass(frozen=True, slots=True)
class Rates:
    """One finding against all else at one threshold; None where there is no such image."""

    positives: int
    negatives: int
    sensitivity: MetricInterval | None
    specificity: MetricInterval | None
    ppv: MetricInterval | None
    npv: MetricInterval | None


@dataclass(frozen=True, slots=True)
class PredictiveValues:
    """What a flag, and no flag, would mean where the finding is so common."""

    prevalence: float
    ppv: MetricInterval
    npv: MetricInterval


@dataclass(frozen=True, slots=True)
class PointRates:
    """An operating point and what it does, over all images and within each source."""

    point: OperatingPoint
    pooled: Rates | None
    sources: dict[str, Rates]
    prevalence: tuple[PredictiveValues, ...] = ()


@dataclass(frozen=True, slots=True)
class PositivesInScope:
    """The positive patients that an operating point is certified on, by the intended use.

    Attributes
    ----------
    missed
        Of those in scope, whose score lies below the threshold.
    misses_allowed
        What would certify the target on those in scope alone; None where they are too few.
    needed
        Fewest positives that certify the target, with none missed.
    is_given
        Whether the point has a threshold at all.
    """

    finding: Finding
    purpose: Purpose
    target_sensitivity: float
    in_scope: int
    outside: int
    age_unknown: int
    missed: int
    misses_allowed: int | None
    needed: int
    is_given: bool

    @property
    def is_certified(self) -> bool:
        """Whether those in scope alone certify the threshold, or a higher one."""
        allowed = self.misses_allowed
        return self.is_given and allowed is not None and self.missed <= allowed


@dataclass(frozen=True, slots=True)
class Tuning:
    """Calibration and operating points of one set of weights, on the validation split."""

    weights_digest: str
    config_digest: str
    split_digest: str
    training_images: Counts
    images: Counts
    patients: int
    calibration: Calibration
    log_loss_before: float
    log_loss_after: float
    points: tuple[PointRates, ...]
    notes: tuple[str, ...]
    simulations: tuple[Simulation, ...] = ()
    """Does the guarantee of these points hold when their sample is drawn again?"""
    positives_in_scope: tuple[PositivesInScope, ...] = ()
    """One a point; none in a tuning of before they were counted."""
    patients_unproved: dict[str, int] | None = None
    """Source -> training and validation images whose patient nothing tells."""


@dataclass(frozen=True, slots=True)
class Discrimination:
    """AUC of the network and of the trivial baseline on the same images."""

    positives: int
    negatives: int
    patients: int
    network: MetricInterval
    """Limits by resampling patients; by Newcombe's method where the separation is perfect."""
    delong: MetricInterval
    baseline: MetricInterval
    difference: MetricInterval
    """Network minus baseline, resampled together."""


@dataclass(frozen=True, slots=True)
class MacroAuc:
    """Mean of the one-against-the-rest AUCs."""

    network: MetricInterval
    baseline: MetricInterval
    single_view: MetricInterval
    """Of the network without test-time augmentation."""


@dataclass(frozen=True, slots=True)
class FindingCalibration:
    """How the probability of one finding compares with how often it is true."""

    line: CalibrationLine | None
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Stratum:
    """A finding against normal within one group of patients."""

    name: str
    finding: str
    auc: MetricInterval
    rates: Rates | None
    """At the flag threshold."""
    positives: int = 0
    negatives: int = 0


@dataclass(frozen=True, slots=True)
class EngineAgreement:
    """An engine that serves, against the reference that every number was measured with."""

    largest_difference: float
    """Of a probability."""
    images: int
    other_priority: int
    """Images that this engine puts into another place of the reading list."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Every number of one evaluation."""

    weights_digest: str
    tuning_digest: str
    split: str
    split_digest: str
    images: Counts
    patients: int
    bootstrap_draws: int
    seed: int
    macro_auc: MacroAuc
    discrimination: dict[str, Discrimination]
    points: tuple[PointRates, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the truth, columns the most likely finding."""
    priorities: Counts
    """`source: finding` -> priority -> images."""
    engines: dict[str, EngineAgreement]
    log_loss: MetricInterval
    brier: MetricInterval
    calibration_error: MetricInterval
    calibration: dict[str, FindingCalibration]
    strata: tuple[Stratum, ...]
    caveats: tuple[str, ...]
    source_strata: tuple[Stratum, ...] = ()
    """The same groups within each source."""
    evidence: Evidence | None = None
    comparison: Comparison | None = None
    """With an earlier release, where one was named."""
    config_digest: str = ""
    """Empty in an evaluation of before it was kept."""


def dump_record(record: object) -> bytes:
    """A record as indented JSON."""
    return TypeAdapter(type(record)).dump_json(record, indent=2) + b"\n"


def load_record(folder: Path, name: str, kind: type[Record], made_by: str) -> Record:
    """Read a record that another act wrote.

    Raises
    ------
    RunIncomplete
        It is not there, or is of another shape; says which act writes it.
    """
    path = folder / name
    if not path.is_file():
        raise RunIncomplete(f"{path} is not there: run `cxr-train {made_by}` first")
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        fault = first_fault(error)
        raise RunIncomplete(f"{path} is not what `cxr-train {made_by}` writes: {fault}") from error


def file_digest(path: Path) -> str:
    """`sha256:` and the digest of a file."""
    with path.open("rb") as handle:
        return "sha256:" + hashlib.file_digest(handle, "sha256").hexdigest()
