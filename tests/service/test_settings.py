"""Settings are complete, bounded, and refuse what they would otherwise ignore."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.environment import SettingsInvalid, UnknownSetting, describe_settings, read_settings
from service.settings import MAX_SCANNERS, RecordSettings, Settings, find_model_store

SCORE_WORDS = ("THRESHOLD", "TEMPERATURE", "VIEW", "SIDE", "PERCENTILE", "CALIBRATION", "FINDING")


def test_variable_reaches_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_BATCH__MAX_IMAGES", "7")
    monkeypatch.setenv("CXR_MODE", "shadow")

    settings = read_settings()

    assert settings.batch.max_images == 7
    assert settings.mode == "shadow"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("CXR_BATCH__MAX_IMAGE", "CXR_BATCH__MAX_IMAGES"), ("CXR_PORT", "CXR_")],
)
def test_misspelt_variable_is_refused_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.setenv(name, "7")

    with pytest.raises(UnknownSetting, match=hint) as refused:
        read_settings()

    assert name in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CXR_MODE", "loud"),
        ("CXR_BATCH__MAX_IMAGES", "0"),
        ("CXR_BATCH__MAX_WAIT_SECONDS", "-1"),
        ("CXR_SERVER__PORT", "70000"),
        ("CXR_INTAKE__MAX_IN_FLIGHT_BYTES", "5000"),
        ("CXR_SCANNERS", '{"ROOM 1": "Room One"}'),
    ],
)
def test_value_out_of_bounds_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsInvalid):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CXR_RECORD__URL", "postgresql://cxr:hunter2/log", "CXR_RECORD__URL"),
        ("CXR_RECORD__URL", "cxr:hunter2@log", "CXR_RECORD__URL"),
        ("CXR_SERVER__PORT", "hunter2", "CXR_SERVER__PORT"),
        ("CXR_SCANNERS", "{hunter2", "CXR_SCANNERS is not JSON"),
    ],
)
def test_refusal_does_not_repeat_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsInvalid) as refused:
        read_settings()

    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["CXR_SCANNERS", "CXR_PACS__MODALITIES", "CXR_ACCESS__OIDC_GROUPS"],
)
def test_text_that_is_no_json_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its group has others of the kind, and numbers, whose text is right."""
    monkeypatch.setenv("CXR_ACCESS__TRUSTED_PROXIES", '["192.0.2.1"]')
    monkeypatch.setenv("CXR_PACS__POLL_SECONDS", "2")
    monkeypatch.setenv(name, "{hunter2: x}")

    with pytest.raises(SettingsInvalid) as refused:
        read_settings()

    assert refused.value.reasons == {name: "is not JSON"}


def test_error_of_the_settings_themselves_does_not_repeat_a_value_either() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"record": {"url": "x://u:hunter2@h", "passwords": "hunter2"}})

    assert "hunter2" not in str(refused.value)


def test_too_many_scanner_aliases_are_refused() -> None:
    scanners = {f"station {n}": f"room-{n}" for n in range(MAX_SCANNERS + 1)}

    with pytest.raises(ValidationError, match="at most 32"):
        Settings(scanners=scanners)


def test_settings_are_frozen() -> None:
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, "mode", "shadow")  # noqa: B010 - mypy knows that it is read-only


def test_each_setting_has_a_description_and_a_line_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/settings.md").read_text(encoding="utf-8")

    described = dict(describe_settings())

    assert all(described.values())
    assert [name for name, text in described.items() if f"| `{name}` | {text} |" not in page] == []


def test_no_setting_can_change_a_score() -> None:
    names = [name for name, _ in describe_settings()]

    assert [name for name in names if any(word in name for word in SCORE_WORDS)] == []


def test_model_store_is_found_beside_the_package_from_anywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert find_model_store(None) == Path(__file__).parents[2] / "model_store"
    assert find_model_store(tmp_path) == tmp_path


def test_every_accepted_upload_has_a_place_in_the_queue_by_default() -> None:
    settings = Settings()

    assert settings.intake.max_requests <= settings.batch.max_queued


def test_batches_and_decoders_follow_the_machine_by_default() -> None:
    settings = Settings()

    assert settings.batch.max_images is None
    assert settings.decode.threads == 0


def test_password_of_the_database_comes_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("p@ss/word\n", "utf-8")

    record = RecordSettings(url="postgresql+pg8000://cxr@db:5432/cxr", password_file=path)

    assert record.url == "postgresql+pg8000://cxr:p%40ss%2Fword@db:5432/cxr"


def test_password_file_is_no_matter_for_a_database_file(tmp_path: Path) -> None:
    record = RecordSettings(url="sqlite:///shadow.db", password_file=tmp_path / "absent")

    assert record.url == "sqlite:///shadow.db"


@pytest.mark.parametrize("url", ["postgresql+pg8000://cxr@db/cxr", "postgresql://cxr:twice@db/cxr"])
def test_two_passwords_and_none_are_refused_without_being_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as refusal:
        RecordSettings(url=url, password_file=tmp_path / "absent")

    assert "twice" not in refusal.value.errors()[0]["msg"]
