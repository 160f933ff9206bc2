"""Rows -> CSV or Parquet, some hundreds at a time, so that memory does not grow with the log."""

import csv
import importlib.util
import io
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import ColumnElement, Table, func, select

from service.core.errors import CxrError
from service.record.chain import ROWS_PER_FETCH
from service.record.record import Reader
from service.record.tables import shadow_log

ROWS_PER_GROUP = 5_000
"""Of a Parquet file: what it holds in memory at once."""

OnProgress = Callable[[int], None]


class ParquetMissing(CxrError):
    """pyarrow is not installed."""

    code = "PARQUET_MISSING"


def count_rows(reader: Reader, *, since: datetime | None) -> tuple[int, int]:
    """How many rows an export takes now, and the last of them (0 where there is none)."""
    asked = select(func.count(), func.max(shadow_log.c.sequence)).where(*_from(shadow_log, since))
    with reader.reading() as connection:
        rows, last = connection.execute(asked).one()
    return rows, last or 0


def check_parquet() -> None:
    """See whether Parquet can be written.

    Raises
    ------
    ParquetMissing
        The extra `parquet` is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ParquetMissing("pyarrow is not installed: pip install 'cxr-triage[parquet]'")


def export_csv(
    reader: Reader, out: Path | IO[bytes], *, since: datetime | None, until: int | None = None,
    on_progress: OnProgress,
) -> int:  # fmt: skip
    """Write every column of the shadow log as text; NULL is an empty field.

    Parameters
    ----------
    out
        A file, or a pipe, which stays open.
    until
        The last row; None: all that are committed meanwhile as well.
    """
    names = [column.name for column in shadow_log.columns]
    written = 0
    with out.open("wb") if isinstance(out, Path) else nullcontext(out) as raw:
        text = io.TextIOWrapper(raw, "utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(names)
        for rows in _pages(reader, shadow_log, since, until):
            writer.writerows([row[name] for name in names] for row in rows)
            written += len(rows)
            on_progress(len(rows))
        text.detach()  # flushes, and leaves the pipe open
        raw.flush()
    return written


def export_parquet(
    reader: Reader, out: Path | IO[bytes], *, since: datetime | None, until: int | None = None,
    on_progress: OnProgress,
) -> int:  # fmt: skip
    """Write the same columns as a Parquet file, compressed.

    Raises
    ------
    ParquetMissing
        The extra `parquet` is not installed.
    """
    check_parquet()
    import pyarrow as pa  # noqa: PLC0415 - optional, forty megabytes
    from pyarrow import parquet  # noqa: PLC0415 - as above

    kinds = {column.name: pa.string() for column in shadow_log.columns}
    schema = pa.schema(kinds | {"sequence": pa.int64()})
    written, group = 0, []
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for rows in _pages(reader, shadow_log, since, until):
            group += rows
            if len(group) >= ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(group, schema))
                group = []
            written += len(rows)
            on_progress(len(rows))
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema))
    return written


def _pages(
    reader: Reader, table: Table, since: datetime | None, until: int | None
) -> Iterator[list[dict[str, Any]]]:
    """Rows in order; each page is a transaction of its own, so no writer ever waits for it."""
    after = 0
    while True:
        page = select(table).where(table.c.sequence > after, *_from(table, since))
        if until is not None:
            page = page.where(table.c.sequence <= until)
        with reader.reading() as connection:
            found = connection.execute(page.order_by(table.c.sequence).limit(ROWS_PER_FETCH))
            rows = [dict(row) for row in found.mappings()]
        if not rows:
            return
        after = rows[-1]["sequence"]
        yield rows


def _from(table: Table, since: datetime | None) -> tuple[ColumnElement[bool], ...]:
    if since is None:
        return ()
    first = since.astimezone(UTC).isoformat(timespec="microseconds")
    return (table.c.received_at >= first,)
