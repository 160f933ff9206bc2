"""First answer of every review page over a large log, and how fast that log is exported.

python -m bench.review --rows 1000000 --folder /some/disk     # keeps the log for the next run
python -m bench.review --rows 100000 --folder /some/disk --url postgresql+pg8000://...
"""

import argparse
import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from service.app import create_app
from service.logs import set_up_logs
from service.record import open_reader
from service.record.case_index import open_case_index
from service.record.export import export_csv, export_parquet
from service.record.tables import CHAINED
from service.settings import RecordSettings, Settings
from service.simulate import LogNotEmpty, simulate

DAYS = 365
RESET_PEAK = Path("/proc/self/clear_refs")
PAGES = (
    "/review", "/review?days=3650", "/review?days=3650&priority=routine&scanner=outpatient",
    "/review?days=3650&warning=VIEW_AP", "/review?days=3650&only=disagreement&flag=tuberculosis",
    f"/review?days=3650&after=2:{time.time() - 180 * 86_400}:0", "/review/disagreements",
    "/review/thresholds", "/review/thresholds?threshold=0.4", "/review/comparison",
    "/review/queue", "/review/golive", "/review/thresholds?days=3650",
    "/review/thresholds?days=3650&finding=tuberculosis", "/review/comparison?days=3650",
    "/review/queue?days=3650&readers=2",
)  # fmt: skip


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


async def walk(settings: Settings) -> None:
    """Ask each page of a service that has just started, then once more."""
    for path in PAGES:
        app = create_app(settings)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        ):
            await client.get("/review/static/review.css")
            told = [await _timed(client, path) for _ in range(2)]
        first, again = told
        print(
            f"{path:58} first {first[0]:6.3f} s ({first[1]:6.3f} s of processor time)  "
            f"again {again[0]:6.3f} s ({again[1]:6.3f})",
            flush=True,
        )


async def _timed(client: httpx.AsyncClient, path: str) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    answer = await client.get(path, timeout=600)
    answer.raise_for_status()
    return time.perf_counter() - wall, time.process_time() - processor


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
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    set_up_logs("error")
    url = asked.url or f"sqlite:///{asked.folder}/shadow.db"
    with suppress(LogNotEmpty):
        build(url, asked.rows)
    keep_up(url)
    record = RecordSettings(url=url, site_key_file=asked.folder / "site.key")
    export(url, asked.folder)  # first: what it holds in memory is not to be hidden by the pages
    asyncio.run(walk(Settings(record=record)))


if __name__ == "__main__":
    main()
