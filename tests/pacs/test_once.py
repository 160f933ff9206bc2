"""Exactly once, whatever is killed when; and callers who wait for an answer come first."""

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.record import Outcome, open_reader
from service.settings import IntakeSettings
from tests.support.apps import SlowUpload, running_service
from tests.support.fake_pacs import FakePacs, Reply, failing, name_of, open_fake_pacs
from tests.support.inlet import answered, open_way
from tests.support.monitoring import wait_for
from tests.support.orthanc import Site, needs_orthanc, phantom, store
from tests.support.radiographs import png_bytes

STUDIES = 200
KILLS = 4


@pytest.fixture
async def pacs(tmp_path: Path) -> AsyncIterator[FakePacs]:
    async with open_fake_pacs(tmp_path) as opened:
        yield opened


def rows_by_instance(folder: Path) -> Counter[str | None]:
    """How many rows of the shadow log speak of each SOP instance."""
    reader = open_reader(f"sqlite:///{folder}/shadow.db")
    try:
        assert reader.verify().is_whole
        logged = reader.rows(limit=10_000)
    finally:
        reader.close()
    assert {row.entry.outcome for row in logged} <= {Outcome.EVALUATED}
    return Counter(row.entry.pseudonyms.sop_instance for row in logged)


def has_position(folder: Path) -> bool:
    """Whether the service has heard of the PACS."""
    with contextlib.closing(sqlite3.connect(folder / "pacs.db", timeout=30)) as connection:
        return bool(connection.execute("SELECT count(*) FROM position").fetchone()[0])


def keep_queue(folder: Path) -> None:
    """Copy the queue of a running service as it stands."""
    with (
        contextlib.closing(sqlite3.connect(folder / "pacs.db")) as live,
        contextlib.closing(sqlite3.connect(folder / "before.db")) as copy,
    ):
        live.backup(copy)


def put_queue_back(folder: Path) -> None:
    """As if the service had been killed when the copy was made."""
    for suffix in ("-wal", "-shm"):
        (folder / f"pacs.db{suffix}").unlink(missing_ok=True)
    shutil.copyfile(folder / "before.db", folder / "pacs.db")


def kill_after(site: Site, model_store: Path, count: int) -> None:
    """Start the service, and kill it once it has answered more than so many in all."""
    with running_service(model_store, site.folder, **site.variables) as service:
        wait_for(lambda: answered(site.folder) > count, "some answers")
        service.stop(signal.SIGKILL)


@pytest.mark.slow
@needs_orthanc
async def test_burst_of_a_downtime_is_answered_once_each(site: Site, tiny_store: Path) -> None:
    async with open_way(site, tiny_store) as way:
        await way.contact()

    store(site, map(phantom, range(STUDIES)))
    async with open_way(site, tiny_store) as way:
        await way.settled(answered=STUDIES)

    rows = rows_by_instance(site.folder)
    assert (len(rows), set(rows.values())) == (STUDIES, {1})


@pytest.mark.slow
@needs_orthanc
def test_kills_in_the_middle_of_a_burst_double_and_lose_nothing(
    site: Site, tiny_store: Path
) -> None:
    folder, studies = site.folder, STUDIES // 2
    with running_service(tiny_store, folder, **site.variables):
        wait_for(lambda: has_position(folder), "the first contact")
    sender = threading.Thread(target=store, args=(site, map(phantom, range(studies))))
    sender.start()

    for kill in range(KILLS):
        kill_after(site, tiny_store, kill * studies // (KILLS + 1))
    sender.join()
    with running_service(tiny_store, folder, **site.variables):
        wait_for(lambda: answered(folder) == studies, "all answers")

    rows = rows_by_instance(folder)
    assert (len(rows), set(rows.values())) == (studies, {1})


async def test_crash_between_row_and_note_makes_no_second_row(
    pacs: FakePacs, tiny_store: Path, tmp_path: Path
) -> None:
    one, hold = name_of(1), asyncio.Event()
    pacs.store(one, phantom(1))
    pacs.rules.append(failing("/file", Reply(phantom(1), hold=hold)))
    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.until(lambda: pacs.pulls(one) == 1, "the pull")
        keep_queue(tmp_path)
        hold.set()
        await way.settled(answered=1)
    put_queue_back(tmp_path)

    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.settled(answered=1)

    assert pacs.pulls(one) == 1
    assert [entry.outcome for entry in way.entries()] == [Outcome.EVALUATED]


async def test_conflict_that_is_cut_off_between_row_and_note_is_a_dead_letter(
    pacs: FakePacs, tiny_store: Path, tmp_path: Path
) -> None:
    one, two, hold = name_of(1), name_of(2), asyncio.Event()
    other = phantom(1, grey=99)
    pacs.store(one, phantom(1))
    pacs.rules.append(failing(f"{two}/file", Reply(other, hold=hold)))
    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.settled(answered=1)
        pacs.store(two, other)
        await way.until(lambda: pacs.pulls(two) == 1, "the second pull")
        keep_queue(tmp_path)
        hold.set()
        await way.settled(answered=1, dead=1)
    put_queue_back(tmp_path)

    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.settled(answered=1, dead=1)

    (letter,) = way.queue.dead_letters()
    assert (letter.instance, letter.code) == (two, "SOP_INSTANCE_CONFLICT")
    assert pacs.pulls(two) == 1
    assert [entry.outcome for entry in way.entries()] == [Outcome.EVALUATED, Outcome.CONFLICT]


async def test_callers_who_wait_come_first_and_nothing_is_lost(
    pacs: FakePacs, tiny_store: Path
) -> None:
    for number in range(10):
        pacs.store(name_of(number), phantom(number))
    uploads = [SlowUpload(png_bytes()) for _ in range(2)]
    intake, full = IntakeSettings(max_requests=4), 'cxr_pacs_failures_total{code="QUEUE_FULL"} 0.0'
    async with open_way(pacs, tiny_store, intake=intake) as way:
        await way.contact()
        waiting = [asyncio.ensure_future(way.client.post("/predict", content=u)) for u in uploads]
        for upload in uploads:
            await upload.started.wait()
        for number in range(10):
            await way.client.post("/notify", content=name_of(number))

        other = await way.client.post("/predict", content=png_bytes())
        await way.until(lambda: full not in way.exposition(), "a pull that gave way")

        assert (other.status_code, way.queue.depth().waiting) == (200, 10)
        for upload in uploads:
            upload.finish.set()
        assert [(await answer).status_code for answer in waiting] == [200, 200]
        await way.settled(answered=10)

    assert len(way.entries()) == 13
