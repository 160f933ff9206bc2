"""The program ends with 2 and says why, whatever keeps the service from starting."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("content", ["", "abcd", "no key", None])
def test_site_key_that_is_none_is_a_coded_refusal(
    tiny_store: Path, tmp_path: Path, content: str | None
) -> None:
    key = tmp_path / "site.key"
    key.mkdir() if content is None else key.write_text(content, "utf-8")

    told = _refusal(tiny_store, tmp_path, CXR_RECORD__SITE_KEY_FILE=str(key))

    assert "SITE_KEY_INVALID" in told[-1]
    assert json.loads(told[-2])["code"] == "SITE_KEY_INVALID"


def test_whatever_else_keeps_the_service_from_starting_is_told(
    tiny_store: Path, tmp_path: Path
) -> None:
    told = _refusal(tiny_store, tmp_path, CXR_RECORD__URL="postgresql+pg8000://?foo=1")

    assert told[-1].startswith("START_FAILED TypeError at service.")
    assert json.loads(told[-2])["error_type"] == "TypeError"


def test_port_that_is_taken_is_a_coded_refusal(tiny_store: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = _refusal(tiny_store, tmp_path, CXR_SERVER__PORT=port)

    assert told[-1].startswith(f"PORT_UNAVAILABLE 127.0.0.1:{port}")
    assert json.loads(told[-2])["code"] == "PORT_UNAVAILABLE"


def _refusal(store: Path, folder: Path, **variables: str) -> list[str]:
    """What the program writes before it ends with 2."""
    site = {
        "CXR_MODEL__STORE": str(store),
        "CXR_RECORD__URL": f"sqlite:///{folder}/shadow.db",
        "CXR_RECORD__SITE_KEY_FILE": str(folder / "site.key"),
    }
    finished = subprocess.run(
        [sys.executable, "-m", "service", "serve"], env={**os.environ, **site, **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (finished.returncode, finished.stdout) == (2, "")
    return finished.stderr.splitlines()
