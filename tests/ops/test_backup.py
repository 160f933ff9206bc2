"""A backup holds the whole site as of one moment, and comes back as it was."""

import errno
import io
import stat
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.ops.address import DATABASE, LogAddress
from service.ops.archive import (
    NOTES,
    ArchiveDamaged,
    BackupNotes,
    describe_file,
    write_archive,
)
from service.ops.backup import BackupRefused, back_up
from service.ops.restore import RestoreRefused, restore
from service.record import open_reader, open_record
from service.record.record import anchors_beside
from tests.support.record_log import tamper
from tests.support.record_writer import WriterProcess
from tests.support.simulated import copy_log
from tests.support.sites import heads_of, site_at


@pytest.fixture
def site(simulated_log: Path, tmp_path: Path) -> LogAddress:
    copy_log(simulated_log, tmp_path / "site")
    (tmp_path / "site/drift.npz").write_bytes(b"what drift remembers")
    return site_at(tmp_path / "site")


@pytest.fixture
def archive(site: LogAddress) -> bytes:
    out = io.BytesIO()
    back_up(site, out)
    return out.getvalue()


def changed(archive: bytes, name: str, body: bytes) -> bytes:
    """The archive with other bytes of the same length in one member."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        offset = opened.getmember(name).offset_data
    return archive[:offset] + body + archive[offset + len(body) :]


def test_restored_site_has_the_same_verified_chain(
    site: LogAddress, archive: bytes, tmp_path: Path
) -> None:
    new = site_at(tmp_path / "new")

    told = restore(new, io.BytesIO(archive))

    assert told == heads_of(new) == heads_of(site)
    assert told["shadow_log"].sequence > 100
    assert new.key.read_bytes() == site.key.read_bytes()
    assert new.state["drift.npz"].read_bytes() == b"what drift remembers"


def test_restored_site_goes_on_where_it_was(archive: bytes, tmp_path: Path) -> None:
    new = site_at(tmp_path / "new")
    before = restore(new, io.BytesIO(archive))["shadow_log"].sequence

    new_record = open_record(new.url)
    new_record.reader.check_anchor()
    new_record.recorder.close()
    new_record.reader.close()

    assert all(path.exists() for path in anchors_beside(new.url).values())
    assert heads_of(new)["shadow_log"].sequence == before


def test_restored_files_are_for_their_owner_alone(archive: bytes, tmp_path: Path) -> None:
    new = site_at(tmp_path / "new")

    restore(new, io.BytesIO(archive))

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in new.key.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert not [name for name in modes if name.startswith(".") or name.endswith("restoring")]


def test_log_has_room_once_where_it_is_restored(
    archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", refuse)

    told = restore(site_at(tmp_path / "new"), io.BytesIO(archive))

    assert told == heads_of(site_at(tmp_path / "new"))


def test_key_may_be_on_another_file_system_than_the_log(archive: bytes, tmp_path: Path) -> None:
    new = site_at(tmp_path / "new")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        elsewhere = replace(new, key=Path(memory) / "secrets/site.key")
        told = restore(elsewhere, io.BytesIO(archive))

        assert told == heads_of(elsewhere)
        assert [path.name for path in elsewhere.key.parent.iterdir()] == ["site.key"]
        assert stat.S_IMODE(elsewhere.key.stat().st_mode) == 0o600
        assert tmp_path.stat().st_dev != elsewhere.key.stat().st_dev


def test_backup_is_of_one_moment_while_the_service_writes(tmp_path: Path) -> None:
    address = LogAddress(f"sqlite:///{tmp_path}/shadow.db", tmp_path / "site.key")
    address.key.write_text("ab" * 32)
    writer = WriterProcess(address.url, clients=8, rows=1_000_000)
    written = [writer.next_id(timeout_seconds=60)]
    first = written[0]
    archives = [io.BytesIO() for _ in range(3)]

    sequences: list[int] = []
    for out in archives:
        sequences.append(back_up(address, out).heads["shadow_log"].sequence)
        while len(written) <= sequences[-1]:
            written.append(writer.next_id(timeout_seconds=60))
    writer.kill()

    new = LogAddress(f"sqlite:///{tmp_path}/new/shadow.db", tmp_path / "new/site.key")
    restored = restore(new, io.BytesIO(archives[0].getvalue()))
    reader = open_reader(new.url)
    ids = [row.entry.id for row in reader.rows(limit=1_000_000)]
    reader.close()
    assert sequences[0] < sequences[1] < sequences[2]
    assert restored["shadow_log"].sequence == sequences[0] == len(ids)
    assert first in ids


def test_secrets_stay_out_where_the_site_keeps_them_elsewhere(
    site: LogAddress, tmp_path: Path
) -> None:
    out, new = io.BytesIO(), site_at(tmp_path / "new")
    notes = back_up(site, out, with_secrets=False)
    new.key.parent.mkdir()
    new.key.write_bytes(site.key.read_bytes())

    told = restore(new, io.BytesIO(out.getvalue()))

    assert sorted(notes.files) == ["drift.npz", DATABASE]
    assert told == heads_of(site)


@pytest.mark.parametrize("name", ["shadow.db", "site.key", "drift.npz", "shadow.db.head"])
def test_nothing_is_overwritten(archive: bytes, tmp_path: Path, name: str) -> None:
    new = site_at(tmp_path / "new")
    new.key.parent.mkdir()
    (new.key.parent / name).write_bytes(b"the site that is here")

    with pytest.raises(RestoreRefused, match=f"{name} exist here already"):
        restore(new, io.BytesIO(archive))

    assert [path.name for path in new.key.parent.iterdir()] == [name]
    assert (new.key.parent / name).read_bytes() == b"the site that is here"


@pytest.mark.parametrize("name", [DATABASE, "site.key"])
def test_a_changed_byte_is_noticed(archive: bytes, tmp_path: Path, name: str) -> None:
    new = site_at(tmp_path / "new")

    with pytest.raises(ArchiveDamaged, match=f"{name} is another file"):
        restore(new, io.BytesIO(changed(archive, name, b"\1")))

    assert list(new.key.parent.iterdir()) == []


def test_a_cut_archive_is_noticed(archive: bytes, tmp_path: Path) -> None:
    for length in (0, 100, 5_000, len(archive) // 2):
        with pytest.raises(ArchiveDamaged):
            restore(site_at(tmp_path / "new"), io.BytesIO(archive[:length]))


def test_no_name_of_an_archive_leads_out_of_its_folder(tmp_path: Path) -> None:
    body, out = tmp_path / "body", io.BytesIO()
    body.write_bytes(b"x")
    notes = BackupNotes.model_construct(
        created="", release="", database="in_archive", heads={},
        files={"../outside": describe_file(body)},
    )  # fmt: skip
    write_archive(out, notes, {"../outside": body})

    with pytest.raises(ArchiveDamaged, match="of another release, or damaged"):
        restore(site_at(tmp_path / "new"), io.BytesIO(out.getvalue()))

    assert not (tmp_path / "outside").exists()


def test_a_member_that_the_notes_do_not_name_is_refused(archive: bytes, tmp_path: Path) -> None:
    out = io.BytesIO(archive)
    with tarfile.open(fileobj=out, mode="a") as opened:
        opened.addfile(tarfile.TarInfo("extra"), io.BytesIO())

    with pytest.raises(ArchiveDamaged, match=f"{NOTES} does not describe"):
        restore(site_at(tmp_path / "new"), io.BytesIO(out.getvalue()))


def test_a_broken_chain_is_not_backed_up(site: LogAddress) -> None:
    tamper(
        site.url,
        "DROP TRIGGER shadow_log_no_update",
        "UPDATE shadow_log SET priority = 'routine' WHERE sequence = 3",
    )
    out = io.BytesIO()

    with pytest.raises(BackupRefused, match="row 3 of the shadow_log: row_edited"):
        back_up(site, out)

    assert out.getvalue() == b""


def test_a_log_without_its_key_is_not_backed_up(site: LogAddress) -> None:
    site.key.unlink()

    with pytest.raises(BackupRefused, match="no site key"):
        back_up(site, io.BytesIO())


def test_a_purged_log_keeps_its_signed_gap(site: LogAddress, tmp_path: Path) -> None:
    runner, new = CliRunner(env=_environment(site)), site_at(tmp_path / "new")
    purged = runner.invoke(app, ["shadow", "purge", "--keep-days", "183", "--yes"])
    out = io.BytesIO()
    back_up(site, out)

    restore(new, io.BytesIO(out.getvalue()))

    told = CliRunner(env=_environment(new)).invoke(app, ["shadow", "verify"])
    assert "rows of shadow_log purged" in purged.output
    assert told.exit_code == 0
    assert "were purged (signed)" in told.output


def test_commands_write_and_read_an_archive(site: LogAddress, tmp_path: Path) -> None:
    file, new = tmp_path / "site.tar", site_at(tmp_path / "new")

    written = CliRunner(env=_environment(site)).invoke(app, ["shadow", "backup", str(file)])
    read = CliRunner(env=_environment(new)).invoke(app, ["shadow", "restore", str(file)])
    again = CliRunner(env=_environment(site)).invoke(app, ["shadow", "backup", str(file)])

    heads = [line for line in written.stderr.splitlines() if "hold, up to sha256:" in line]
    assert (written.exit_code, read.exit_code) == (0, 0), written.output + read.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read.stderr.splitlines() == heads
    assert (again.exit_code, "is there already" in again.output) == (2, True)


def test_api_keys_that_are_here_stay_where_that_is_asked_for(
    site: LogAddress, tmp_path: Path
) -> None:
    keys, new = tmp_path / "secrets/keys.json", site_at(tmp_path / "new")
    keys.parent.mkdir()
    keys.write_bytes(b"of the old machine")
    variables = {"CXR_ACCESS__KEYS_FILE": str(keys)}
    file = tmp_path / "site.tar"
    old = CliRunner(env=_environment(site) | variables)
    old.invoke(app, ["shadow", "backup", str(file)])
    keys.write_bytes(b"of this machine")
    runner = CliRunner(env=_environment(new) | variables)

    refused = runner.invoke(app, ["shadow", "restore", str(file)])
    done = runner.invoke(app, ["shadow", "restore", "--keep-api-keys", str(file)])

    assert "keys.json exist here already" in str(refused.exception)
    assert done.exit_code == 0, done.output
    assert keys.read_bytes() == b"of this machine"
    assert heads_of(new) == heads_of(site)
    assert new.key.read_bytes() == site.key.read_bytes()


def test_archive_is_written_where_there_are_no_links(
    site: LogAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    file = tmp_path / "site.tar"

    written = CliRunner(env=_environment(site)).invoke(app, ["shadow", "backup", str(file)])

    assert written.exit_code == 0, written.output
    assert tarfile.is_tarfile(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not file.with_name("site.tar.part").exists()


def _environment(address: LogAddress) -> dict[str, str]:
    return {"CXR_RECORD__URL": address.url, "CXR_RECORD__SITE_KEY_FILE": str(address.key)}
