"""Rows never go to a file that has not the log's name any more: nobody would find them."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.core.errors import RecordUnavailable
from service.record import Record, open_reader, open_record
from service.record.database import open_engine, writing
from tests.support.record_entries import evaluated

NAME = "shadow.db"


def _delete(path: Path) -> None:
    path.unlink()


def _replace_by_a_copy(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


@asynccontextmanager
async def _open(folder: Path) -> AsyncIterator[Record]:
    record = open_record(f"sqlite:///{folder}/{NAME}")
    try:
        yield record
    finally:
        await record.close()


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _rows(folder: Path) -> int:
    reader = open_reader(f"sqlite:///{folder}/{NAME}")
    report = reader.verify()
    reader.close()
    assert report.is_whole
    return report.head.sequence


@pytest.mark.parametrize("befall", [_delete, _replace_by_a_copy])
async def test_a_log_that_lost_its_file_takes_no_row(
    tmp_path: Path, befall: Callable[[Path], None]
) -> None:
    async with _open(tmp_path) as record:
        await record.append(evaluated())
        befall(tmp_path / NAME)

        for _ in range(2):  # nor does a new connection take the file that has the name now
            with pytest.raises(RecordUnavailable):
                await record.append(evaluated())

        assert not record.recorder.can_write()


async def test_a_log_whose_folder_was_moved_is_not_begun_anew(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "record", tmp_path / "elsewhere"
    async with _open(folder) as record:
        await record.append(evaluated())
        folder.rename(elsewhere)
        folder.mkdir()

        with pytest.raises(RecordUnavailable):
            await record.append(evaluated())
        assert not record.recorder.can_write()

        assert _names(folder) == []
    assert _rows(elsewhere) == 1


async def test_a_log_that_is_put_back_takes_rows_again(tmp_path: Path) -> None:
    async with _open(tmp_path) as record:
        await record.append(evaluated())
        (tmp_path / NAME).rename(tmp_path / "away")
        with pytest.raises(RecordUnavailable):
            await record.append(evaluated())
        (tmp_path / "away").rename(tmp_path / NAME)

        assert record.recorder.can_write()
        assert await record.append(evaluated()) == 2
    assert _rows(tmp_path) == 2


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
async def test_rows_that_were_answered_outlive_what_sqlite_keeps_beside_them(
    tmp_path: Path, ending: str
) -> None:
    """At a power cut after it, commits in a deleted journal would be gone."""
    async with _open(tmp_path) as record:
        await record.append(evaluated())
        _delete(tmp_path / (NAME + ending))

        with pytest.raises(RecordUnavailable):
            await record.append(evaluated())

        assert await record.append(evaluated()) == 2
        assert _rows(tmp_path) == 2  # by another connection, as after a kill


def test_a_command_does_not_write_to_a_file_that_was_moved(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/{NAME}")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE rows (number INTEGER)")

    (tmp_path / NAME).rename(tmp_path / "away")

    with pytest.raises(RecordUnavailable, match="moved"), writing(engine):
        pass
    engine.dispose()
