"""Every review page and endpoint under every filter that a person would choose, over one log.

What can be chosen is read from the log itself, so the table grows with the site.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
from sqlalchemy import Connection, func, select

from service.app import create_app
from service.codes import WARNINGS
from service.core.findings import ABNORMAL
from service.core.triage import Priority
from service.record.case_index import CaseIndex
from service.record.case_tables import PRIORITY_RANK, cases
from service.review.cases import DAY_SECONDS, WINDOW_DAYS
from service.review.worklist import PAGE_ROWS
from service.settings import Settings

BASE = "http://127.0.0.1"
ALL = "days=3650"
ONLY = ("disagreement", "not_evaluated", "candidate_differs")
TIMEOUT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds until an answer: of a service that has just started, and once more."""

    path: str
    first: float
    processor: float
    """Of all cores together, for the first answer."""
    again: float
    body_bytes: int


def paths_of(index: CaseIndex) -> list[str]:
    """Addresses of all pages, and of the JSON behind each."""
    with index.reading() as connection:
        shown = [*_worklists(connection), *_single(connection)]
    queries = [*shown, *_statistics()]
    endpoints = [
        _endpoint(path) for path in queries if not path.startswith(("/review/cases", "/?"))
    ]
    return ["/", *queries, *dict.fromkeys(path for path in endpoints if path is not None)]


async def time_page(settings: Settings, path: str) -> Timing:
    """Start the service, ask for one page, and ask again."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client,
    ):
        await client.get("/review/static/review.css")
        started = time.process_time()
        first, size = await _timed(client, path)
        processor = time.process_time() - started
        again, _ = await _timed(client, path)
    return Timing(path, first, processor, again, size)


def table_of(timings: list[Timing], limit_seconds: float) -> Iterator[str]:
    """Lines of a table, slowest last, and what went beyond the limit."""
    yield "| address | first, s | of processor, s | again, s | KiB |"
    yield "| --- | --- | --- | --- | --- |"
    for told in sorted(timings, key=lambda timing: timing.first):
        mark = " **beyond**" if told.first >= limit_seconds else ""
        yield (
            f"| `{told.path}` | {told.first:.2f}{mark} | {told.processor:.2f} "
            f"| {told.again:.2f} | {told.body_bytes / 1024:.0f} |"
        )
    beyond = sum(told.first >= limit_seconds for told in timings)
    yield ""
    yield f"{len(timings)} addresses, {beyond} beyond {limit_seconds:g} s"


async def _timed(client: httpx.AsyncClient, path: str) -> tuple[float, int]:
    started = time.perf_counter()
    answer = await client.get(path, timeout=TIMEOUT_SECONDS)
    seconds = time.perf_counter() - started
    answer.raise_for_status()
    return seconds, len(answer.content)


def _worklists(connection: Connection) -> Iterator[str]:
    for days in WINDOW_DAYS:
        yield f"/review?days={days}"
    choices = {
        "scanner": sorted(connection.scalars(select(cases.c.scanner).distinct())),
        "model": sorted(connection.scalars(select(cases.c.model).distinct())),
        "priority": [priority.value for priority in Priority],
        "flag": [finding.value for finding in ABNORMAL],
        "warning": list(WARNINGS),
        "only": list(ONLY),
    }
    for name, values in choices.items():
        for value in values:
            yield f"/review?{ALL}&{name}={value}"
    scanner = choices["scanner"][0]
    yield f"/review?{ALL}&scanner={scanner}&priority=routine&flag=&warning=VIEW_AP"
    yield f"/review?{ALL}&scanner={scanner}&flag=tuberculosis&only=disagreement"
    yield f"/review?{ALL}&after={_cursor_in_the_middle(connection)}"
    yield f"/review?{ALL}&after={_cursor_before_the_end(connection)}"


def _cursor_in_the_middle(connection: Connection) -> str:
    newest = connection.scalar(select(func.max(cases.c.received))) or 0.0
    return f"{PRIORITY_RANK[Priority.ROUTINE]}:{newest - 180 * DAY_SECONDS!r}:0"


def _cursor_before_the_end(connection: Connection) -> str:
    """Where the last page of the whole list begins."""
    routine = cases.c.rank == PRIORITY_RANK[Priority.ROUTINE]
    oldest = select(cases.c.received, cases.c.sequence).where(routine, cases.c.counts == 1)
    row = connection.execute(
        oldest.order_by(cases.c.received, cases.c.sequence).limit(1).offset(PAGE_ROWS)
    ).one()
    return f"{PRIORITY_RANK[Priority.ROUTINE]}:{row.received!r}:{row.sequence}"


def _single(connection: Connection) -> Iterator[str]:
    """Pages about one radiograph."""
    newest = select(cases.c.id).order_by(cases.c.sequence.desc()).limit(1)
    disputed = newest.where(cases.c.disagrees == 1)
    yield f"/review/cases/{connection.scalar(newest)}"
    yield f"/review/cases/{connection.scalar(disputed)}"
    yield f"/review/disagreements/{connection.scalar(disputed.where(cases.c.adjudicated == 0))}"
    yield f"/review/disagreements/{connection.scalar(disputed.where(cases.c.adjudicated == 1))}"


def _statistics() -> Iterator[str]:
    yield "/review/disagreements"
    yield "/review/golive"
    for days in WINDOW_DAYS:
        yield f"/review/thresholds?days={days}"
        yield f"/review/comparison?days={days}"
        yield f"/review/queue?days={days}"
    for finding in ABNORMAL:
        for reference in ("report", "verdict"):
            asked = f"finding={finding.value}&reference={reference}"
            yield f"/review/thresholds?{ALL}&{asked}&threshold=0.4"
    for readers, utilisation, cap in ((2, 0.8, 60), (1, 0.95, 1440), (50, 0.5, 240)):
        asked = f"readers={readers}&utilisation={utilisation}&cap_minutes={cap}"
        yield f"/review/queue?{ALL}&{asked}"


def _endpoint(path: str) -> str | None:
    """The JSON with the numbers of a page."""
    page, _, query = path.partition("?")
    name = "worklist" if page == "/review" else page.removeprefix("/review/")
    if "/" in name:
        return None
    return f"/review/api/{name}" + (f"?{query}" if query else "")
