"""Whoever silences a check says why, on the same line."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("service", "training", "bench", "tests", "deploy")
SILENT = re.compile(r"# (?:noqa|type: ignore)(?:: [A-Z0-9, ]+|\[[a-z, -]+\])?\s*$", re.M)


def test_every_silenced_check_has_its_reason() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.group()}"
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        for line in SILENT.finditer(path.read_text("utf-8"))
    ]

    assert found == []
