"""First answer of every review page over a large log, and how fast that log is exported.

python -m bench.review --rows 1000000 --folder /some/disk     # keeps the log for the next run
python -m bench.review --rows 100000 --folder /some/disk --url postgresql+pg8000://...
python -m bench.review --folder /some/disk --pages comparison  # no export, and these pages alone

Fails where a page takes longer than `--limit`. The table goes to the output, each page as it is
asked to the error output.
"""

import argparse
import asyncio
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.review_pages import paths_of, table_of, time_page
from service.logs import set_up_logs
from service.record import load_or_create_key, open_reader
from service.record.case_index import open_case_index
from service.record.export import export_csv, export_parquet
from service.record.tables import CHAINED
from service.settings import RecordSettings, Settings
from service.simulate import LogNotEmpty, simulate

DAYS = 365
RESET_PEAK = Path("/proc/self/clear_refs")


def build(url: str, rows: int) -> None:
    """Make the log, and say how long that took."""
    started = time.process_time()
    simulate(
        url, start=datetime.now(UTC) - timedelta(days=DAYS), days=DAYS, per_day=rows / DAYS, seed=1
    )
    print(f"written in {time.process_time() - started:.0f} s of processor time", flush=True)


def keep_up(url: str) -> None:
    """Bring the index up to the log, and say how long that took."""
    reader = open_reader(url)
    index = open_case_index(url, reader)
    started = time.process_time()
    index.catch_up()
    print(f"indexed in {time.process_time() - started:.0f} s of processor time", flush=True)
    index.close()
    reader.close()


async def walk(url: str, settings: Settings, only: str, limit_seconds: float) -> bool:
    """Ask every page, each of a service that has just started; whether all were quick enough."""
    reader = open_reader(url)
    index = open_case_index(url, reader)
    paths = [path for path in paths_of(index) if only in path]
    index.close()
    reader.close()
    timings = []
    for path in paths:
        timings.append(await time_page(settings, path))
        print(f"{timings[-1].first:6.3f} s  {path}", file=sys.stderr, flush=True)
    for line in table_of(timings, limit_seconds):
        print(line, flush=True)
    return all(told.first < limit_seconds for told in timings)


def export(url: str, folder: Path) -> None:
    """Write the log out, and say how much memory the process ever held."""
    reader = open_reader(url)
    for name, write in (("csv", export_csv), ("parquet", export_parquet)):
        RESET_PEAK.write_text("5", encoding="ascii")
        before = _peak_mib()
        wall, processor = time.perf_counter(), time.process_time()
        rows = write(reader, folder / f"export.{name}", since=None, on_progress=lambda rows: None)
        seconds = time.perf_counter() - wall, time.process_time() - processor
        print(
            f"{name}: {rows} rows in {seconds[0]:.1f} s ({seconds[1]:.1f} s of processor time), "
            f"at most {_peak_mib():.0f} MiB, {before:.0f} before",
            flush=True,
        )
    for table in CHAINED:
        wall = time.process_time()
        report = reader.verify(table=table)
        print(
            f"verify {table.name}: {report.head.sequence} rows, whole: {report.is_whole}, "
            f"{time.process_time() - wall:.1f} s of processor time",
            flush=True,
        )
    reader.close()


def _peak_mib() -> float:
    """Most memory that this process held since the peak was reset (proc(5))."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kibibytes) / 1024


def main() -> None:
    """Build once, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--url", help="a log elsewhere than in the folder")
    parser.add_argument("--pages", help="ask only addresses that hold this, and export nothing")
    parser.add_argument("--limit", type=float, default=1.0, help="seconds of a first answer")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    set_up_logs("error")
    url = asked.url or f"sqlite:///{asked.folder}/shadow.db"
    with suppress(LogNotEmpty):
        build(url, asked.rows)
    keep_up(url)
    record = RecordSettings(url=url, site_key_file=asked.folder / "site.key")
    load_or_create_key(record.site_key_file)  # no service starts over rows without one
    if asked.pages is None:
        export(url, asked.folder)  # first: its memory is not to be hidden by that of the pages
    walked = walk(url, Settings(record=record), asked.pages or "", asked.limit)
    raise SystemExit(0 if asyncio.run(walked) else 1)


if __name__ == "__main__":
    main()
