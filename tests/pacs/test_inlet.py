"""The way in against its surroundings: encryption, a locked log, a full queue, wrong settings."""

import contextlib
import sqlite3
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from service.core.errors import QueueFull
from service.pacs.at_work import OpenInlet
from service.pacs.off_loop import OffLoop
from service.pacs.options import PacsMisconfigured, PacsOptions, Start
from service.pacs.orthanc import open_orthanc
from service.pacs.poller import Poller
from service.pacs.queue import Queue, State, open_queue
from service.pacs_metrics import PacsMetrics
from service.settings import PacsSettings
from tests.support.certificates import write_certificate
from tests.support.clocks import ManualClock
from tests.support.fake_pacs import FakePacs, name_of, open_fake_pacs
from tests.support.inlet import open_way, options_for
from tests.support.orthanc import phantom

ONE = name_of(1)


@pytest.fixture
async def pacs(tmp_path: Path) -> AsyncIterator[FakePacs]:
    async with open_fake_pacs(tmp_path) as opened:
        yield opened


@pytest.fixture
async def secret_pacs(tmp_path: Path) -> AsyncIterator[FakePacs]:
    """Speaks TLS with a certificate of the house."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*write_certificate(tmp_path))
    async with open_fake_pacs(tmp_path, context) as opened:
        opened.store(ONE, phantom(1))
        yield opened


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return open_queue(tmp_path / "pacs.db", ManualClock())


async def test_certificate_of_the_house_is_trusted_where_it_is_named(
    secret_pacs: FakePacs, tiny_store: Path, tmp_path: Path
) -> None:
    ca_file = tmp_path / "pacs.pem"

    async with open_way(secret_pacs, tiny_store, start="beginning", ca_file=ca_file) as way:
        await way.settled(answered=1)

    assert len(way.entries()) == 1


async def test_unknown_certificate_is_told_nothing(secret_pacs: FakePacs, tiny_store: Path) -> None:
    async with open_way(secret_pacs, tiny_store, start="beginning") as way:
        await way.event("pacs.contact_lost")

    assert secret_pacs.asked == []
    assert 'cxr_pacs_poll_failures_total{code="PACS_UNREACHABLE"} 0.0' not in way.metrics


@pytest.mark.slow
async def test_log_that_cannot_be_written_loses_nothing(
    pacs: FakePacs, tiny_store: Path, tmp_path: Path
) -> None:
    async with open_way(pacs, tiny_store, max_tries=1) as way:
        await way.contact()
        with contextlib.closing(sqlite3.connect(tmp_path / "shadow.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            pacs.store(ONE, phantom(1))
            refused = 'cxr_pacs_failures_total{code="RECORD_UNAVAILABLE"} 0.0'
            await way.until(lambda: refused not in way.exposition(), "a refused row")
        await way.settled(answered=1)

    assert len(way.entries()) == 1


async def test_no_more_changes_are_read_while_many_wait(pacs: FakePacs, queue: Queue) -> None:
    options, off_loop = options_for(url=pacs.url), OffLoop()
    metrics = PacsMetrics(CollectorRegistry(), codes=())
    orthanc = open_orthanc(options)
    poller = Poller(
        orthanc=orthanc, queue=queue, off_loop=off_loop, metrics=metrics, start=Start.BEGINNING,
        poll_seconds=1, most_waiting=2, wake=lambda: None, clock=ManualClock(), random=Random(1),
    )  # fmt: skip
    pacs.store(ONE, b"")
    pacs.store(name_of(2), b"")
    for _ in range(2):
        await poller.poll()

    pacs.store(name_of(3), b"")
    await poller.poll()
    waiting_before = queue.depth().waiting
    item = queue.next_due([]).item
    assert item is not None
    queue.settle(item, State.GONE)
    await poller.poll()

    assert (waiting_before, queue.counts()[State.GONE]) == (2, 1)
    assert queue.depth().waiting == 2
    await orthanc.close()
    off_loop.close()


async def test_notice_is_refused_while_many_wait(queue: Queue) -> None:
    off_loop = OffLoop()
    inlet = OpenInlet(queue=queue, off_loop=off_loop, most_waiting=1, wake=lambda: None)
    await inlet.notify(ONE.encode())

    with pytest.raises(QueueFull):
        await inlet.notify(name_of(2).encode())

    assert queue.depth().waiting == 1
    off_loop.close()


@pytest.mark.parametrize(
    "options",
    [
        options_for(url="http://127.0.0.1:1", user="cxr", password_file=Path("missing")),
        options_for(url="http://127.0.0.1:1", ca_file=Path("missing")),
    ],
    ids=["password", "certificates"],
)
def test_file_that_is_not_there_is_told(options: PacsOptions) -> None:
    with pytest.raises(PacsMisconfigured, match="No such file"):
        open_orthanc(options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://orthanc"}, {"url": "http://user:secret@orthanc"},
        {"url": "http://orthanc/?a=b"}, {"url": "http://orthanc", "user": "cxr"},
        {"url": "http://orthanc", "modalities": []}, {"url": "file:///etc/passwd"},
        {"url": "http://orthanc", "parallel_pulls": 0},
    ],
)  # fmt: skip
def test_wrong_setting_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PacsSettings.model_validate(wrong)


def test_clock_that_is_set_back_takes_nothing_from_the_sum_of_delays() -> None:
    registry = CollectorRegistry()

    PacsMetrics(registry, codes=()).count_settled("answered", -3600)

    assert registry.get_sample_value("cxr_pacs_delay_seconds_sum") == 0
