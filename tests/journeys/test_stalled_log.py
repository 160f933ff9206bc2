"""A reader of the log that stalls: every request is answered, and the end is in time."""

import os
import signal
from pathlib import Path

import httpx

from tests.support.apps import running_service

ENOUGH = 400
"""Refusals whose lines are more than a pipe holds, which are 64 KiB."""


def test_service_answers_and_ends_while_nobody_reads_its_log(
    tiny_store: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "service.log")
    reader = os.open(tmp_path / "service.log", os.O_RDONLY | os.O_NONBLOCK)
    with running_service(tiny_store, tmp_path) as service:
        with httpx.Client(base_url=service.url, timeout=20) as client:
            answers = [client.post("/predict", content=b"no picture") for _ in range(ENOUGH)]
            health = client.get("/healthz")
        exit_code = service.stop(signal.SIGTERM)
        left = os.read(reader, 1 << 20)

    os.close(reader)
    assert {answer.status_code for answer in answers} == {415}
    assert health.status_code == 200
    assert exit_code == 0
    assert len(left) > (1 << 16) - 4096  # the pipe was full
