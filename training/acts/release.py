"""The act `release`: everything that a run folder holds becomes one version."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from service.core.artifact import Artifact, AuditVerdict, digest_of
from service.core.drift_reference import DRIFT_REFERENCE, find_reference
from service.core.ood import OOD
from service.core.store import promote
from training.acts.audit import AuditOptions
from training.acts.drift import DEFAULT_EFFORT
from training.acts.report import write_report
from training.acts.steps import Workplace
from training.audit.results import AUDIT, Audit
from training.card.limits import audit_limits, detector_limits
from training.card.sections import (
    audit_section,
    bars_section,
    comparison_section,
    explanation_section,
    members_section,
    ood_section,
    search_section,
    simulation_section,
)
from training.config import RunConfig
from training.data.studies import Split
from training.drift.reference import Effort
from training.evaluate import DRAWS
from training.explain import EXPLANATION, SHEET, Explanation
from training.manifest import Version
from training.measures.results import (
    EVALUATION,
    MEMBERS,
    TUNING,
    Evaluation,
    RunIncomplete,
    Tuning,
    file_digest,
    load_record,
)
from training.ood.absence import NO_DETECTOR, NoDetector
from training.ood.measure import OOD_EVALUATION, OodEvaluation
from training.release import Attachments, check_version, release, verify
from training.report.html import REPORT
from training.scoring import Run, load_run, torch_forward
from training.search.recipes import SEARCH, Search
from training.soup import Members

Record = TypeVar("Record")
SHIPPED = (OOD_EVALUATION, NO_DETECTOR, AUDIT, MEMBERS, SEARCH, REPORT, DRIFT_REFERENCE)
"""Files of a run that go into the version as they are, where they are there; what
`explain` wrote does not, since it shows patients."""


@dataclass(frozen=True, slots=True)
class _Left:
    """What the acts beside tuning and evaluation left in a run folder."""

    audit: Audit | None
    explained: Explanation | None
    ood: OodEvaluation | None
    no_detector: NoDetector | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be made of a run.

    Attributes
    ----------
    accepted_because
        Why it is released although the audit fails.
    against
        Version folder of an earlier release to compare with.
    audit, draws, drift
        What the acts of `make` may cost; `draws` is of the evaluation.
    """

    version: Version
    is_promoted: bool = False
    accepted_because: str = ""
    against: Path | None = None
    audit: AuditOptions = field(default_factory=AuditOptions)
    draws: int = DRAWS
    drift: Effort = DEFAULT_EFFORT


def run_release(place: Workplace, config: RunConfig | None, wish: Wish) -> Artifact:
    """Write the version folder, and have it serve when asked to and it fits.

    Raises
    ------
    training.release.ReleaseRefused
        The version exists, its parts do not belong together, or its audit speaks against it.
    RunIncomplete
        An act is missing, or was run on other weights, settings or data.
    service.core.store.PromotionRefused
        It is written, and must not serve.
    """
    check_version(wish.version)
    run = load_run(place.run, config)
    tuning = load_record(place.run, TUNING, Tuning, "tune")
    evaluation = load_record(place.run, EVALUATION, Evaluation, "evaluate")
    if evaluation.tuning_digest != file_digest(place.run / TUNING):
        raise RunIncomplete("the evaluation is of another tuning: run `cxr-train evaluate`")
    write_report(place.run, Split.TEST)
    attached = gather_attachments(place.run, run.weights_digest, evaluation, tuning)
    attached = replace(attached, accepted_because=wish.accepted_because)
    with place.console.status("building and verifying"):
        artifact = release(wish.version, run, tuning, evaluation, attached)
    place.console.print(f"released {artifact.reference} {artifact.digest} in {wish.version.folder}")
    if wish.is_promoted:
        _promote(wish, run)
        place.console.print(f"{artifact.reference} is the version that serves")
    return artifact


def _promote(wish: Wish, run: Run) -> None:
    """By the rules of `cxr-triage model promote`, proved anew as it lies in the store."""

    def prove(artifact: Artifact) -> None:
        verify(artifact, torch_forward(run.network))

    version = wish.version
    promote(
        version.store,
        f"{version.name}/{version.number}",
        prove=prove,
        accepted_because=wish.accepted_because,
    )


def gather_attachments(
    folder: Path, weights_digest: str, evaluation: Evaluation, tuning: Tuning
) -> Attachments:
    """What the acts beside tuning and evaluation left, if it is about these weights."""
    left = _load_left(folder, weights_digest)
    _check_belongs(left, tuning, file_digest(folder / TUNING))
    sections = (
        _section(bars_section, evaluation.evidence.bars if evaluation.evidence else None),
        _section(comparison_section, evaluation.comparison),
        _section(simulation_section, tuning.simulations),
        _section(audit_section, left.audit),
        _section(explanation_section, left.explained),
        _section(ood_section, left.ood),
        _section(members_section, _load(folder, MEMBERS, Members, "fit")),
        _section(search_section, _load(folder, SEARCH, Search, "search")),
    )
    _check_drift(folder, weights_digest)
    return Attachments(
        audit=left.audit.verdict if left.audit else AuditVerdict.NOT_RUN,
        out_of_distribution=left.ood.point if left.ood else None,
        sections=tuple(section for section in sections if section),
        limits=(*audit_limits(left.audit), *detector_limits(left.ood, left.no_detector)),
        files=_gather_files(folder, left.ood),
    )


def _load_left(folder: Path, weights_digest: str) -> _Left:
    """Of these weights each, where it is there."""
    explained = _load(folder, EXPLANATION, Explanation, "explain")
    return _Left(
        audit=_of_weights(_load(folder, AUDIT, Audit, "audit"), weights_digest, "audit"),
        explained=_of_weights(explained, weights_digest, "explain"),
        ood=_of_weights(_load(folder, OOD_EVALUATION, OodEvaluation, "ood"), weights_digest, "ood"),
        no_detector=_of_weights(
            _load(folder, NO_DETECTOR, NoDetector, "ood"), weights_digest, "ood"
        ),
    )


def _gather_files(folder: Path, ood: OodEvaluation | None) -> dict[str, bytes]:
    """Bodies of the figures, of `SHIPPED`, and of the detector that was measured."""
    figures = [path.name for path in sorted(folder.glob("*.png")) if path.name != SHEET]
    names = [*figures, *(name for name in SHIPPED if (folder / name).is_file())]
    files = {name: (folder / name).read_bytes() for name in names}
    if ood is not None:
        files[OOD] = (folder / OOD).read_bytes()
        if digest_of(files[OOD]) != ood.detector_digest:
            raise RunIncomplete(f"{OOD} is not the one that was measured: run `cxr-train ood`")
    return files


def _load(folder: Path, name: str, kind: type[Record], made_by: str) -> Record | None:
    return load_record(folder, name, kind, made_by) if (folder / name).is_file() else None


def _of_weights(found: Record | None, digest: str, act: str) -> Record | None:
    if found is not None and getattr(found, "weights_digest", digest) != digest:
        raise RunIncomplete(f"the weights changed since: run `cxr-train {act}`")
    return found


def _check_belongs(left: _Left, tuning: Tuning, tuning_digest: str) -> None:
    """Equal weights may have been measured with other settings, or on another split."""
    proper = (tuning.config_digest, tuning.split_digest)
    audit, ood, absent = left.audit, left.ood, left.no_detector
    if audit is not None and (
        (audit.config_digest, audit.split_digest) != proper or audit.tuning_digest != tuning_digest
    ):
        raise RunIncomplete("the audit is of another tuning: run `cxr-train audit`")
    if ood is not None and (ood.config_digest or proper[0], ood.split_digest) != proper:
        raise RunIncomplete("ood.json is of other settings or data: run `cxr-train ood`")
    if absent is not None and (absent.config_digest, absent.split_digest) != proper:
        raise RunIncomplete(f"{NO_DETECTOR} is of other settings or data: run `cxr-train ood`")


def _check_drift(folder: Path, weights_digest: str) -> None:
    """Scores of other weights would be drift from the first day."""
    if (folder / DRIFT_REFERENCE).is_file():
        reference = find_reference({DRIFT_REFERENCE: (folder / DRIFT_REFERENCE).read_bytes()})
        if reference is not None and reference.header.weights_digest not in ("", weights_digest):
            raise RunIncomplete("the weights changed since: run `cxr-train drift`")


def _section(write: Callable[[Record], str], found: Record | None) -> str:
    return write(found) if found else ""
