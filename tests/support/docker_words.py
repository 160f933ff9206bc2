"""The page of Compose, run without Docker: what a container is asked, the machine is asked."""

import re
import sys
from pathlib import Path

from tests.support.compose import ROOT

PAGE = ROOT / "docs/compose.md"
PROGRAM = """#!{python}
import os, sys

verb, *words = sys.argv[2:]
if verb not in ("exec", "run"):
    sys.exit(0)
while words[0].startswith("-"):
    if words.pop(0) == "-e":
        name, _, value = words.pop(0).partition("=")
        os.environ[name] = value
service, *words = words
if service == "cxr-triage" and words[0] != "cxr-triage":
    words.insert(0, "cxr-triage")
os.execvp(words[0], words)
"""
"""`exec` and `run`; whatever starts or stops a container has nothing to do."""


def block_with(words: str) -> str:
    """The block of the page that has these words, which one alone has."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    (found,) = [str(block) for block in blocks if words in block]
    return found


def write_docker(folder: Path) -> None:
    """Lay down a `docker` that knows the words of the page."""
    write_program(folder, "docker", PROGRAM.format(python=sys.executable))


def write_program(folder: Path, name: str, text: str) -> None:
    """Lay down a program where a shell of the runbook looks first."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)
