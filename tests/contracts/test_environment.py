"""Variables of the environment that libraries obey: none of them changes the service."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.apps import running_service
from tests.support.radiographs import png_bytes

CONNECT = "import service, ssl; ssl.create_default_context()"


@pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_service_keeps_its_numbers_to_itself_and_takes_no_wish_of_another_program(
    tiny_store: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "numbers"
    folder.mkdir()
    wishes = {name: str(folder), "WEB_CONCURRENCY": "auto", "PYDICOM_FUTURE": "later"}

    with running_service(tiny_store, tmp_path, **wishes) as service:
        answer = httpx.post(f"{service.url}/predict", content=png_bytes(), timeout=60)
        numbers = httpx.get(f"{service.url}/metrics", timeout=60).text

    assert answer.status_code == 200
    assert "cxr_ready 1.0" in numbers
    assert list(folder.iterdir()) == []


def test_session_keys_of_a_connection_are_written_nowhere(tmp_path: Path) -> None:
    keys = tmp_path / "session.keys"

    subprocess.run(
        [sys.executable, "-c", CONNECT], env={**os.environ, "SSLKEYLOGFILE": str(keys)}, check=True
    )

    assert not keys.exists()
