"""docker-compose.yml as Compose itself reads it: variables, anchors and defaults resolved."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROFILES = ("postgres", "orthanc", "gpu", "tools")
OF_THE_IMAGE = {
    "CXR_MODEL__STORE", "CXR_MODEL__CACHE_DIR", "CXR_SERVER__HOST", "CXR_SERVER__PORT",
}  # fmt: skip
"""The container has one model store and one port; a site changes neither."""
OF_COMPOSE = {
    "CXR_ACCESS__KEYS_FILE", "CXR_ACCESS__MODE", "CXR_ACCESS__TRUSTED_PROXIES",
    "CXR_PACS__QUEUE_FILE", "CXR_RECORD__PASSWORD_FILE", "CXR_RECORD__SITE_KEY_FILE",
}  # fmt: skip
"""Places of volumes, and what the networks of the file decide."""
OF_PROXIES = {
    spelt
    for kind in ("HTTP", "HTTPS", "FTP", "ALL", "NO")
    for spelt in (f"{kind}_PROXY", f"{kind.lower()}_proxy")
}
"""Docker gives them to containers as its own configuration has them, each in both spellings."""
VARIABLE = re.compile(r"\$\{([A-Z][A-Z_0-9]*)")

Rendered = dict[str, Any]  # parsed YAML of somebody else's schema


def program(name: str) -> str:
    """A program that came with a package of this environment."""
    path = shutil.which(name, path=str(Path(sys.executable).parent))
    assert path is not None, f"{name} is not in this environment"
    return path


def render(
    *profiles: str, env_file: Path | None = None, folder: Path = ROOT, **variables: str
) -> Rendered:
    """What `docker compose config` prints, for a site that says nothing but this.

    `folder` is the site's own, whose `.env` is read if no `env_file` is named. The program of the
    package ends with 0 whatever happens, so that a fault is told by its output.
    """
    has_its_own = env_file is None and folder != ROOT
    named = [] if has_its_own else ["--env-file", str(env_file or os.devnull)]
    done = subprocess.run(
        [
            program("docker-compose"),
            "--file",
            str(ROOT / "docker-compose.yml"),
            "--project-directory",
            str(folder),
            *named,
            "config",
        ],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "COMPOSE_PROFILES": ",".join(profiles)} | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    rendered: Rendered | None = yaml.safe_load(done.stdout)
    assert rendered is not None, done.stderr
    return rendered


def variables_of_compose() -> set[str]:
    """Every variable that the file reads."""
    raw = (ROOT / "docker-compose.yml").read_text("utf-8")
    passed_on = re.findall(r"^    (CXR_\w+):$", raw, re.MULTILINE)
    return {*VARIABLE.findall(raw), *passed_on}


def variables_of_example() -> set[str]:
    """Every variable that .env.example shows."""
    text = (ROOT / ".env.example").read_text("utf-8")
    return set(re.findall(r"^(?:# )?([A-Z][A-Z_0-9]*)=", text, re.MULTILINE))


def uncommented_example(path: Path) -> Path:
    """Write .env.example with every line that has a value taken at its word."""
    text = (ROOT / ".env.example").read_text("utf-8")
    lines = re.findall(r"^(?:# )?([A-Z][A-Z_0-9]*=.+)$", text, re.MULTILINE)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
