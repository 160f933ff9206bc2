"""Which version serves changes only to one that fits, and can always be changed back."""

from dataclasses import replace
from pathlib import Path

import pytest

from service.core.artifact import (
    MANIFEST,
    WEIGHTS,
    Artifact,
    AuditVerdict,
    load_artifact,
    load_current,
    write_current,
)
from service.core.errors import ArtifactError, DigestMismatch, SelfTestFailed
from service.core.store import (
    HISTORY,
    PromotionRefused,
    list_versions,
    load_candidate,
    name_candidate,
    promote,
    rollback,
)
from tests.support.models import TinyChoices, build_files, describe, write_version


def _fit(artifact: Artifact) -> None:
    assert artifact.files


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Versions 1 (serving) to 3, all audited."""
    for version in ("0.0.3", "0.0.2", "0.0.1"):
        _write(tmp_path, version)
    return tmp_path


def _write(
    store: Path,
    version: str,
    audit: AuditVerdict = AuditVerdict.PASS,
    flag_threshold: float | None = 0.5,
) -> None:
    choices = TinyChoices(seed=int(version[-1]), version=version, flag_threshold=flag_threshold)
    if flag_threshold is None:
        choices = replace(choices, refer_threshold=None)
    files = build_files(choices)
    manifest = describe(choices, files).model_copy(update={"audit": audit})
    write_version(store, manifest, files)


def test_a_fit_version_is_promoted_and_taken_back(store: Path) -> None:
    promote(store, "tiny/0.0.2", prove=_fit)
    promote(store, "tiny/0.0.3", prove=_fit)
    served = [load_current(store).reference]
    for _ in range(2):
        rollback(store, prove=_fit)
        served.append(load_current(store).reference)

    assert served == ["tiny/0.0.3", "tiny/0.0.2", "tiny/0.0.1"]
    with pytest.raises(PromotionRefused, match="no version to go back to"):
        rollback(store, prove=_fit)


def test_a_rollback_is_followed_by_a_promotion(store: Path) -> None:
    promote(store, "tiny/0.0.2", prove=_fit)
    rollback(store, prove=_fit)
    promote(store, "tiny/0.0.3", prove=_fit)

    assert rollback(store, prove=_fit).reference == "tiny/0.0.1"


@pytest.mark.parametrize("audit", [AuditVerdict.NOT_RUN, AuditVerdict.FAIL])
def test_a_version_whose_audit_does_not_fit_is_refused(store: Path, audit: AuditVerdict) -> None:
    serving = load_current(store)
    _write(store, "0.0.4", audit)
    write_current(store, serving)

    with pytest.raises(PromotionRefused, match="confounding audit says"):
        promote(store, "tiny/0.0.4", prove=_fit)

    assert load_current(store).digest == serving.digest


def test_a_version_whose_audit_failed_serves_for_a_reason_that_history_keeps(store: Path) -> None:
    serving = load_current(store)
    _write(store, "0.0.4", AuditVerdict.FAIL)
    write_current(store, serving)

    promote(store, "tiny/0.0.4", prove=_fit, accepted_because="said so because\nno rollback helps")

    assert load_current(store).reference == "tiny/0.0.4"
    assert (store / HISTORY).read_text().endswith(" because said so because no rollback helps\n")
    assert rollback(store, prove=_fit).digest == serving.digest


def test_a_version_that_would_lose_a_threshold_is_refused(store: Path) -> None:
    serving = load_current(store)
    _write(store, "0.0.4", flag_threshold=None)
    write_current(store, serving)

    with pytest.raises(PromotionRefused, match="certified threshold"):
        promote(store, "tiny/0.0.4", prove=_fit)

    assert load_current(store).digest == serving.digest


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST])
def test_a_version_that_changed_since_it_was_named_is_refused(store: Path, name: str) -> None:
    name_candidate(store, "tiny/0.0.2")
    path = store / "tiny/0.0.2" / name
    path.write_bytes(path.read_bytes() + b" ")

    with pytest.raises(DigestMismatch):
        promote(store, "tiny/0.0.2", prove=_fit)

    assert load_current(store).reference == "tiny/0.0.1"


def test_a_version_that_does_not_prove_itself_is_refused(store: Path) -> None:
    def refuse(artifact: Artifact) -> None:
        raise SelfTestFailed(artifact.reference)

    with pytest.raises(SelfTestFailed):
        promote(store, "tiny/0.0.2", prove=refuse)

    assert load_current(store).reference == "tiny/0.0.1"


def test_a_promoted_candidate_is_no_candidate_any_more(store: Path) -> None:
    name_candidate(store, "tiny/0.0.2")
    candidate = load_candidate(store)

    promote(store, "tiny/0.0.2", prove=_fit)

    assert candidate is not None
    assert candidate.reference == "tiny/0.0.2"
    assert load_candidate(store) is None


def test_the_list_tells_roles_and_damage(store: Path) -> None:
    name_candidate(store, "tiny/0.0.2")
    (store / "tiny/0.0.3" / WEIGHTS).write_bytes(b"")

    listed = {version.reference: version for version in list_versions(store)}

    assert listed["tiny/0.0.1"].roles == ("CURRENT",)
    assert listed["tiny/0.0.2"].roles == ("CANDIDATE",)
    assert listed["tiny/0.0.2"].digest == load_artifact(store / "tiny/0.0.2").digest
    assert WEIGHTS in str(listed["tiny/0.0.3"].fault)


def test_a_version_that_is_not_there_is_an_artifact_error(store: Path) -> None:
    with pytest.raises(ArtifactError):
        promote(store, "tiny/9.9.9", prove=_fit)
