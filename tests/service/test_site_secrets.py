"""`cxr-triage init`: every program of a new site finds its secrets, and only its own."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.access.keyfile import edit_keys, load_keys
from service.access.keys import read_key
from service.access.scopes import Scope
from service.site_secrets import make_missing_secrets

PAST = datetime.now(UTC) - timedelta(days=1)


def key_behind(folder: Path, name: str) -> tuple[str, list[Scope]]:
    """Name and scopes of the key whose text lies there."""
    shown = read_key((folder / name).read_text("utf-8"))
    stored = load_keys(folder / "triage/keys.json")[0].find(shown.id)
    assert stored.digest == shown.digest.hex()
    return stored.name, stored.scopes


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_programs_get_keys_for_what_they_do(tmp_path: Path) -> None:
    make_missing_secrets(tmp_path)

    assert key_behind(tmp_path, "prometheus/token") == ("prometheus", [Scope.METRICS])
    assert key_behind(tmp_path, "orthanc/notify.key") == ("orthanc", [Scope.PREDICT])


def test_both_sides_have_the_same_password(tmp_path: Path) -> None:
    make_missing_secrets(tmp_path)

    orthanc = json.loads((tmp_path / "orthanc/site.json").read_text("utf-8"))
    password = (tmp_path / "triage/orthanc_password").read_text("utf-8")
    database = (tmp_path / "triage/database_password").read_text("utf-8")
    assert orthanc["RegisteredUsers"] == {"cxr-triage": password}
    assert (tmp_path / "postgres/password").read_text("utf-8") == database
    assert len({password, database, (tmp_path / "grafana/admin_password").read_text("utf-8")}) == 3


def test_second_start_changes_nothing(tmp_path: Path) -> None:
    first = make_missing_secrets(tmp_path)
    before = contents(tmp_path)

    second = make_missing_secrets(tmp_path)

    assert len(first) == 7
    assert second == []
    assert contents(tmp_path) == before


def test_key_that_the_service_forgot_is_made_anew(tmp_path: Path) -> None:
    make_missing_secrets(tmp_path)
    (tmp_path / "triage/keys.json").unlink()

    made = make_missing_secrets(tmp_path)

    assert made == ["prometheus/token", "orthanc/notify.key"]
    assert key_behind(tmp_path, "prometheus/token") == ("prometheus", [Scope.METRICS])


@pytest.mark.parametrize(
    "end",
    [{"revoked": PAST}, {"expires": PAST}, {"replaced_by": "0" * 12}],
    ids=lambda end: next(iter(end)),
)
def test_key_that_ended_or_was_replaced_is_made_anew(
    tmp_path: Path, end: dict[str, object]
) -> None:
    make_missing_secrets(tmp_path)
    old = read_key((tmp_path / "prometheus/token").read_text("utf-8")).id
    edit_keys(
        tmp_path / "triage/keys.json",
        lambda file: file.with_key(file.find(old).model_copy(update=end)),
        now=PAST,
    )

    assert make_missing_secrets(tmp_path) == ["prometheus/token"]
    assert read_key((tmp_path / "prometheus/token").read_text("utf-8")).id != old


def test_nobody_can_write_a_secret_and_only_the_service_reads_its_own(tmp_path: Path) -> None:
    make_missing_secrets(tmp_path)

    modes = {
        path.relative_to(tmp_path).parts[0]: path.stat().st_mode & 0o777
        for path in sorted(tmp_path.rglob("*"))
        if path.is_file()
    }
    assert modes == {
        "grafana": 0o444, "orthanc": 0o444, "postgres": 0o444, "prometheus": 0o444, "triage": 0o600,
    }  # fmt: skip
