"""Checks of what lies there: machine, model, record."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog.testing

from service.core.artifact import ONNX, WEIGHTS, Artifact
from service.core.errors import SelfTestFailed
from service.ops import check_site as machine
from service.ops.address import LogAddress
from service.ops.check import Told, Verdict, run_checks
from service.ops.check_model import check_digests, check_golden, check_signed
from service.ops.check_record import check_chains
from service.ops.check_site import STA_UNSYNC, check_clock, check_disk, check_filesystem
from service.record import load_or_create_key, open_site_key
from service.signature import Trust
from tests.support.models import build_tiny_artifact
from tests.support.postgresql import missing_server, server_url
from tests.support.programs import needs
from tests.support.record_log import tamper

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
IN_ORDER = """\
25 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 25 0:26 / /srv/share rw - nfs4 server:/share rw
31 25 0:27 / /srv/with\\040blank rw - tmpfs tmpfs rw
32 25 0:28 / /srv rw - xfs /dev/vdb rw
"""


def verdict(told: Told) -> Verdict:
    """Short."""
    return told.verdict


def test_private_files_pass(site: LogAddress, tiny_store: Path) -> None:
    assert verdict(machine.check_permissions(site, tiny_store, [])) is Verdict.PASS


@pytest.mark.parametrize("name", ["site.key", "shadow.db", "shadow.db.cases"])
def test_file_that_others_can_read_fails(site: LogAddress, tiny_store: Path, name: str) -> None:
    site.key.with_name(name).chmod(0o640)

    told = machine.check_permissions(site, tiny_store, [])

    assert (told.verdict, told.detail) == (Verdict.FAIL, f"{name} has mode 640, expected 600")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o440, Verdict.PASS), (0o460, Verdict.FAIL), (0o444, Verdict.FAIL), (0o404, Verdict.FAIL)],
)
def test_file_that_another_user_laid_down_may_be_read_by_its_group(
    site: LogAddress,
    tiny_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    expected: Verdict,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: site.key.stat().st_uid + 1)
    site.key.chmod(mode)

    with structlog.testing.capture_logs() as events:
        load_or_create_key(site.key)

    assert verdict(machine.check_permissions(site, tiny_store, [])) is expected
    told = ["record.key_exposed"] if expected is Verdict.FAIL else []
    assert [event["event"] for event in events] == told


def test_folder_open_to_the_world_fails(site: LogAddress, tiny_store: Path) -> None:
    site.key.parent.chmod(0o755)

    assert "expected 700" in machine.check_permissions(site, tiny_store, []).detail


@pytest.mark.parametrize(
    ("is_mount", "owner", "expected"),
    [(True, 1, Verdict.PASS), (True, 0, Verdict.FAIL), (False, 1, Verdict.FAIL)],
)
def test_volume_that_the_platform_mounts_may_be_open(
    site: LogAddress,
    tiny_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_mount: bool,
    owner: int,
    expected: Verdict,
) -> None:
    user = site.key.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: user + owner)
    monkeypatch.setattr("os.path.ismount", lambda _: is_mount)
    site.key.parent.chmod(0o2777)

    assert verdict(machine.check_permissions(site, tiny_store, [])) is expected


def test_folder_of_a_new_record_is_private(tmp_path: Path, tiny_store: Path) -> None:
    address = LogAddress(f"sqlite:///{tmp_path}/record/shadow.db", tmp_path / "record/site.key")

    open_site_key(address.url, address.key)

    assert verdict(machine.check_permissions(address, tiny_store, [])) is Verdict.PASS


def test_secret_and_model_that_others_can_change_fail(site: LogAddress, tmp_path: Path) -> None:
    store, password = build_tiny_artifact(tmp_path / "store"), tmp_path / "site/password"
    password.touch(0o644)
    (store / "tiny/0.0.1" / ONNX).chmod(0o666)

    told = machine.check_permissions(site, store, [password])

    assert "password has mode 644" in told.detail
    assert f"{ONNX} of the model store can be written by others" in told.detail


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/anywhere", Verdict.PASS),
        ("/srv/record", Verdict.PASS),
        ("/srv/share/record", Verdict.FAIL),
        ("/srv/with blank/record", Verdict.FAIL),
    ],
)
def test_record_must_lie_on_a_durable_disk(tmp_path: Path, place: str, expected: Verdict) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(IN_ORDER)

    kind = machine.kind_of_mount(Path(place), mounts)

    assert verdict(machine.judge_filesystem(kind)) is expected


def test_file_system_of_this_machine_is_told(tmp_path: Path) -> None:
    told = check_filesystem(tmp_path / "not/yet/there")

    assert told.detail.split()[0] != ""
    assert check_filesystem(Path("/proc")).verdict is Verdict.FAIL


def test_disk_without_room_fails(tmp_path: Path) -> None:
    assert verdict(check_disk({tmp_path / "new": 1})) is Verdict.PASS
    assert verdict(check_disk({tmp_path: 1 << 60})) is Verdict.FAIL


@pytest.mark.parametrize(
    ("newest", "now", "state", "expected"),
    [
        (None, NOW, 0, Verdict.PASS),
        (NOW - timedelta(days=1), NOW, 0, Verdict.PASS),
        (NOW + timedelta(minutes=1), NOW, 0, Verdict.FAIL),
        (None, datetime(1970, 1, 2, tzinfo=UTC), 0, Verdict.FAIL),
        (None, NOW, STA_UNSYNC, Verdict.WARN),
    ],
)
def test_clock_is_sane(
    newest: datetime | None, now: datetime, state: int, expected: Verdict
) -> None:
    assert verdict(check_clock(newest, now, state)) is expected


def test_the_kernel_tells_the_state_of_its_clock(site: LogAddress) -> None:
    assert 0 <= machine.clock_status() < 1 << 16
    newest = machine.newest_row(site)
    assert newest is not None
    assert newest.year == 2026


@needs(missing_server())
def test_server_that_does_not_sync_fails() -> None:
    told = machine.check_server(server_url())  # the server of the tests is quick and forgets

    assert (told.verdict, told.detail) == (Verdict.FAIL, "fsync is off")
    assert machine.judge_server({"fsync": "on"}).verdict is Verdict.PASS


def test_model_passes_and_a_changed_byte_fails(tmp_path: Path) -> None:
    store = build_tiny_artifact(tmp_path / "store")
    before = check_digests(store)
    with (store / "tiny/0.0.1" / WEIGHTS).open("ab") as file:
        file.write(b"\0")

    (after,) = run_checks([("model digests", lambda: check_digests(store))])

    assert (before.verdict, after.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert "ARTIFACT_DIGEST_MISMATCH" in after.detail


def test_missing_signature_fails_only_where_a_key_is_configured(
    tiny_store: Path, tmp_path: Path
) -> None:
    asked = Trust(public_key=tmp_path / "key.pub")

    (told,) = run_checks([("signature", lambda: check_signed(tiny_store, asked))])

    assert (told.verdict, "ARTIFACT_UNSIGNED" in told.detail) == (Verdict.FAIL, True)
    assert verdict(check_signed(tiny_store, Trust())) is Verdict.NOT_CHECKED


def test_engine_that_scores_otherwise_fails(tiny_store: Path) -> None:
    def scores_otherwise(_: Artifact) -> str:
        raise SelfTestFailed("probabilities differ")

    (told,) = run_checks([("golden", lambda: check_golden(tiny_store, scores_otherwise))])

    assert (told.verdict, "probabilities differ" in told.detail) == (Verdict.FAIL, True)
    assert verdict(check_golden(tiny_store, lambda _: "engine")) is Verdict.PASS


def test_whole_chain_passes_and_an_edited_row_fails(site: LogAddress) -> None:
    before = check_chains(site)
    tamper(
        site.url,
        "DROP TRIGGER shadow_log_no_update",
        "UPDATE shadow_log SET priority = 'routine' WHERE sequence = 7",
    )

    (after,) = run_checks([("chain", lambda: check_chains(site))])

    assert before.verdict is Verdict.PASS
    assert (after.verdict, "row 7 of the shadow_log" in after.detail) == (Verdict.FAIL, True)


def test_no_log_yet_is_told_and_not_passed(tmp_path: Path) -> None:
    address = LogAddress(f"sqlite:///{tmp_path}/shadow.db", tmp_path / "site.key")

    assert verdict(check_chains(address)) is Verdict.NOT_CHECKED
