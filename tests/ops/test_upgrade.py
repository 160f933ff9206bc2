"""A log of any earlier schema keeps its rows and its chain."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import create_engine, inspect

from service import __version__
from service.core.errors import CxrError
from service.ops.address import DATABASE, SITE_KEY, LogAddress
from service.ops.archive import (
    BackupNotes,
    StoredHead,
    describe_file,
    write_archive,
)
from service.ops.restore import restore
from service.record import open_record
from service.record.chain import GENESIS, Head
from tests.support.databases import POSTGRESQL, empty_database
from tests.support.old_logs import REVISIONS, fill_old_log, write_old_log
from tests.support.postgresql import missing_server
from tests.support.programs import needs
from tests.support.record_entries import evaluated
from tests.support.sites import heads_of, site_at


def archive_of(
    database: Literal["in_archive", "on_server"],
    heads: Mapping[str, Head],
    files: Mapping[str, Path],
) -> io.BytesIO:
    """A backup of these files, at its beginning."""
    out = io.BytesIO()
    notes = BackupNotes(
        created="2026-01-01T00:00:00+00:00", release=__version__, database=database,
        heads={n: StoredHead(sequence=h.sequence, digest=h.digest) for n, h in heads.items()},
        files={name: describe_file(path) for name, path in files.items()},
    )  # fmt: skip
    write_archive(out, notes, files)
    out.seek(0)
    return out


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_backup_of_any_earlier_schema_comes_back_with_its_chain(
    revision: str, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.db", site_at(tmp_path / "new")
    heads = write_old_log(old, revision)

    told = restore(new, archive_of("in_archive", heads, {DATABASE: old}))

    assert told == heads_of(new)
    assert told["shadow_log"] == heads["shadow_log"]


@pytest.mark.slow
@needs(missing_server())
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_dump_of_any_earlier_schema_is_brought_up_to_date(revision: str, tmp_path: Path) -> None:
    key = tmp_path / "old.key"
    key.write_text("ab" * 32)
    with empty_database(POSTGRESQL, tmp_path) as url:
        heads = fill_old_log(url, revision)
        new = LogAddress(url, tmp_path / "new/site.key")

        told = restore(new, archive_of("on_server", heads, {SITE_KEY: key}))

        assert told == heads_of(new) == heads


@needs(missing_server())
def test_a_database_without_its_dump_stays_empty(tmp_path: Path) -> None:
    body = tmp_path / "drift.npz"
    body.write_bytes(b"what drift remembers")
    archive = archive_of(
        "on_server", {"shadow_log": replace(GENESIS, sequence=1)}, {body.name: body}
    )
    with empty_database(POSTGRESQL, tmp_path) as url:
        new = LogAddress(url, tmp_path / "n/site.key", {"drift.npz": tmp_path / "n/drift.npz"})

        with pytest.raises(CxrError):
            restore(new, archive)

        engine = create_engine(url)
        assert inspect(engine).get_table_names() == []
        engine.dispose()


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
