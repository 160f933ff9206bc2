"""An extra that a message or a page tells somebody to install is one that there is."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"cxr-triage\[([a-z,]+)\]")


def test_every_extra_that_is_named_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    texts = [*ROOT.glob("service/**/*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]

    named = {
        extra
        for text in texts
        for found in NAMED.findall(text.read_text("utf-8"))
        for extra in found.split(",")
    }

    assert "parquet" in named
    assert named - set(project["optional-dependencies"]) == set()
