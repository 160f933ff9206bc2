"""A log of any earlier schema keeps its rows and its chain."""

import io
from pathlib import Path

import pytest

from service import __version__
from service.ops.address import DATABASE
from service.ops.archive import (
    BackupNotes,
    StoredHead,
    describe_file,
    write_archive,
)
from service.ops.restore import restore
from service.record import open_record
from tests.support.old_logs import REVISIONS, write_old_log
from tests.support.record_entries import evaluated
from tests.support.sites import heads_of, site_at


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_backup_of_any_earlier_schema_comes_back_with_its_chain(
    revision: str, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.db", site_at(tmp_path / "new")
    heads = write_old_log(old, revision)
    out = io.BytesIO()
    notes = BackupNotes(
        created="2026-01-01T00:00:00+00:00", release=__version__, database="in_archive",
        heads={n: StoredHead(sequence=h.sequence, digest=h.digest) for n, h in heads.items()},
        files={DATABASE: describe_file(old)},
    )  # fmt: skip
    write_archive(out, notes, {DATABASE: old})

    told = restore(new, io.BytesIO(out.getvalue()))

    assert told == heads_of(new)
    assert told["shadow_log"] == heads["shadow_log"]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_log_of_any_earlier_schema_is_upgraded_with_its_rows(
    revision: str, tmp_path: Path
) -> None:
    before = write_old_log(tmp_path / "shadow.db", revision)

    record = open_record(f"sqlite:///{tmp_path}/shadow.db")
    head = record.reader.head()
    report = record.verify(before["shadow_log"])
    rows = record.reader.rows()
    await record.append(evaluated())
    after = record.verify(before["shadow_log"])
    await record.close()

    assert (head, report.is_whole) == (before["shadow_log"], True)
    assert [row.entry.scanner_alias for row in rows] == ["room-1", "room-2", "room-3"]
    assert (after.head.sequence, after.is_whole) == (4, True)
