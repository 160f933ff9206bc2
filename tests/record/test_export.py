"""What comes out is what is in, however much of it there is."""

import asyncio
import csv
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from service.record import open_reader, open_record
from service.record.export import export_csv, export_parquet
from service.record.tables import shadow_log
from tests.support.record_entries import evaluated

ROWS_TOGETHER = 200
NAMES = [column.name for column in shadow_log.columns]


def _ignore(rows: int) -> None:
    assert rows > 0


def test_csv_and_parquet_hold_every_column_as_it_is(simulated_log: Path, tmp_path: Path) -> None:
    reader = open_reader(f"sqlite:///{simulated_log}/shadow.db")
    expected = reader.count()

    rows = export_csv(reader, tmp_path / "log.csv", since=None, on_progress=_ignore)
    again = export_parquet(reader, tmp_path / "log.parquet", since=None, on_progress=_ignore)

    with (tmp_path / "log.csv").open(encoding="utf-8", newline="") as file:
        as_csv = list(csv.DictReader(file))
    as_parquet = pq.read_table(tmp_path / "log.parquet").to_pylist()
    assert rows == again == expected == len(as_csv)
    assert [
        {n: str(row[n]) if row[n] is not None else "" for n in NAMES} for row in as_parquet
    ] == (as_csv)
    assert as_csv[0]["row_digest"] == as_csv[1]["previous_digest"]


def test_only_what_is_new_is_exported(simulated_log: Path, tmp_path: Path) -> None:
    reader = open_reader(f"sqlite:///{simulated_log}/shadow.db")
    since = datetime(2026, 1, 20, tzinfo=UTC)

    rows = export_csv(reader, tmp_path / "log.csv", since=since, on_progress=_ignore)

    with (tmp_path / "log.csv").open(encoding="utf-8", newline="") as file:
        moments = [row["received_at"] for row in csv.DictReader(file)]
    assert 0 < rows == len(moments) < reader.count()
    assert min(moments) >= "2026-01-20T00:00:00"


async def _peak_bytes(folder: Path, rows: int) -> int:
    await asyncio.to_thread(folder.mkdir)
    url = f"sqlite:///{folder}/shadow.db"
    record = open_record(url)
    for _ in range(rows // ROWS_TOGETHER):
        await asyncio.gather(*(record.append(evaluated()) for _ in range(ROWS_TOGETHER)))
    await record.close()
    reader = open_reader(url)
    tracemalloc.start()
    export_csv(reader, folder / "log.csv", since=None, on_progress=_ignore)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    await _peak_bytes(tmp_path / "warm", 600)
    small = await _peak_bytes(tmp_path / "small", 1000)
    large = await _peak_bytes(tmp_path / "large", 3000)

    assert large < 1.25 * small
