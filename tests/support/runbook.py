"""The runbook's own commands, run by a shell as an operator pastes them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

RUNBOOK = Path(__file__).parents[2] / "docs/runbook.md"


def commands_of(heading: str, page: Path = RUNBOOK) -> list[str]:
    """Every block of commands under a heading, in order."""
    text = page.read_text("utf-8")
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert section is not None, f"{page.name} has no heading {heading!r}"
    blocks = re.findall(r"^```sh\n(.*?)^```$", section[1], re.M | re.S)
    assert blocks, f"no commands under {heading!r}"
    return blocks


def run_block(
    block: str, variables: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Paste a block; it stops at the first command that fails."""
    program = folder / "bin/cxr-triage"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service "$@"\n')
        program.chmod(0o755)
    others = {name: value for name, value in os.environ.items() if not name.startswith("CXR_")}
    return subprocess.run(
        ["bash", "-euc", block],
        env={**others, "PATH": f"{program.parent}:{others['PATH']}", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
