"""The model store as a whole: what is in it, which version serves, and how that may change.

`CURRENT` names the version that serves, `CANDIDATE` one that is scored beside it in silence, and
`HISTORY` has one line for each change of `CURRENT`, so that a rollback knows where to go, and an
auditor why a version serves whose audit did not pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.core.artifact import (
    CURRENT,
    MANIFEST,
    VERSION_NAME,
    Artifact,
    AuditVerdict,
    Manifest,
    Purpose,
    load_artifact,
    load_current,
    write_current,
)
from service.core.errors import ArtifactError, ArtifactInvalid
from service.core.files import write_whole
from service.core.findings import Finding

CANDIDATE = "CANDIDATE"
HISTORY = "HISTORY"
BECAUSE = " because "
"""Of a line of `HISTORY`: what follows is the reason, in words."""

FIT_VERDICTS = (AuditVerdict.PASS, AuditVerdict.WARN)
"""Of the confounding audit; any other version may be a candidate, and serves for a reason only."""

Prove = Callable[[Artifact], None]
"""Raises unless the engine that will serve reproduces the golden scores."""


class PromotionRefused(ArtifactError):
    """The version must not serve."""

    code = "PROMOTION_REFUSED"


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of the store; `fault` says why it could not be loaded."""

    reference: str
    digest: str
    created: str
    audit: str
    roles: tuple[str, ...]
    fault: str | None


def list_versions(store: Path) -> list[StoredVersion]:
    """Every version, by name and then by time of making, each verified to its last byte."""
    roles = {name: _read_pointer(store, name) for name in (CURRENT, CANDIDATE)}
    found = [_describe(manifest.parent, roles) for manifest in store.glob(f"*/*/{MANIFEST}")]
    return sorted(found, key=lambda version: (version.reference.split("/")[0], version.created))


def load_candidate(store: Path) -> Artifact | None:
    """Load the version that `CANDIDATE` names; None without one.

    Raises
    ------
    ArtifactError
        It is named, and is not what it must be.
    """
    named = _read_pointer(store, CANDIDATE)
    if named is None:
        return None
    reference, digest = named
    return load_artifact(store / reference, manifest_digest=digest)


def name_candidate(store: Path, reference: str) -> Artifact:
    """Have a version scored in silence beside the one that serves."""
    artifact = load_artifact(store / reference)
    write_whole(store / CANDIDATE, f"{artifact.reference} {artifact.digest}\n".encode())
    return artifact


def drop_candidate(store: Path) -> None:
    """Have nothing scored in silence."""
    (store / CANDIDATE).unlink(missing_ok=True)


def promote(
    store: Path,
    reference: str,
    *,
    prove: Prove,
    accepted_because: str = "",
    now: datetime | None = None,
) -> Artifact:
    """Make a version the one that serves, if digests, thresholds, audit and golden scores fit.

    Parameters
    ----------
    accepted_because
        Why it serves although its audit did not pass; stands in `HISTORY`.

    Raises
    ------
    PromotionRefused
        Says what does not fit; nothing was changed.
    ArtifactError
        The version is damaged.
    """
    candidate = _read_pointer(store, CANDIDATE)
    promised = candidate[1] if candidate is not None and candidate[0] == reference else None
    artifact = load_artifact(store / reference, manifest_digest=promised)
    serving = load_current(store) if (store / CURRENT).exists() else None
    because = " ".join(accepted_because.split())
    _refuse_unaudited(artifact.manifest, because)
    _refuse_unfit(artifact.manifest, None if serving is None else serving.manifest)
    prove(artifact)
    _move(store, "promote", serving, artifact, now, because)
    if promised is not None:
        drop_candidate(store)
    return artifact


def rollback(store: Path, *, prove: Prove, now: datetime | None = None) -> Artifact:
    """Have the version serve again that served before the last change.

    Raises
    ------
    PromotionRefused
        `HISTORY` names none.
    ArtifactError
        That version is not what it was.
    """
    before = _served_before(store)
    if before is None:
        raise PromotionRefused(f"{HISTORY} names no version to go back to")
    reference, digest = before
    artifact = load_artifact(store / reference, manifest_digest=digest)
    prove(artifact)
    _move(store, "rollback", load_current(store), artifact, now)
    return artifact


def flagged_findings(manifest: Manifest) -> set[Finding]:
    """Findings that have a certified threshold."""
    return {
        point.finding
        for point in manifest.operating_points
        if point.purpose is Purpose.FLAG and point.threshold is not None
    }


def _refuse_unaudited(manifest: Manifest, because: str) -> None:
    if manifest.audit not in FIT_VERDICTS and not because:
        fit = " or ".join(FIT_VERDICTS)
        raise PromotionRefused(
            f"the confounding audit says {manifest.audit}; expected {fit}, or say with "
            "--accept-audit why it serves all the same"
        )


def _refuse_unfit(manifest: Manifest, serving: Manifest | None) -> None:
    flagged = flagged_findings(manifest)
    if not flagged:
        raise PromotionRefused("no finding has a certified threshold")
    lost = (flagged_findings(serving) if serving else set()) - flagged
    if lost:
        raise PromotionRefused(
            f"{', '.join(sorted(lost))} has a certified threshold now and would have none"
        )


def _describe(folder: Path, roles: dict[str, tuple[str, str] | None]) -> StoredVersion:
    reference = f"{folder.parent.name}/{folder.name}"
    named = {role: pointer for role, pointer in roles.items() if pointer is not None}
    standing = tuple(role for role, pointer in named.items() if pointer[0] == reference)
    promised = {pointer[1] for pointer in named.values() if pointer[0] == reference}
    try:
        artifact = load_artifact(folder, manifest_digest=next(iter(promised), None))
    except ArtifactError as error:
        return StoredVersion(reference, "", "", "", standing, str(error).splitlines()[0])
    manifest = artifact.manifest
    return StoredVersion(
        reference, artifact.digest, manifest.created, manifest.audit.value, standing, None
    )


def _served_before(store: Path) -> tuple[str, str] | None:
    """What the newest change moved away from; a rollback undoes promotions one by one."""
    undone = 0
    for line in reversed(_history(store)):
        _, action, *pointers = line.partition(BECAUSE)[0].split(" ")
        if action == "rollback":
            undone += 1
        elif undone:
            undone -= 1
        elif len(pointers) == 4:
            return pointers[0], pointers[1]
        else:
            return None
    return None


def _history(store: Path) -> list[str]:
    path = store / HISTORY
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _move(
    store: Path,
    action: str,
    before: Artifact | None,
    after: Artifact,
    now: datetime | None,
    because: str = "",
) -> None:
    """First the history, then the pointer: a pointer that nobody can go back from is worse."""
    moment = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    pointers = [
        f"{artifact.reference} {artifact.digest}" for artifact in (before, after) if artifact
    ]
    reason = f"{BECAUSE}{because}" if because else ""
    lines = [*_history(store), " ".join([moment, action, *pointers]) + reason]
    write_whole(store / HISTORY, ("\n".join(lines) + "\n").encode())
    write_current(store, after)


def _read_pointer(store: Path, name: str) -> tuple[str, str] | None:
    path = store / name
    if not path.exists():
        return None
    named = VERSION_NAME.fullmatch(path.read_text(encoding="utf-8", errors="replace"))
    if named is None:
        raise ArtifactInvalid(f"{name} must read 'name/version sha256:<manifest digest>'")
    return f"{named[1]}/{named[2]}", named[3]
