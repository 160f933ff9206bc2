"""The runbook's own commands, run by a shell as an operator pastes them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

RUNBOOK = Path(__file__).parents[2] / "docs/runbook.md"
RECIPIENT = "backup@site.test"
"""To whom backups are encrypted."""
HEAD = re.compile(r"[0-9]+ rows.* hold, up to sha256:[0-9a-f]{64}")


class Site:
    """A folder with a site in it, and the variables that the runbook speaks of."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.log = folder / "site/shadow.db"
        self.told = ""
        (folder / "backups").mkdir(exist_ok=True)
        self.variables = {
            "CXR_RECORD__URL": f"sqlite:///{self.log}",
            "CXR_RECORD__SITE_KEY_FILE": str(self.log.with_name("site.key")),
            "CXR_ACCESS__KEYS_FILE": str(self.log.with_name("keys.json")),
            "CXR_PACS__QUEUE_FILE": str(self.log.with_name("pacs.db")),
            "BACKUPS": str(folder / "backups"),
            "REHEARSAL": str(folder / "rehearsal"),
            **variables,
        }

    def run(self, heading: str, block: int = 0) -> list[str]:
        """Run one block of commands and return the heads that they told, each once."""
        done = run_block(commands_of(heading)[block], self.variables, self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        self.told = done.stdout
        return list(dict.fromkeys(HEAD.findall(done.stderr + done.stdout)))

    def choose_backup(self) -> Path:
        """The one archive that is whole, which the procedures that read one are then told of."""
        (archive,) = [
            a for a in (self.folder / "backups").iterdir() if a.suffix in (".tar", ".gpg")
        ]
        self.variables["backup"] = str(archive).removesuffix(".gpg").removesuffix(".tar")
        return archive

    def move_away(self) -> None:
        """The machine is new: nothing of the site is on it."""
        self.log.parent.rename(self.folder / "old")


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
        program.parent.mkdir(exist_ok=True)
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
