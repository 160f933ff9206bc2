"""The benchmark of the pages builds a log that a service starts over, and asks its pages."""

import sys
from pathlib import Path

import pytest

from bench.review import main

pytestmark = pytest.mark.slow


def test_pages_of_a_new_log_are_asked_of_services_that_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--rows", "1500", "--folder", str(tmp_path), "--pages", "golive", "--limit", "600"]
    monkeypatch.setattr(sys, "argv", ["bench.review", *asked])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    assert "2 addresses, 0 beyond 600 s" in capsys.readouterr().out
