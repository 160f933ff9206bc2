"""`cxr-triage keys`, as an operator types it."""

import json
import re
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.access.keyfile import StoredKey, load_keys
from service.access.keyring import KeyRing
from service.access.refusals import KeyExpired, KeyRevoked, KeysUnavailable, KeyUnknown
from service.access.scopes import Scope
from service.cli import app
from service.keys_cli import OutUnwritable

Run = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "private/keys.json"


@pytest.fixture
def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CXR_ACCESS__KEYS_FILE", str(path))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, ["keys", *words])


def ring_at(path: Path, now: datetime) -> KeyRing:
    return KeyRing(path, clock=lambda: now)


def only_key(path: Path) -> StoredKey:
    (key,) = load_keys(path)[0].keys
    return key


def test_key_is_shown_once_and_alone_on_standard_output(run: Run, path: Path) -> None:
    made = run("create", "pacs router", "--scope", "predict", "--scope", "metrics")
    text = made.stdout.strip()

    found = ring_at(path, datetime.now(UTC)).find(text)
    assert made.exit_code == 0
    assert re.fullmatch(r"cxr_[0-9a-f]{12}_[\w-]{43}", text)
    assert found.scopes == {Scope.PREDICT, Scope.METRICS}
    assert text.split("_", 2)[2] not in run("list").output + path.read_text("utf-8")
    assert "pacs router" in run("list").output


def test_key_ends_after_a_year_unless_told_otherwise(run: Run, path: Path) -> None:
    run("create", "one", "--scope", "predict")
    year = only_key(path).expires
    run("create", "two", "--scope", "predict", "--expires", "never")

    assert year is not None
    assert timedelta(days=364) < year - datetime.now(UTC) <= timedelta(days=365)
    assert load_keys(path)[0].keys[1].expires is None


def test_own_limits_are_kept(run: Run, path: Path) -> None:
    run(
        "create", "one", "--scope", "predict", "--requests-per-minute", "30",
        "--max-body-bytes", "5000000",
    )  # fmt: skip

    key = only_key(path)
    assert (key.requests_per_minute, key.max_body_bytes) == (30, 5_000_000)


def test_rotated_key_is_good_until_the_overlap_is_over(run: Run, path: Path) -> None:
    old = run("create", "one", "--scope", "review", "--max-body-bytes", "5000").stdout.strip()
    made = run("rotate", old.split("_")[1], "--overlap", "2h")
    new, now = made.stdout.strip(), datetime.now(UTC)

    during = ring_at(path, now + timedelta(minutes=119))
    after = ring_at(path, now + timedelta(hours=2))

    assert during.find(old).scopes == during.find(new).scopes == {Scope.REVIEW}
    assert during.find(new).max_body_bytes == 5000
    assert after.find(new).id == new.split("_")[1]
    with pytest.raises(KeyExpired):
        after.find(old)


def test_overlap_does_not_prolong_a_key_that_ends_sooner(run: Run, path: Path) -> None:
    run("create", "one", "--scope", "review", "--expires", "1h")
    before = only_key(path)

    run("rotate", before.id, "--overlap", "24h")

    assert load_keys(path)[0].find(before.id).expires == before.expires


def test_revoked_key_is_refused_at_once_and_stays_in_the_list(run: Run, path: Path) -> None:
    text = run("create", "one", "--scope", "predict").stdout.strip()

    done = run("revoke", text.split("_")[1])

    assert done.exit_code == 0
    assert "revoked" in run("list").output
    with pytest.raises(KeyRevoked):
        ring_at(path, datetime.now(UTC)).find(text)


def test_dead_key_is_not_rotated(run: Run, path: Path) -> None:
    key_id = run("create", "one", "--scope", "predict").stdout.split("_")[1]
    run("revoke", key_id)

    assert run("rotate", key_id).exit_code == 2
    assert len(load_keys(path)[0].keys) == 1


def test_key_can_go_to_a_private_file_instead(run: Run, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "prometheus.key"

    made = run("create", "prometheus", "--scope", "metrics", "--out", str(out))

    text = out.read_text("ascii")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert ring_at(path, datetime.now(UTC)).find(text).scopes == {Scope.METRICS}
    assert text not in made.output


@pytest.mark.parametrize(
    "words",
    [
        ("create", "one"), ("create", "one", "--scope", "everything"),
        ("create", "one", "--scope", "predict", "--expires", "soon"),
        ("rotate", "0" * 12, "--overlap", "0h"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    run: Run, path: Path, words: tuple[str, ...]
) -> None:
    assert run(*words).exit_code != 0
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "../../etc", "a\nb", "x" * 64, "\N{SNOWMAN}"])
def test_name_that_would_spoil_a_log_is_refused(run: Run, path: Path, name: str) -> None:
    assert run("create", name, "--scope", "predict").exit_code != 0
    assert not path.exists()


def test_unknown_key_is_said_to_be_unknown(run: Run) -> None:
    run("create", "one", "--scope", "predict")

    assert isinstance(run("revoke", "0" * 12).exception, KeyUnknown)


def test_damaged_file_is_not_overwritten(run: Run, path: Path) -> None:
    run("create", "one", "--scope", "predict")
    path.write_bytes(b"{")

    done = run("create", "two", "--scope", "predict")

    assert isinstance(done.exception, KeysUnavailable)
    assert path.read_bytes() == b"{"


@pytest.mark.parametrize("place", ["missing/key", "."])
def test_key_that_cannot_be_handed_over_is_not_made(
    run: Run, path: Path, tmp_path: Path, place: str
) -> None:
    old = run("create", "one", "--scope", "predict").stdout.strip().split("_")[1]
    before = path.read_bytes()

    for words in (("create", "two", "--scope", "predict"), ("rotate", old)):
        refused = run(*words, "--out", str(tmp_path / place))
        assert isinstance(refused.exception, OutUnwritable)

    assert path.read_bytes() == before


def test_key_of_a_failed_edit_is_not_left_behind(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    refused = run("rotate", "0" * 12, "--out", str(tmp_path / "out/key"))

    assert isinstance(refused.exception, KeyUnknown)
    assert list((tmp_path / "out").iterdir()) == []


def test_ids_are_not_broken_where_there_is_little_room(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("create", "a router with a long name", "--scope", "predict", "--scope", "metrics")
    old = only_key(path).id
    run("rotate", old)
    monkeypatch.setenv("COLUMNS", "80")

    told = run("list").output

    assert all(key.id in told for key in load_keys(path)[0].keys)


def test_keys_are_listed_as_json_without_their_secrets(run: Run, path: Path) -> None:
    run("create", "one", "--scope", "predict")

    (told,) = json.loads(run("list", "--json").stdout)

    assert (told["id"], told["state"]) == (only_key(path).id, "live")
    assert only_key(path).digest not in str(told)
