"""kill -9 under load: a client that got an answer has a row, whatever is killed when."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.record import open_reader
from tests.support.apps import Service, running_service
from tests.support.radiographs import png_bytes

KILLS = 20
CLIENTS = 4
ANSWERS_BEFORE_KILL = 12


def answered_until_killed(service: Service, body: bytes, after: int) -> list[str]:
    """Load the service, kill it after some answers, and return the id of every answer."""
    ids: list[str] = []
    is_enough = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            try:
                while True:
                    ids.append(
                        client.post("/predict", content=body).raise_for_status().json()["id"]
                    )
                    if len(ids) >= after:
                        is_enough.set()
            except httpx.TransportError:
                is_enough.set()

    with ThreadPoolExecutor(CLIENTS) as clients:
        asking = [clients.submit(ask) for _ in range(CLIENTS)]
        assert is_enough.wait(60)
        service.stop(signal.SIGKILL)
    for one in asking:
        one.result()
    return ids


def kill_repeatedly(store: Path, folder: Path) -> list[str]:
    """Start, load and kill on one shadow log, at a different moment each time."""
    body, ids = png_bytes(), list[str]()
    for kill in range(KILLS):
        with running_service(store, folder) as service:
            ids += answered_until_killed(service, body, ANSWERS_BEFORE_KILL + kill)
    return ids


@pytest.mark.slow
def test_every_answer_has_a_row_after_any_kill(tiny_store: Path, tmp_path: Path) -> None:
    answered = kill_repeatedly(tiny_store, tmp_path)

    reader = open_reader(f"sqlite:///{tmp_path}/shadow.db")
    recorded = {logged.entry.id for logged in reader.rows(limit=1_000_000)}
    report = reader.verify()
    reader.close()
    assert len(answered) >= KILLS * ANSWERS_BEFORE_KILL
    assert set(answered) - recorded == set()
    assert report.is_whole
