"""A run -> a version of the store: what is refused, what it carries, which one then serves."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import time_machine

from service.core.artifact import AuditVerdict, MetricInterval, load_artifact, load_current
from service.core.drift_reference import DRIFT_REFERENCE, read_reference, write_reference
from service.core.errors import DigestMismatch
from service.core.store import HISTORY, PromotionRefused, rollback
from tests.support.drift import small_reference
from tests.support.models import build_tiny_artifact
from tests.training.chains import REASON, Chain, copy_run, wish
from training.acts.drift import run_drift_reference
from training.acts.release import Wish, run_release
from training.audit.results import AUDIT, Audit, LungQuality
from training.drift.reference import Effort
from training.manifest import EPOCH, Version
from training.measures.results import EVALUATION, TUNING, RunIncomplete, dump_record, file_digest
from training.release import ReleaseRefused
from training.scoring import load_run

DIGEST = "sha256:" + "0" * 64
FEW_IMAGES = Effort(training_per_group=3, signature_images=2, streams=20, run_images=100)


def audit_of(chain: Chain) -> Audit:
    tuning = chain.tuning
    return Audit(
        weights_digest=tuning.weights_digest,
        config_digest=tuning.config_digest,
        split_digest=tuning.split_digest,
        tuning_digest=file_digest(chain.place.run / TUNING),
        splits=("test",),
        images={},
        draws=20,
        seed=0,
        lungs=LungQuality({}, {}, {}, MetricInterval(value=1, low=1, high=1)),
        tests=(),
        verdict=AuditVerdict.PASS,
        notes=(),
    )


def test_promoted_release_is_in_the_history_and_can_be_taken_back(
    chain: Chain, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(chain.version.store, tmp_path / "store"))
    version = Version(store, "cxr-tiny", "0.0.2")

    run_release(chain.place, None, Wish(version, is_promoted=True, accepted_because=REASON))

    first, second = (store / HISTORY).read_text().splitlines()
    assert load_current(store).reference == "cxr-tiny/0.0.2"
    assert all(line.endswith(f" because {REASON}") for line in (first, second))
    assert f"{chain.artifact.reference} {chain.artifact.digest} cxr-tiny/0.0.2" in second
    assert rollback(store, prove=lambda artifact: None).digest == chain.artifact.digest


def test_release_that_would_lose_a_threshold_is_written_and_does_not_serve(
    chain: Chain, tmp_path: Path
) -> None:
    place = copy_run(chain.place, tmp_path / "run")
    store = build_tiny_artifact(tmp_path / "store")
    version = Version(store, "cxr-tiny", "0.0.2")

    with pytest.raises(PromotionRefused, match="pneumonia has a certified threshold now"):
        run_release(place, None, Wish(version, is_promoted=True, accepted_because=REASON))

    assert load_artifact(version.folder).reference == "cxr-tiny/0.0.2"
    assert load_current(store).reference == "tiny/0.0.1"


def test_version_is_never_overwritten(chain: Chain) -> None:
    with pytest.raises(ReleaseRefused, match="never changes"):
        run_release(chain.place, None, wish(chain.version))


def test_changed_release_is_noticed(chain: Chain, tmp_path: Path) -> None:
    for path in chain.version.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "MODEL_CARD.md").write_text("better numbers")

    with pytest.raises(DigestMismatch, match="MODEL_CARD"):
        load_artifact(tmp_path)


def test_evaluation_of_another_tuning_is_not_released(chain: Chain, tmp_path: Path) -> None:
    place = copy_run(chain.place, tmp_path)
    (place.run / TUNING).write_text((place.run / TUNING).read_text() + "\n")

    with pytest.raises(RunIncomplete, match="cxr-train evaluate"):
        run_release(place, None, wish(Version(tmp_path, "cxr-tiny", "0.0.2")))

    assert not (tmp_path / "cxr-tiny").exists()


@pytest.mark.parametrize("field", ["config_digest", "split_digest"])
def test_evaluation_of_other_settings_or_data_is_not_released(
    chain: Chain, tmp_path: Path, field: str
) -> None:
    place = copy_run(chain.place, tmp_path)
    other = replace(chain.evaluation, **{field: DIGEST})  # type: ignore[arg-type]  # a text field
    (place.run / EVALUATION).write_bytes(dump_record(other))

    with pytest.raises(ReleaseRefused, match="cxr-train evaluate"):
        run_release(place, None, wish(Version(tmp_path / "store", "cxr-tiny", "0.0.2")))


@pytest.mark.parametrize("field", ["config_digest", "split_digest", "tuning_digest"])
def test_audit_of_other_settings_or_data_is_not_released(
    chain: Chain, tmp_path: Path, field: str
) -> None:
    place = copy_run(chain.place, tmp_path)
    audit = replace(audit_of(chain), **{field: DIGEST})  # type: ignore[arg-type]  # a text field
    (place.run / AUDIT).write_bytes(dump_record(audit))

    with pytest.raises(RunIncomplete, match="cxr-train audit"):
        run_release(place, None, wish(Version(tmp_path / "store", "cxr-tiny", "0.0.2")))


def test_nothing_is_left_where_a_release_fails(chain: Chain, tmp_path: Path) -> None:
    place = copy_run(chain.place, tmp_path / "run")
    broken = (place.run / EVALUATION).read_text().replace('"value"', '"worth"')
    (place.run / EVALUATION).write_text(broken)

    with pytest.raises(RunIncomplete, match="not what"):
        run_release(place, None, wish(Version(tmp_path / "store", "t", "1")))

    assert not (tmp_path / "store").exists()


def test_released_version_carries_the_drift_reference_of_its_weights(
    chain: Chain, tmp_path: Path
) -> None:
    place = copy_run(chain.place, tmp_path / "run")
    made = run_drift_reference(place, None, FEW_IMAGES)

    artifact = run_release(place, None, wish(Version(tmp_path / "store", "t", "1")))

    carried = read_reference(artifact.files[DRIFT_REFERENCE])
    assert carried.header == made.header
    assert carried.header.weights_digest == load_run(place.run, None).weights_digest


def test_drift_reference_of_other_weights_is_not_released(chain: Chain, tmp_path: Path) -> None:
    place = copy_run(chain.place, tmp_path / "run")
    other = small_reference()
    header = other.header.model_copy(update={"weights_digest": "sha256:0"})
    (place.run / DRIFT_REFERENCE).write_bytes(write_reference(replace(other, header=header)))

    with pytest.raises(RunIncomplete, match="cxr-train drift"):
        run_release(place, None, wish(Version(tmp_path / "store", "t", "1")))


def test_version_without_a_sound_audit_needs_a_reason(chain: Chain, tmp_path: Path) -> None:
    version = Version(tmp_path, "cxr-tiny", "0.0.3")

    with pytest.raises(ReleaseRefused, match=r"not_run.*cxr-train release --accept-audit"):
        run_release(chain.place, None, Wish(version))

    card = chain.artifact.files["MODEL_CARD.md"].decode()
    assert f"Released although the audit reads *not_run*: {REASON}" in card


def test_same_run_and_fixed_time_give_the_same_digest_whatever_the_clock_says(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EPOCH, "1700000000")
    released = []
    for year in ("2030", "2031"):
        place = copy_run(chain.place, tmp_path / year / "run")
        with time_machine.travel(f"{year}-02-03T04:05:06+00:00", tick=True):
            run_drift_reference(place, None, FEW_IMAGES)
            version = Version(tmp_path / year / "store", "cxr-tiny", "0.0.4")
            released.append(run_release(place, None, wish(version)))

    first, second = released
    reference = read_reference(first.files[DRIFT_REFERENCE])
    assert [name for name in first.files if first.files[name] != second.files[name]] == []
    assert first.digest == second.digest
    assert {first.manifest.created, reference.header.created} == {"2023-11-14T22:13:20+00:00"}
